"""The passage of time: clocks go forward in steps, so that what falls due on the way happens in its order.

Webhooks of one step are delivered before the next, as they would be on a day without haste.
"""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.sandbox.billing import testclocks
from tallystick.sandbox.notices.webhooks import Webhooks
from tallystick.sandbox.settlement import NEVER, settle, settle_all
from tallystick.sandbox.world import World


async def advance_all(worlds: Iterable[World], webhooks: Webhooks, seconds: int) -> None:
    """Move the sandbox's clock by so many seconds; ValueError for a step back."""
    known = list(worlds)
    clock = known[0].clock
    if seconds < 0:
        clock.advance(seconds)  # says so
    target = clock.now() + seconds
    while any(testclocks.has_destinations(world) for world in known):
        await _do_what_is_due(known, webhooks)
        nearest = min((at for world in known for at in _dues(world) if at > clock.now()), default=target)
        if nearest >= target:
            break
        clock.advance(nearest - clock.now())
    clock.advance(max(0, target - clock.now()))
    await _do_what_is_due(known, webhooks)


async def _do_what_is_due(worlds: list[World], webhooks: Webhooks) -> None:
    for world in worlds:
        settle(world)
    await webhooks.drain()
    for world in worlds:
        settle(world)  # an answer to a webhook may have changed what is due


def _dues(world: World) -> list[int]:
    return [world.due_at, *(delivery.due_at for delivery in world.outbox)]


async def advance_test_clocks(world: World, webhooks: Webhooks) -> None:
    """Take every test clock that is advancing to its goal, then say that it is ready."""
    while world.advancing:
        for clock, target in list(world.advancing.items()):
            due = settle_all(world).get(clock, NEVER)
            await webhooks.drain()
            if clock in world.advancing:  # it may have been deleted meanwhile
                testclocks.move(world, clock, min(due, target))
                settle_all(world)
                if due >= target:
                    testclocks.arrive(world, clock)
    settle(world)
