"""The gallery: reports of the embedded demo."""
