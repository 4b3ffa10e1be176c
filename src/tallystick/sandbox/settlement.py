"""What time brings by itself: reports of bad events, periods that end, drafts that become final."""

from __future__ import annotations

from tallystick.sandbox.billing import invoices
from tallystick.sandbox.usage import rejections
from tallystick.sandbox.world import World


def settle(world: World) -> None:
    """Do everything that is due at the present second; nothing when nothing can be."""
    if world.clock.now() < world.due_at:
        return
    rejections.report(world)
    later = [rejections.due_at(world), invoices.settle(world)]
    world.due_at = min((at for at in later if at is not None), default=2**62)
