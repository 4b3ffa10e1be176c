"""The command line: `tallystick …`. Each command is imported when it is called, so that starting is quick."""

from tallystick.cli.entry import main

__all__ = ["main"]
