"""Which files there are to read, and which could not be: nothing is opened, run or followed outside the tree.

The walk only lists and stats; `read` opens one file with every guard. What is left out on purpose
(ignored, vendored, generated) is counted by reason; what should have been read and could not be is
lost coverage, and reported as such.
"""

from tallystick.audit.inventory.model import Inventory, Limits, Selection
from tallystick.audit.inventory.reading import LeftOutError, UnreadableError, raw, read
from tallystick.audit.inventory.walking import walk

__all__ = ["Inventory", "LeftOutError", "Limits", "Selection", "UnreadableError", "raw", "read", "walk"]
