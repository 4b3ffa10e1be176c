"""An endpoint of a real application: a small HTTP server that keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe


class Receiver:
    """Answers webhooks with the statuses in `answers`, one after the other, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []  # signature, body
        self.answers: list[int] = []
        self.on_event: Callable[[bytes], None] | None = None  # done before the answer
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.headers["stripe-signature"], body))
                if receiver.on_event is not None:
                    receiver.on_event(body)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def types(self) -> list[str]:
        """The types of what came, in order."""
        return [json.loads(body)["type"] for _, body in self.got]

    def verified(self, secret: str) -> list[Any]:
        """What came, each checked with a secret by the official client."""
        for signature, body in self.got:
            stripe.WebhookSignature.verify_header(body.decode(), signature, secret, 300)
        return [json.loads(body) for _, body in self.got]
