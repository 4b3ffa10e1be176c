"""Alarms over real HTTP, on both stores: signed, kept until they are told, one an hour for a subject."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.errors import ConfigError
from tallystick.reconciliation.alarms import AlarmSettings
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, FrozenClock

START = 1_767_225_600
OLD, NEW = (base64.b64encode(word * 24).decode() for word in (b"o", b"n"))


class Pager:
    """The operator's endpoint: answers with `statuses`, then 204."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                pager.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(pager.statuses.pop(0) if pager.statuses else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alarms"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pager() -> Iterator[Pager]:
    made = Pager()
    yield made
    made.close()


def build(store_url: str, pager: Pager, clock: FrozenClock, mode: str = "test") -> Tally:
    settings = AlarmSettings(pager.url, (f"whsec_{NEW}", f"whsec_{OLD}"))
    store = open_store(store_url, auto_migrate=True)
    return Tally(store, Catalogue([Meter("tokens")]), mode=mode, alarms=settings, clock=clock)


def test_a_finding_is_pushed_signed_and_once_an_hour(store_url: str, pager: Pager) -> None:
    """Both secrets sign; the same subject again within the hour is the same alarm, in any process."""
    clock = FrozenClock(START * SECOND)
    with build(store_url, pager, clock) as tally, build(store_url, pager, clock) as another:
        for one in (tally, tally, another):
            one.find("key_refused", "stripe", "Stripe refuses our key")
            one.relay.step()
        [(headers, body)] = pager.got
        assert json.loads(body) == {
            "type": "tallystick.key_refused",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": {
                "tenant": "default",
                "mode": "test",
                "subject": "stripe",
                "message": "Stripe refuses our key",
            },
        }
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = [
            "v1," + base64.b64encode(hmac.new(base64.b64decode(k), said, hashlib.sha256).digest()).decode()
            for k in (NEW, OLD)
        ]
        assert headers["webhook-signature"].split(" ") == wanted
        clock.advance(timedelta(hours=1))
        tally.find("key_refused", "stripe", "Stripe refuses our key")
        tally.relay.step()
        assert len(pager.got) == 2


def test_an_endpoint_that_is_away_is_told_later_by_another_process(store_url: str, pager: Pager) -> None:
    """Kept in the database until a 2xx; the same id at every attempt; other modes are not told."""
    clock = FrozenClock(START * SECOND)
    pager.statuses = [500, 500]
    with build(store_url, pager, clock) as tally:
        tally.find("overdue_hold", "hold 1", "an action never ended")
        tally.relay.step()
        tally.relay.step()
        assert len(pager.got) == 1
    with build(store_url, pager, clock, mode="live") as live, build(store_url, pager, clock) as tally:
        clock.advance(timedelta(minutes=10))
        live.relay.step()
        assert len(pager.got) == 1
        tally.relay.step()
        clock.advance(timedelta(minutes=10))
        tally.relay.step()
        tally.relay.step()
        assert len(pager.got) == 3
        assert len({headers["webhook-id"] for headers, _ in pager.got}) == 1


def test_an_endpoint_that_is_gone_is_given_up(store_url: str, pager: Pager) -> None:
    """After three days; later alarms are still tried."""
    clock = FrozenClock(START * SECOND)
    pager.statuses = [410, 410]
    with build(store_url, pager, clock) as tally:
        tally.find("overdue_hold", "hold 1", "an action never ended")
        tally.relay.step()
        clock.advance(timedelta(days=4))
        tally.relay.step()
        clock.advance(timedelta(days=1))
        tally.relay.step()
        assert len(pager.got) == 2
        tally.find("overdue_hold", "hold 2", "an action never ended")
        tally.relay.step()
        assert len(pager.got) == 3


@pytest.mark.parametrize(
    ("url", "secrets", "wrong"),
    [
        ("ftp://x", (NEW,), "TALLYSTICK_ALARM_URL"),
        ("https://x", (), "TALLYSTICK_ALARM_SECRET is missing"),
        ("https://x", ("not base64!",), "not whsec_ and base64"),
    ],
)
def test_wrong_settings_are_refused(sqlite_url: str, url: str, secrets: tuple[str, ...], wrong: str) -> None:
    store = open_store(sqlite_url, auto_migrate=True)
    with pytest.raises(ConfigError, match=wrong):
        Tally(store, Catalogue([Meter("tokens")]), alarms=AlarmSettings(url, secrets))
