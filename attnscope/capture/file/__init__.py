"""The file: its specification, typed nodes, and writing it so that it is complete or absent."""
