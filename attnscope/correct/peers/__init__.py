"""Published corrections to compare with, and prompting baselines."""
