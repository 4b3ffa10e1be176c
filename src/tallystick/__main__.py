"""`python -m tallystick`: the command line."""

from tallystick.cli import main

main()
