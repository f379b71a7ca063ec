"""One file a format: what other tools write, read as parts of a scene."""
