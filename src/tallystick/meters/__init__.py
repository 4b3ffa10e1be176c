"""What is counted: meters declared in `tallystick.toml`, validated at start."""

from tallystick.meters.model import Catalogue, Formula, Meter

__all__ = ["Catalogue", "Formula", "Meter"]
