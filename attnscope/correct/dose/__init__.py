"""Sweeps: one prompt under many settings."""
