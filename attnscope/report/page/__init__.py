"""Pages as files: templates, numbers, provenance, and an output folder that is whole or untouched."""
