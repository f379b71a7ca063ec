"""Every correction on the embedded model that fails in crowds, what it gains and what it harms: docs/corrections.md."""
