"""Figures: functions from tables and arrays to matplotlib figures; numbers are made in metrics."""
