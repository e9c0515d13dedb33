"""The command line, `t1`: one file for each group of commands.

A command checks what the user gave, calls the library, and prints; it computes nothing itself.
Everything heavy is imported inside the commands, so that `t1 --help` is quick.
"""

from thought1.cli.app import app, main

__all__ = ["app", "main"]
