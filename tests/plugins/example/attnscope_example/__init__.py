"""What a package outside adds to attnscope, one module a kind; docs/plugins.md shows these files."""
