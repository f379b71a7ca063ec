"""Cutting heads and edges, and what the answer loses."""
