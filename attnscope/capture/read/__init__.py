"""Reading a capture: lazy, labelled, and without torch."""
