"""Usage-based billing that is provably right.

`Tally` is the whole interface: declare, record, read. See README.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.app import Tally
    from tallystick.meters import Catalogue, Formula, Meter

__all__ = ["Catalogue", "Formula", "Meter", "Tally"]

_HOMES = {
    "Tally": "tallystick.app",
    "Catalogue": "tallystick.meters",
    "Formula": "tallystick.meters",
    "Meter": "tallystick.meters",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line and the auditor start quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
