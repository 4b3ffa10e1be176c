"""Moving time: the sandbox's clock in steps, so that what falls due on the way happens in order."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.sandbox.notices.webhooks import Webhooks
from tallystick.sandbox.settlement import settle
from tallystick.sandbox.world import World


async def advance_all(worlds: Iterable[World], webhooks: Webhooks, seconds: int) -> None:
    """Go forward by so many seconds; ValueError for a step back."""
    known = list(worlds)
    clock = known[0].clock
    target = clock.now() + seconds
    while seconds >= 0 and any(world.outbox or world.objects.get("webhook_endpoint") for world in known):
        for world in known:
            settle(world)
        await webhooks.drain()
        nearest = min((at for world in known for at in _dues(world) if at > clock.now()), default=target)
        if nearest >= target:
            break
        clock.advance(nearest - clock.now())
    clock.advance(max(0, target - clock.now()) if seconds >= 0 else seconds)
    for world in known:
        settle(world)


def _dues(world: World) -> list[int]:
    return [world.due_at, *(delivery.due_at for delivery in world.outbox)]


def step(world: World) -> None:
    """Nothing yet."""
