"""Studies on the embedded models: what both share lies here, each study's own questions and pages in its folder."""
