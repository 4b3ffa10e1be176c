"""The sandbox: a stateful local stand-in for Stripe's metered billing, with a clock and faults.

It imports nothing of tallystick's other stations, so that what it adds up is computed independently.
"""

from tallystick.sandbox.process import Sandbox

__all__ = ["Sandbox"]
