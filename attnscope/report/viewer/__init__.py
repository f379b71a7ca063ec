"""The interactive part of pages: the document that it shows, and the file that shows it."""
