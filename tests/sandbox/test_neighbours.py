"""The stand-ins of OpenMeter and Lago by plain HTTP: what their published descriptions say, and their switches."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.sandbox.conftest import DAY, START

ONE, MANY = "application/cloudevents+json", "application/cloudevents-batch+json"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(Settings(frozen_at=START)) as made:
        yield made


def call(url: str, body: Any = None, kind: str = "application/json", **query: str) -> tuple[int, Any]:
    """Status and decoded answer of a POST (with a body) or GET."""
    target = f"{url}?{urlencode(query)}" if query else url
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(target, data, {"authorization": "Bearer k", "content-type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def cloud_event(identity: str = "1", value: Any = "5", **changes: Any) -> dict[str, Any]:
    about = {"id": identity, "source": "app", "specversion": "1.0", "type": "tokens", "subject": "acme"}
    return {**about, "time": "2025-12-31T23:59:30.7Z", "data": {"value": value}, **changes}


class TestOpenMeter:
    @pytest.fixture
    def url(self, sandbox: Sandbox) -> str:
        sandbox.tell("openmeter", meters=["tokens"], customers={"acme": "pro", "Acme-2": None})
        return f"{sandbox.url}/openmeter/api/v1"

    @pytest.mark.parametrize(
        ("body", "kind", "words"),
        [
            (cloud_event(), f"{ONE}; charset=utf-8", "content type"),
            ([cloud_event()], ONE, "form"),
            (cloud_event(), MANY, "form"),
            ([], MANY, "no events"),
            (cloud_event(subject=""), ONE, "subject"),
            (cloud_event(specversion="0.3"), ONE, "specversion"),
            (cloud_event(data="5"), ONE, "data"),
            (cloud_event(time="2026-01-01"), ONE, "time"),
            ([cloud_event(), {"id": "2"}], MANY, "source"),
        ],
    )
    def test_the_form_is_checked(self, url: str, sandbox: Sandbox, body: Any, kind: str, words: str) -> None:
        """A bad form is a problem document with status 400, and nothing of the batch is taken in."""
        status, problem = call(f"{url}/events", body, kind)
        assert (status, problem["status"]) == (400, 400)
        assert words in problem["detail"]
        assert sandbox.tell("openmeter")["events"] == 0

    def test_the_content_is_not_checked(self, url: str, sandbox: Sandbox) -> None:
        """Unknown meters and unreadable values are taken in, listed, and count nowhere."""
        for event in (cloud_event("1", "much"), cloud_event("2", type="nobody")):
            assert call(f"{url}/events", event, ONE) == (204, None)
        status, listed = call(f"{url}/events")
        assert status == 200
        assert [each.get("validationError", "") != "" for each in listed] == [True, False]
        assert call(f"{url}/meters/tokens/query")[1]["data"] == []

    def test_repeats(self, url: str, sandbox: Sandbox) -> None:
        """They count again by default; with deduplication once per source and id, until the window ends."""
        for _ in range(2):
            call(f"{url}/events", cloud_event(), ONE)
        assert sandbox.tell("openmeter")["events"] == 2
        sandbox.tell("openmeter", settings={"deduplicate_seconds": DAY})
        for source in ("app", "other", "other"):
            assert call(f"{url}/events", cloud_event("2", source=source), ONE)[0] == 204
        assert sandbox.tell("openmeter")["events"] == 4
        sandbox.advance(DAY)
        call(f"{url}/events", cloud_event("2"), ONE)
        assert sandbox.tell("openmeter")["events"] == 5

    def test_values_are_doubles(self, url: str, sandbox: Sandbox) -> None:
        """By default they are added as doubles; the exact sum is a double in the answer all the same."""
        for number, value in enumerate(["0.1", 0.2, "0.3"]):
            call(f"{url}/events", cloud_event(str(number), value), ONE)
        assert call(f"{url}/meters/tokens/query", subject="acme")[1]["data"][0]["value"] == 0.1 + 0.2 + 0.3
        sandbox.tell("openmeter", settings={"decimal_precision": True})
        assert call(f"{url}/meters/tokens/query", subject="acme")[1]["data"][0]["value"] == 0.6
        assert sandbox.tell("openmeter")["totals"][0]["total"] == "0.6"

    def test_windows(self, url: str) -> None:
        """From is inclusive, to is not, times are whole seconds; a window size gives rows."""
        for number, time in enumerate(["23:59:00", "23:59:59.9", "23:58:59"]):
            call(f"{url}/events", cloud_event(str(number), "1", time=f"2025-12-31T{time}Z"), ONE)
        minute = {"from": "2025-12-31T23:59:00Z", "to": "2026-01-01T00:00:00Z"}
        [row] = call(f"{url}/meters/tokens/query", **minute)[1]["data"]
        assert (row["value"], row["windowEnd"]) == (2, "2026-01-01T00:00:00Z")
        rows = call(f"{url}/meters/tokens/query", windowSize="MINUTE", subject="acme")[1]["data"]
        assert [row["value"] for row in rows] == [1, 2]
        assert call(f"{url}/meters/tokens/query", windowSize="WEEK")[0] == 400
        assert call(f"{url}/meters/nobody/query")[0] == 404

    def test_what_is_stored_later(self, url: str, sandbox: Sandbox) -> None:
        """Taken in at once, listed and counted some time later."""
        sandbox.tell("openmeter", settings={"stored_after_seconds": 60})
        call(f"{url}/events", cloud_event(), ONE)
        assert call(f"{url}/events")[1] == []
        assert call(f"{url}/meters/tokens/query")[1]["data"] == []
        sandbox.advance(60)
        assert len(call(f"{url}/events")[1]) == 1
        assert call(f"{url}/meters/tokens/query")[1]["data"][0]["value"] == 5

    def test_the_list(self, url: str) -> None:
        """It matches parts of an id, reaches back 32 days and gives at most 100."""
        call(f"{url}/events", [cloud_event(f"id-{n}") for n in range(120)], MANY)
        assert len(call(f"{url}/events")[1]) == 100
        assert {each["event"]["id"] for each in call(f"{url}/events", id="-11")[1]} == {
            "id-11",
            *(f"id-11{n}" for n in range(10)),
        }
        assert call(f"{url}/events", **{"from": "2025-11-01T00:00:00Z"})[0] == 400
        assert call(f"{url}/events", limit="101")[0] == 400

    def test_customers(self, url: str) -> None:
        """A subject is found by a part of it, whatever its case."""
        found = call(f"{url}/customers", subject="ACME")[1]
        assert found["totalCount"] == 2
        assert [("currentSubscriptionId" in each) for each in found["items"]] == [True, False]


class TestLago:
    @pytest.fixture
    def url(self, sandbox: Sandbox) -> str:
        sandbox.tell("lago", meters=["tokens"], customers={"sub": "pro", "free": None})
        return f"{sandbox.url}/lago/api/v1"

    @staticmethod
    def event(identity: str = "1", value: Any = "5", **changes: Any) -> dict[str, Any]:
        about = {"transaction_id": identity, "external_subscription_id": "sub", "code": "tokens"}
        return {**about, "timestamp": START - 30, "properties": {"value": value}, **changes}

    def test_a_repeat_is_refused_in_postgres(self, url: str, sandbox: Sandbox) -> None:
        """For ever, within a subscription."""
        assert call(f"{url}/events", {"event": self.event()})[0] == 200
        sandbox.advance(1000 * DAY)
        status, error = call(f"{url}/events", {"event": self.event(value="6")})
        assert (status, error["code"]) == (422, "validation_errors")
        assert error["error_details"] == {"transaction_id": ["value_already_exist"]}
        other = self.event(external_subscription_id="free")
        assert call(f"{url}/events", {"event": other})[0] == 200
        assert [row["total"] for row in sandbox.tell("lago")["totals"]] == ["5", "5"]

    def test_a_repeat_takes_the_place_in_clickhouse(self, url: str, sandbox: Sandbox) -> None:
        """With the same timestamp; with another it is another event."""
        sandbox.tell("lago", settings={"clickhouse": True})
        for event in (self.event(), self.event(value="6"), self.event(timestamp=START)):
            assert call(f"{url}/events", {"event": event})[0] == 200
        assert sandbox.tell("lago")["totals"][0]["total"] == "11"

    @pytest.mark.parametrize(
        ("changes", "details"),
        [
            ({"transaction_id": ""}, {"transaction_id": ["value_is_mandatory"]}),
            ({"code": None}, {"code": ["value_is_mandatory"]}),
            ({"timestamp": "today"}, {"timestamp": ["invalid_format"]}),
        ],
    )
    def test_the_form_is_checked(self, url: str, changes: Any, details: Any) -> None:
        status, error = call(f"{url}/events", {"event": {**self.event(), **changes}})
        assert (status, error["error_details"]) == (422, details)

    def test_a_batch_is_all_or_nothing(self, url: str, sandbox: Sandbox) -> None:
        """One bad event, a repeat within it or 101 events: nothing is kept, errors by place."""
        twice = [self.event("1"), self.event("2"), self.event("1")]
        status, error = call(f"{url}/events/batch", {"events": twice})
        assert (status, list(error["error_details"])) == (422, ["2"])
        many = [self.event(str(n)) for n in range(101)]
        assert call(f"{url}/events/batch", {"events": many})[1]["error_details"] == {
            "events": ["too_many_events"]
        }
        assert call(f"{url}/events/batch", {"events": []})[0] == 422
        assert sandbox.tell("lago")["events"] == 0
        assert call(f"{url}/events/batch", {"events": many[:100]})[0] == 200
        assert sandbox.tell("lago")["events"] == 100

    def test_the_list(self, url: str) -> None:
        """Both ends are inclusive; pages follow one another."""
        events = [self.event(str(n), timestamp=START - n) for n in range(50)]
        call(f"{url}/events/batch", {"events": events})
        span = {"timestamp_from": "2025-12-31T23:59:50Z", "timestamp_to": "2025-12-31T23:59:59Z"}
        assert call(f"{url}/events", **span)[1]["meta"]["total_count"] == 10
        seen = [call(f"{url}/events", page=str(page))[1]["events"] for page in (1, 2, 3)]
        assert [len(page) for page in seen] == [20, 20, 10]
        assert call(f"{url}/events", code="nobody")[1]["meta"]["total_pages"] == 0
        assert call(f"{url}/events/7")[1]["event"]["timestamp"] == "2025-12-31T23:59:53.000Z"
        assert call(f"{url}/events/77")[0] == 404

    def test_subscriptions(self, url: str, sandbox: Sandbox) -> None:
        """A plan charges all metrics or none; a terminated subscription is not found."""
        charges = {
            name: call(f"{url}/subscriptions/{name}")[1]["subscription"]["plan"]["charges"]
            for name in ("sub", "free")
        }
        assert [len(each) for each in charges.values()] == [1, 0]
        sandbox.tell("lago", terminated=["sub"])
        assert call(f"{url}/subscriptions/sub")[0] == 404
