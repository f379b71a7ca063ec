"""Attention over the frames of a clip: what it is laid on, its colours, pictures and films."""
