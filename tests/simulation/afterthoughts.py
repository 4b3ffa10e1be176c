"""What the simulated provider says after its 2xx: events it rejects later, reports with samples, totals that lag.

Sources: Stripe's "Record usage for billing with the API" (Handle meter event errors) and the types of its
official client. Written without tallystick's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

SECOND = 1_000_000
WIDTH = 10  # seconds of one report
SILENT = "-"  # accepted, lost, and never said
CODES = ("meter_event_customer_not_found", "timestamp_in_future", "meter_event_invalid_value")


@dataclass(frozen=True)
class Lost:
    """An event that was answered 2xx and is not counted; `at` in seconds."""

    identifier: str
    meter: str
    code: str
    said: str
    at: int


@dataclass
class Afterthoughts:
    """How often a 2xx is taken back, how much of it is told, and how late the totals are.

    `share` and `silent_share` are chances; `lag` is the longest an event may be missing from the totals, in
    microseconds; `samples` per report and code; `by_key` names the request instead of the identifier;
    `keeps_identifier` says whether what was lost is still known as a duplicate.
    """

    random: Random
    share: float = 0.0
    silent_share: float = 0.0
    lag: int = 0
    samples: int = 1
    by_key: bool = False
    keeps_identifier: bool = False
    lost: list[Lost] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """Whether a 2xx is the last word."""
        return not (self.share or self.silent_share)

    def about(self, params: Mapping[str, str], key: str, now: int) -> bool:
        """Whether a good event is lost after all."""
        code = self.drawn()
        if code:
            self.reject(params, key, code, now)
        return bool(code)

    def drawn(self) -> str:
        """The code under which the next good event is lost ('' when it is not)."""
        if self.quiet:
            return ""
        drawn = self.random.random()
        if drawn >= self.share + self.silent_share:
            return ""
        return SILENT if drawn >= self.share else self.random.choice(CODES)

    def reject(self, params: Mapping[str, str], key: str, code: str, now: int) -> None:
        """Lose an event, to be reported under a code."""
        said = key if self.by_key else params["identifier"]
        self.lost.append(Lost(params["identifier"], params["event_name"], code, said, now // SECOND))

    def seen_at(self, now: int) -> int:
        """When an event that is counted now is in the totals."""
        return now + (self.random.randrange(self.lag) if self.lag else 0)

    def events(self, now: int) -> list[dict[str, Any]]:
        """The reports of all windows that are over, newest first."""
        over: dict[tuple[int, str], list[Lost]] = {}
        for lost in self.lost:
            start = lost.at // WIDTH * WIDTH
            if lost.code != SILENT and start + WIDTH <= now // SECOND:
                over.setdefault((start, lost.meter), []).append(lost)
        return [
            self._event(start, meter, rejected)
            for (start, meter), rejected in sorted(over.items(), reverse=True)
        ]

    def _event(self, start: int, meter: str, rejected: list[Lost]) -> dict[str, Any]:
        types = []
        for code in sorted({lost.code for lost in rejected}):
            some = [lost for lost in rejected if lost.code == code]
            samples = [
                {"error_message": "could not be processed", "request": {"identifier": lost.said}}
                for lost in some[: self.samples]
            ]
            types.append({"code": code, "error_count": len(some), "sample_errors": samples})
        return {
            "id": f"evt_{start}_{meter}",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error_report_triggered",
            "created": _text(start + WIDTH),
            "livemode": False,
            "related_object": {
                "id": f"mtr_{meter}",
                "type": "billing.meter",
                "url": f"/v1/billing/meters/mtr_{meter}",
            },
            "data": {
                "developer_message_summary": f"{len(rejected)} invalid events",
                "reason": {"error_count": len(rejected), "error_types": types},
                "validation_start": _text(start),
                "validation_end": _text(start + WIDTH),
            },
        }


def _text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
