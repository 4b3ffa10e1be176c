"""Alarms: findings pushed to a webhook of the operator's own, signed, at least once.

Headers and signature are those of Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp`,
and `webhook-signature` with HMAC-SHA256 of `id.timestamp.body`, one `v1,…` for each secret in force.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
from collections import deque
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

import msgspec

from tallystick.delivery.rules import wait_before
from tallystick.errors import ConfigError
from tallystick.ledger.ledger import Ledger
from tallystick.providers.transport import Connections, NotSent
from tallystick.reconciliation.model import Finding
from tallystick.storage import Flow, Statement
from tallystick.values.instant import DAY, HOUR, SECOND, rfc3339

AT_ONCE = 20
PATIENCE = 3 * DAY  # how long an endpoint may be away
_TIMEOUT_SECONDS = 5


class AlarmSettings(msgspec.Struct, frozen=True):
    """Where alarms go, and the secrets that sign them (`whsec_` and base64); ConfigError for others."""

    url: str
    secrets: tuple[str, ...]

    def keys(self) -> list[bytes]:
        """The secrets as bytes."""
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigError(
                f"TALLYSTICK_ALARM_URL = {self.url!r}; it must begin with https:// (or http://)"
            )
        if not self.secrets:
            raise ConfigError("TALLYSTICK_ALARM_SECRET is missing; alarms are signed: set whsec_… and base64")
        try:
            return [base64.b64decode(text.removeprefix("whsec_"), validate=True) for text in self.secrets]
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"TALLYSTICK_ALARM_SECRET is not whsec_ and base64: {error}") from error


class Alarm(msgspec.Struct, frozen=True):
    """One finding on its way; instants in microseconds since 1970 UTC."""

    tenant: str
    mode: str
    alarm: str
    code: str
    subject: str
    message: str
    raised_at: int
    state: str
    attempt: int
    due_at: int


class Alarms:
    """The outbox of one tenant and mode. What is raised waits in this process until the relay keeps it."""

    def __init__(self, ledger: Ledger, settings: AlarmSettings) -> None:
        self._ledger = ledger
        self._url = settings.url
        self._keys = settings.keys()
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
        self._raised: deque[tuple[int, Finding]] = deque(maxlen=1000)
        self._quiet_until = 0
        self._connections = Connections(_TIMEOUT_SECONDS)

    def put(self, finding: Finding) -> None:
        """Take a finding; never blocks, never raises."""
        self._raised.append((self._ledger.clock.now(), finding))

    def step(self) -> int:
        """Keep what was raised, push what is due; how much was done."""
        kept = []
        while self._raised:
            raised_at, finding = self._raised.popleft()
            kept.append(_alarm(raised_at, finding, **self._where))
        if kept:
            self._ledger.commit.run(errand=lambda: _keep(kept))
        now = self._ledger.clock.now()
        if now < self._quiet_until:
            return len(kept)
        due = self._ledger.read(_due({**self._where, "now": now, "limit": AT_ONCE}))
        for alarm in due:
            after = _after(alarm, told=self._push(alarm, now), now=now)
            self._ledger.commit.run(errand=partial(_write, after))
            if after.state == "due":
                self._quiet_until = after.due_at  # the endpoint is away: the others wait too
                break
        return len(kept) + len(due)

    def _push(self, alarm: Alarm, now: int) -> bool:
        body = msgspec.json.encode(
            {
                "type": f"tallystick.{alarm.code}",
                "timestamp": rfc3339(alarm.raised_at // SECOND),
                "data": {
                    "tenant": alarm.tenant,
                    "mode": alarm.mode,
                    "subject": alarm.subject,
                    "message": alarm.message,
                },
            }
        )
        headers = {
            "content-type": "application/json",
            "webhook-id": alarm.alarm,
            "webhook-timestamp": str(now // SECOND),
            "webhook-signature": signature(self._keys, alarm.alarm, now // SECOND, body),
        }
        try:
            reply = self._connections.request("POST", self._url, headers, body)
        except (NotSent, OSError, http.client.HTTPException):
            return False
        return 200 <= reply.status < 300


def signature(keys: Sequence[bytes], identity: str, second: int, body: bytes) -> str:
    """The header `webhook-signature`, one part per secret."""
    said = f"{identity}.{second}.".encode() + body
    parts = [base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode() for key in keys]
    return " ".join(f"v1,{part}" for part in parts)


def _alarm(raised_at: int, finding: Finding, tenant: str, mode: str) -> Alarm:
    """The same code and subject within an hour is the same alarm, whichever process raised it."""
    about = "\0".join((tenant, mode, finding.code, finding.subject, str(raised_at // HOUR)))
    identity = f"alarm_{hashlib.sha256(about.encode()).hexdigest()[:32]}"
    return Alarm(
        tenant,
        mode,
        identity,
        finding.code,
        finding.subject,
        finding.message,
        raised_at,
        "due",
        0,
        raised_at,
    )


def _after(alarm: Alarm, *, told: bool, now: int) -> Alarm:
    attempt = alarm.attempt + 1
    if told:
        return msgspec.structs.replace(alarm, state="told", attempt=attempt)
    state = "given_up" if now - alarm.raised_at > PATIENCE else "due"
    wait = wait_before(attempt, alarm.alarm.encode())
    return msgspec.structs.replace(alarm, state=state, attempt=attempt, due_at=now + wait)


def _keep(alarms: Sequence[Alarm]) -> Flow[None]:
    rows = {alarm.alarm: msgspec.structs.astuple(alarm) for alarm in alarms}
    yield Statement("insert_alarms", rows=sorted(rows.values()))


def _due(params: dict[str, object]) -> Flow[list[Alarm]]:
    rows = yield Statement("due_alarms", params)
    return [Alarm(*row) for row in rows]


def _write(alarm: Alarm) -> Flow[None]:
    names = ("tenant", "mode", "alarm", "state", "attempt", "due_at")
    yield Statement("write_alarm", {name: getattr(alarm, name) for name in names})
