"""The webhook endpoint: what the provider says later reaches the ledger.

Mount it in FastAPI or Starlette, or serve it by itself; any ASGI server does::

    app.mount("/stripe/webhooks", Webhooks(tally, secrets=["whsec_…"]))
    install(app, tally, exempt={"/stripe/webhooks/*": "Stripe calls it"})

Nothing in a pushed body is believed: the signature is verified by the provider's official client, then the event
is fetched under our own key. Source: Stripe, "Receive events at your webhook endpoint".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from tallystick.app import Tally
from tallystick.errors import ConfigError, NoticeError, TallystickError

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
LARGEST = 1 << 20  # bytes of a body; thin events have a few hundred


class Webhooks:
    """An ASGI application for the provider's webhooks.

    `secrets` are the signing secrets in force, two while one is rolled; without them those of
    `Tally.from_config` (STRIPE_WEBHOOK_SECRET, several with commas). ConfigError when there is none, or the
    provider reports nothing later. Answers 2xx once the report is kept, 4xx to what is not genuine, and 503,
    so that it is pushed again, when the provider or the ledger is away.
    """

    def __init__(self, tally: Tally, *, secrets: Sequence[str] | None = None) -> None:
        self._secrets = list(tally.webhook_secrets if secrets is None else secrets)
        if tally.rejections is None:
            name = tally.provider.profile.name if tally.provider else "no provider"
            raise ConfigError(f"webhooks are Stripe's; this Tally has {name}")
        if not self._secrets or not all(self._secrets):
            raise ConfigError(
                "no webhook secret; set STRIPE_WEBHOOK_SECRET to the event destination's whsec_…"
            )
        self._rejections = tally.rejections

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request (and the lifespan of a server that runs it alone)."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            status, message = await self._answer(scope, receive)
            await _respond(send, status, message)

    async def _answer(self, scope: Any, receive: Receive) -> tuple[int, str]:
        if scope["method"] != "POST":
            return 405, "webhooks are POST"
        signature = dict(scope["headers"]).get(b"stripe-signature", b"").decode("latin-1")
        body = await _body(receive)
        if body is None:
            return 413, f"more than {LARGEST} bytes"
        try:
            notice = await asyncio.to_thread(self._rejections.notice, body, signature, self._secrets)
        except NoticeError as error:
            logging.getLogger("tallystick").warning("webhook refused: %s", error)
            return 400, str(error)
        except TallystickError as error:
            logging.getLogger("tallystick").warning("webhook not taken now: %s", error)
            return 503, "not now; push it again"
        return 200, "taken" if notice.reports else "not about usage"


async def _body(receive: Receive) -> bytes | None:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > LARGEST:
            return None
    return b"".join(parts)


async def _respond(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode({"message": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
