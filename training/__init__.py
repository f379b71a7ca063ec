"""How the embedded models are made; not in the wheel."""
