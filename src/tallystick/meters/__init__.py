"""What is counted: meters declared in `tallystick.toml`, validated at start."""

from tallystick.meters.model import Catalogue, Expiry, Formula, Meter, OnLedgerFailure, StreamBills

__all__ = ["Catalogue", "Expiry", "Formula", "Meter", "OnLedgerFailure", "StreamBills"]
