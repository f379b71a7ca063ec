"""Social-aware bias and what it draws where."""
