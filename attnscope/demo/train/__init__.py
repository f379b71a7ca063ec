"""Training of the embedded models; `python -m attnscope.demo.train --help`."""
