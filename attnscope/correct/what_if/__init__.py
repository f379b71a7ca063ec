"""Single-layer questions answered from a capture."""
