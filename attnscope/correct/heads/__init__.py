"""Which heads a correction acts on."""
