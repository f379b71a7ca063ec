"""One file a section of a page: its figures and their captions."""
