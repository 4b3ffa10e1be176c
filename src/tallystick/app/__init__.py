"""Assembly: one `Tally` per application."""

from tallystick.app.environment import store_url
from tallystick.app.tally import Tally

__all__ = ["Tally", "store_url"]
