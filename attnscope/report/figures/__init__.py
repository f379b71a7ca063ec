"""Figures: functions from tables and arrays to matplotlib figures, which compute nothing that metrics could."""
