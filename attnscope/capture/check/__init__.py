"""Checking a capture against docs/format.md: structure, sums, and numbers computed once more."""
