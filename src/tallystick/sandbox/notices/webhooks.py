"""Webhooks on their way: signed, over real HTTP, repeated with pauses of the sandbox's clock.

Header `Stripe-Signature: t=…,v1=…[,v1=…]`: HMAC-SHA256 of `t.body` under each secret in force. Source: Stripe's
"Receive events at your webhook endpoint". Order is not promised, duplicates happen; the switches make both.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from tallystick.sandbox.notices import destinations, events
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.world import Delivery, Object, World

PATIENCE_SECONDS = 10  # for an endpoint's answer
AT_ONCE = 8


def signature(secrets: Iterable[str], body: bytes, second: int) -> str:
    """The header for a body, one v1 per secret."""
    parts = [
        hmac.new(secret.encode(), f"{second}.".encode() + body, hashlib.sha256).hexdigest()
        for secret in secrets
    ]
    return ",".join([f"t={second}", *(f"v1={part}" for part in parts)])


async def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """One real HTTP request; the status, or 0 when there was no answer in time."""
    try:
        return await asyncio.wait_for(_post(url, headers, body), PATIENCE_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return 0


async def _post(url: str, headers: dict[str, str], body: bytes) -> int:
    at = urlsplit(url)
    secure = at.scheme == "https"
    port = at.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(at.hostname, port, ssl=secure or None)
    try:
        target = (at.path or "/") + (f"?{at.query}" if at.query else "")
        lines = [f"POST {target} HTTP/1.1", f"host: {at.netloc}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        answer = await reader.readline()
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
    except IndexError:
        return 0
    finally:
        writer.close()


class Webhooks:
    """Carries the outboxes of all worlds; `drain` waits until nothing is due or under way."""

    def __init__(self, worlds: Iterable[World], seed: int = 0) -> None:
        self._worlds = list(worlds)
        self._random = random.Random(seed)
        self._under_way: set[asyncio.Task[None]] = set()
        self._held_back: set[str] = set()

    def send_due(self) -> None:
        """Start what is due now, at most AT_ONCE at a time."""
        for world in self._worlds:
            now = world.clock.now()
            for delivery in [d for d in world.outbox if d.due_at <= now]:
                if len(self._under_way) >= AT_ONCE:
                    return
                if self._holds_back(world, delivery):
                    continue
                world.outbox.remove(delivery)
                task = asyncio.get_running_loop().create_task(self._attempt(world, delivery))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    def _holds_back(self, world: World, delivery: Delivery) -> bool:
        """Once per delivery: let others overtake it."""
        if delivery.id in self._held_back or not world.switches.webhook_shuffle:
            return False
        self._held_back.add(delivery.id)
        if self._random.randrange(100) >= world.switches.webhook_shuffle:
            return False
        world.outbox.remove(delivery)
        world.outbox.append(delivery)
        return True

    async def drain(self) -> None:
        """Return when every delivery that is due has been tried."""
        while True:
            self.send_due()
            if self._under_way:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            elif not any(d.due_at <= w.clock.now() for w in self._worlds for d in w.outbox):
                return

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _attempt(self, world: World, delivery: Delivery) -> None:
        try:
            destination = destinations.find(world, delivery.destination)
            event = events.find(world, delivery.event)
        except (KeyError, Refusal):
            delivery.state = "failed"  # the endpoint was deleted meanwhile
            return
        lost = not delivery.answers and self._random.randrange(100) < world.switches.webhook_drop
        status = 0 if lost else await self._send(world, destination, event)
        if self._random.randrange(100) < world.switches.webhook_duplicate:
            await self._send(world, destination, event)
        delivery.answers.append((world.clock.now(), status))
        if 200 <= status < 300:
            delivered(world, delivery, event)
        else:
            repeat(world, delivery)

    async def _send(self, world: World, destination: Object, event: Object) -> int:
        body = events.pushed(event)
        second = int(time.time()) if world.switches.signature_time == "real" else world.clock.now()
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": signature(destinations.secrets(world, destination), body, second),
        }
        return await post(destination["_url"], headers, body)


def delivered(world: World, delivery: Delivery, event: Object) -> None:
    """An endpoint answered 2xx: the hour of a draft begins with that answer."""
    delivery.state = "delivered"
    if "pending_webhooks" in event:
        event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
    invoice = world.objects.get("invoice", {}).get(event.get("_about", ""))
    if invoice is not None and delivery.id in invoice["_waits"]:
        invoice["_waits"].remove(delivery.id)
        if invoice["status"] == "draft" and not invoice["_waits"] and not invoice.get("_scheduled"):
            _begin_the_hour(world, invoice)


def _begin_the_hour(world: World, invoice: Object) -> None:
    if invoice["auto_advance"]:
        now = world.now_of(invoice["customer"])
        invoice["automatically_finalizes_at"] = now + invoice["_window"]
    world.touch()


def repeat(world: World, delivery: Delivery) -> None:
    """Plan the next attempt, or give up after the last pause."""
    pauses = world.switches.webhook_retry_seconds
    if len(delivery.answers) > len(pauses):
        delivery.state = "failed"
        return
    delivery.due_at = world.clock.now() + pauses[len(delivery.answers) - 1]
    world.outbox.append(delivery)


def described(delivery: Delivery, event: Object) -> Object:
    """A delivery as the control plane shows it."""
    shown: Object = {
        "id": delivery.id,
        "destination": delivery.destination,
        "event": delivery.event,
        "type": event["type"],
        "url": delivery.url,
        "state": delivery.state,
        "due_at": delivery.due_at,
        "answers": [list(answer) for answer in delivery.answers],
    }
    return shown
