"""How long the provider still bills what it has not got, and the periods it has named."""

from tallystick.cycles.periods import NOTHING_KNOWN, Period, Periods, Place, ask, periods_of, unknown_places
from tallystick.cycles.rules import Level, cutoff, deadline, level

__all__ = [
    "NOTHING_KNOWN",
    "Level",
    "Period",
    "Periods",
    "Place",
    "ask",
    "cutoff",
    "deadline",
    "level",
    "periods_of",
    "unknown_places",
]
