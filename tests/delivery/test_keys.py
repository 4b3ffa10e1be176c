"""Keys are rotated, refused and of the wrong mode: sending pauses, nothing is dropped, live and test stay apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tallystick import Tally
from tallystick.errors import ConfigError
from tallystick.meters.config import DeliverySettings
from tallystick.providers.choice import ProviderSettings, choose
from tallystick.providers.stripe import StripeProvider
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, FrozenClock
from tests.delivery.conftest import METERS

OLD, NEW, LIVE = "sk_test_old_key_0000", "sk_test_new_key_0000", "sk_live_new_key_0000"


class Account:
    """A server that takes meter events under one key only."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.taken: list[str] = []
        self.refused = 0
        account = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                good = self.headers["authorization"] == f"Bearer {account.key}"
                if good:
                    account.taken += form["identifier"]
                else:
                    account.refused += 1
                error = {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
                self.answer(200 if good else 401, {"object": "billing.meter_event"} if good else error)

            def do_GET(self) -> None:
                self.answer(200, {"object": "list", "data": [], "next_page_url": None})

            def answer(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account(OLD)
    yield made
    made.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(OLD + "\n")
    return path


def build(account: Account, key_file: Path, store_url: str, clock: FrozenClock) -> Tally:
    environ = {"STRIPE_API_KEY_FILE": str(key_file), "STRIPE_API_BASE": account.url}
    provider = choose(ProviderSettings(), "test", environ)
    settings = DeliverySettings(inline=False, relay="process")
    store = open_store(store_url, auto_migrate=True)
    tally = Tally(store, METERS, provider=provider, delivery=settings, clock=clock)
    tally.links.link({f"org_{n}": f"cus_{n}" for n in range(20)})
    return tally


def later(tally: Tally, clock: FrozenClock) -> None:
    """A minute and a half later."""
    clock.advance(timedelta(seconds=90))
    tally.relay.drain()


def test_a_rotated_key_is_taken_up(account: Account, key_file: Path, store_url: str) -> None:
    """401: sending pauses after one call, the alarm is given once; a new key in the file, and all is sent once."""
    clock = FrozenClock(1_767_225_600 * SECOND)
    with build(account, key_file, store_url, clock) as tally:
        tally.record("tokens", 1, customer="org_0")
        tally.relay.drain()
        account.key = NEW
        for n in range(20):
            tally.record("tokens", 1, customer=f"org_{n}")
        for _ in range(3):
            later(tally, clock)
        assert tally.finding_counts["key_refused"] == 1
        assert tally.status().in_delivery.keys() <= {"ready"}
        assert tally.status().parked == []
        assert account.refused <= 3 * 8  # the calls in flight, not one for each customer
        key_file.write_text(NEW)
        for _ in range(30):
            later(tally, clock)
        assert tally.status().settled
        assert (tally.finding_counts["key_refused"], tally.finding_counts["key_accepted"]) == (1, 1)
        assert len(account.taken) == len(set(account.taken)) == 21


def test_a_live_key_is_not_taken_up_by_a_test_ledger(
    account: Account, key_file: Path, store_url: str
) -> None:
    """The file holds a live key suddenly: no call is made with it."""
    clock = FrozenClock(1_767_225_600 * SECOND)
    with build(account, key_file, store_url, clock) as tally:
        account.key = LIVE
        key_file.write_text(LIVE)
        tally.record("tokens", 1, customer="org_0")
        for _ in range(4):
            later(tally, clock)
        assert account.taken == []
        [finding] = tally.findings
        assert "live and test never mix" in finding.message
        assert "\n" not in finding.message


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_key_of_the_other_mode_is_refused(mode: str, sqlite_url: str) -> None:
    """In the configuration, and in the constructor."""
    other = LIVE if mode == "test" else OLD
    with pytest.raises(ConfigError, match="live and test never mix"):
        choose(ProviderSettings(), mode, {"STRIPE_API_KEY": other})
    store = open_store(sqlite_url, auto_migrate=True)
    with pytest.raises(ConfigError, match="live and test never mix"):
        Tally(store, METERS, provider=StripeProvider(other), mode=mode)


def test_an_unreadable_key_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"STRIPE_API_KEY_FILE = .* cannot be read"):
        choose(ProviderSettings(), "test", {"STRIPE_API_KEY_FILE": str(tmp_path / "none")})
