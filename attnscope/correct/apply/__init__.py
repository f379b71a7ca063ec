"""Corrections at work: around any code, on a prompt, as a re-run of a capture."""
