"""What the round-table models answer, where they look, and what a correction changes: writes docs/roundtable.md."""
