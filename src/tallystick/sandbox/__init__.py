"""The sandbox: a stateful local stand-in for Stripe's metered billing, with a clock and faults.

It imports nothing of tallystick's other stations, so that what it adds up is computed independently.
"""

from tallystick.sandbox.faults import Faults, Rule
from tallystick.sandbox.process import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.sandbox.switches import Switches

__all__ = ["Faults", "Rule", "Sandbox", "Settings", "Switches"]
