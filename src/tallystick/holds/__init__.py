"""Holds: expiry by policy, and decisions by name."""

from tallystick.holds.decisions import Holds
from tallystick.holds.expiry import Expirer

__all__ = ["Expirer", "Holds"]
