"""What time brings by itself: reports of bad events, periods that end, drafts that become final."""

from __future__ import annotations

from tallystick.sandbox.billing import invoices, subscriptions
from tallystick.sandbox.usage import rejections
from tallystick.sandbox.world import World

NEVER = 2**62


def settle(world: World) -> None:
    """Do everything that is due at the present second; nothing when nothing can be."""
    if world.clock.now() >= world.due_at:
        world.due_at = settle_all(world).get(None, NEVER)


def settle_all(world: World) -> dict[str | None, int]:
    """Do what is due on every clock; when the next thing is, by test clock (None is the sandbox's)."""
    rejections.report(world)
    dues: dict[str | None, int] = {None: rejections.due_at(world) or NEVER}

    def note(clock: str | None, at: int | None) -> None:
        if at is not None:
            dues[clock] = min(dues.get(clock, NEVER), at)

    for subscription in world.all("subscription"):
        if subscription["status"] == "active":
            note(subscription["test_clock"], subscriptions.roll(world, subscription))
    for invoice in world.all("invoice"):
        due = invoices.due_at(world, invoice)
        if due is not None and due <= world.now_of(invoice["customer"]):
            invoices.finalize(world, invoice, due)
        else:
            note(invoice["test_clock"], due)
    return dues
