"""The command line of attnscope: one thin file per command, no logic of its own."""
