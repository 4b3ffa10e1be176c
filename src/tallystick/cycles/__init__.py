"""How long the provider still bills what it has not got."""

from tallystick.cycles.rules import Level, cutoff, deadline, level

__all__ = ["Level", "cutoff", "deadline", "level"]
