"""`python -m attnscope` is the command `attnscope`."""

from __future__ import annotations

from attnscope_cli.main import entry

if __name__ == "__main__":
    entry()
