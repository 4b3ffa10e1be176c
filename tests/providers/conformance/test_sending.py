"""What every provider must do with an attempt: say truly what is known, and count what it accepted once."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest

from tallystick.delivery import rules
from tallystick.meters import Meter
from tallystick.providers import FOR_EVER, Answer, Instruction, Outcome, Provider
from tests.providers.conformance.conftest import START, Make
from tests.providers.conformance.rigs import WRONG, Rig

HOUR, DAY = 3600, 86400


def send(provider: Provider, instruction: Instruction) -> Answer:
    return provider.send(instruction, still_ours=lambda: True)


def renewed(instruction: Instruction) -> Instruction:
    """The same with a new idempotency key, as after an answered failure."""
    return msgspec.structs.replace(instruction, idempotency_key=f"{instruction.identifier}.1")


def test_accepted(rig: Rig, provider: Provider, make: Make) -> None:
    """What is accepted counts, for its customer and meter only."""
    assert send(provider, make(value="5")) == Answer(Outcome.ACCEPTED)
    other = make("ts-2", "7", customer=rig.customers["org_b"], meter="calls")
    assert send(provider, other).outcome is Outcome.ACCEPTED
    totals = {name: total for name, total in rig.totals().items() if total}
    assert totals == {(rig.customer, "tokens"): 5, (rig.customers["org_b"], "calls"): 7}


def test_a_repeat(rig: Rig, provider: Provider, make: Make) -> None:
    """It is accepted and counts once, where the profile has a window; where not, the profile says the truth."""
    once = 1 if provider.profile.duplicate_window_seconds else 3
    for instruction in (make(), make(), renewed(make())):
        assert send(provider, instruction).outcome is Outcome.ACCEPTED
    assert rig.counted() == 5 * once


def test_the_duplicate_window(rig: Rig, provider: Provider, make: Make) -> None:
    """A repeat counts once until the window's end; later it may count again, where there is an end."""
    window = provider.profile.duplicate_window_seconds
    send(provider, make())
    if window:
        rig.sandbox.advance(min(window, 400 * DAY) - HOUR)
        assert send(provider, renewed(make())).outcome in (Outcome.ACCEPTED, Outcome.REFUSED)
        assert rig.counted() == 5
    if window < FOR_EVER:
        rig.sandbox.advance(2 * HOUR)
        send(provider, make(idempotency_key="another"))  # under the old one Stripe's v2 remembers for 30 days
        assert rig.counted() == 10


@pytest.mark.parametrize("what", ["customer", "meter"])
def test_refused(rig: Rig, provider: Provider, make: Make, what: str) -> None:
    """Usage that nobody would be billed for is refused, and nothing of it counts."""
    answer = send(provider, make(**{what: "nobody_knows"}))
    assert answer.outcome is rig.refused(what)
    assert what in rig.later or "nobody_knows" in answer.reason
    assert rig.counted() == 0


def test_an_unknown_outcome(rig: Rig, provider: Provider, make: Make) -> None:
    """The reply is lost after the success: unknown; afterwards a repeat or a look-up settles it."""
    rig.sandbox.faults(lose_reply=100)
    answer = send(provider, make())
    rig.sandbox.faults()
    assert (answer.outcome, answer.answered) == (Outcome.UNKNOWN, False)
    assert rig.counted() == 5
    if provider.profile.finds_identifiers:
        assert provider.has(make())
    if provider.profile.duplicate_window_seconds:
        assert send(provider, make()).outcome is Outcome.ACCEPTED
    assert rig.counted() == 5


def test_half_an_answer(rig: Rig, provider: Provider, make: Make) -> None:
    """An answer cut off is never taken for a refusal, nor for "not sent"."""
    rig.sandbox.faults(half_answer=100)
    answer = send(provider, make())
    rig.sandbox.faults()
    assert answer.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED)
    assert rig.counted() == 5


def test_a_failure_at_the_provider(rig: Rig, provider: Provider, make: Make) -> None:
    """A 500 says nothing about what was done; the next attempt counts once."""
    rig.sandbox.faults(fail=100)
    answer = send(provider, make())
    rig.sandbox.faults()
    assert (answer.outcome, answer.answered) == (Outcome.UNKNOWN, True)
    assert send(provider, renewed(make())).outcome is Outcome.ACCEPTED
    assert rig.counted() == 5


def test_not_connected(rig: Rig, provider: Provider, make: Make) -> None:
    """Without a connection nothing was sent, for a provider that is known and for a new one."""
    rig.sandbox.outage()
    for each in (provider, rig.provider()):
        answer = send(each, make())
        assert (answer.outcome, answer.answered) == (Outcome.NOT_SENT, False)
    rig.sandbox.recover()
    rig.totals()  # the control plane has answered: the listener is back
    assert send(provider, make()).outcome in (Outcome.ACCEPTED, Outcome.NOT_SENT)


def test_the_right_to_send_is_asked_last(rig: Rig, provider: Provider, make: Make) -> None:
    """When the right has run out nothing leaves, alone and in a batch."""
    assert provider.send(make(), still_ours=lambda: False).outcome is Outcome.NOT_SENT
    both = provider.send_many([make(), make("ts-2")], still_ours=lambda: False)
    assert [answer.outcome for answer in both] == [Outcome.NOT_SENT] * 2
    assert rig.counted() == 0


def test_rate_limited(rig: Rig, provider: Provider, make: Make) -> None:
    """A 429 did nothing and may be sent again at any time, later if the provider wishes so."""
    rig.sandbox.faults(rate_limit=100)
    answer = send(provider, make())
    rig.sandbox.faults()
    assert (answer.outcome, answer.answered) == (Outcome.NOT_SENT, True)
    assert answer.retry_after_seconds == (None if rig.kind == "stripe" else 1)
    assert rig.counted() == 0
    assert send(provider, renewed(make())).outcome is Outcome.ACCEPTED


def test_unauthorised(rig: Rig, make: Make) -> None:
    """A key that is not accepted pauses; it says nothing against the usage."""
    provider = rig.provider(key=WRONG[rig.kind])
    assert send(provider, make()).outcome is Outcome.PAUSED
    assert provider.send_many([make(), make("ts-2")], still_ours=lambda: True)[1].outcome is Outcome.PAUSED
    assert rig.counted() == 0


@pytest.mark.parametrize("value", ["0", "1", "0.000000000001", "-3", "-0.5", "12345678.9012"])
def test_quantities_arrive_exactly(rig: Rig, provider: Provider, make: Make, value: str) -> None:
    """Digits are neither lost nor added on the way there."""
    assert send(provider, make(value=value)).outcome is Outcome.ACCEPTED
    assert rig.counted() == Decimal(value)


def test_as_many_digits_as_the_profile_says(rig: Rig, provider: Provider, make: Make) -> None:
    """The largest value with and without decimals arrives exactly; more digits arrive in parts."""
    digits = "9" * provider.profile.significant_digits
    for number, value in enumerate((digits, f"{digits[:-3]}.{digits[-3:]}")):
        assert send(provider, make(f"ts-{number}", value)).outcome is Outcome.ACCEPTED
    steps = 10**15 + 7
    for number, part in enumerate(rules.values(steps, Meter("tokens"), provider.profile)[:2000]):
        assert send(provider, make(f"part-{number}", str(part))).outcome is Outcome.ACCEPTED
        steps -= part
        if number == 20:
            break
    expected = Decimal(digits) + Decimal(f"{digits[:-3]}.{digits[-3:]}") + (10**15 + 7 - steps)
    assert rig.counted() == expected


def test_old_usage(rig: Rig, provider: Provider, make: Make) -> None:
    """Usage is taken up to the profile's age, and refused beyond."""
    age = min(provider.profile.max_age_seconds, 400 * DAY)
    assert send(provider, make(happened_at=START - age + HOUR)).outcome is Outcome.ACCEPTED
    if provider.profile.max_age_seconds < FOR_EVER:
        assert send(provider, make("ts-2", happened_at=START - age - HOUR)).outcome is rig.refused("age")
    assert rig.counted() == 5


def test_batches(rig: Rig, provider: Provider, make: Make) -> None:
    """A full batch is one call and counts exactly; where the size is 1 there is nothing to batch."""
    size = provider.profile.batch_size
    batch = [make(f"ts-{n}", str(n), happened_at=START - n) for n in range(size)]
    before = rig.requests()
    answers = provider.send_many(batch, still_ours=lambda: True)
    assert rig.requests() - before == 1
    assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * size
    assert rig.counted() == sum(range(size))


def test_a_batch_with_bad_ones_in_it(rig: Rig, provider: Provider, make: Make) -> None:
    """A refusal and a repeat concern themselves only; every other instruction of the call counts once."""
    send(provider, make("ts-0", "1"))
    batch = [make("ts-1", "10"), make("ts-2", customer="nobody_knows"), make("ts-3", "100")]
    if provider.profile.duplicate_window_seconds:
        batch.append(make("ts-0", "1"))
    answers = provider.send_many(batch, still_ours=lambda: True)
    good = [Outcome.ACCEPTED, rig.refused("customer"), Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert [answer.outcome for answer in answers] == good[: len(batch)]
    assert rig.counted() == 111


def test_a_batch_whose_reply_is_lost(rig: Rig, provider: Provider, make: Make) -> None:
    """All of it is unknown, and counts once after all of it is sent again (where that is allowed)."""
    batch = [make(f"ts-{n}", "1") for n in range(3)]
    rig.sandbox.faults(lose_reply=100)
    answers = provider.send_many(batch, still_ours=lambda: True)
    rig.sandbox.faults()
    assert {answer.outcome for answer in answers} == {Outcome.UNKNOWN}
    if provider.profile.duplicate_window_seconds:
        again = provider.send_many(batch[::-1], still_ours=lambda: True)
        assert {answer.outcome for answer in again} == {Outcome.ACCEPTED}
    assert rig.counted() == 3


def test_several_threads_share_a_provider(rig: Rig, provider: Provider, make: Make) -> None:
    """Connections and look-ups are safe to share."""
    fresh = rig.provider()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: send(fresh, make(f"ts-{n}", "1")), range(40)))
    assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    assert rig.counted() == 40


@pytest.mark.parametrize("rig", ["openmeter", "lago", "lago-clickhouse"], indirect=True)
def test_a_batch_refused_for_the_form_of_one(rig: Rig, provider: Provider, make: Make) -> None:
    """Where a batch is refused as a whole, the bad one is singled out and the others count."""
    batch = [make("ts-1", "1"), make("", "10"), make("ts-3", "100")]
    answers = provider.send_many(batch, still_ours=lambda: True)
    assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED]
    assert rig.counted() == 101


class _Portal(http.server.BaseHTTPRequestHandler):
    """A proxy that lets look-ups through and answers every POST itself, as a captive portal does."""

    protocol_version = "HTTP/1.0"
    base = ""

    def do_GET(self) -> None:
        headers = {"authorization": self.headers["authorization"]}
        request = urllib.request.Request(f"{self.base}{self.path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            self._answer(reply.read())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(b"<html>welcome</html>")

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Elsewhere(_Portal):
    """A web server that has nothing to do with it."""

    def do_GET(self) -> None:
        self._answer(b"<html>not here</html>", 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(b"<html>not here</html>", 404)


def test_an_answer_that_is_not_the_providers(rig: Rig, make: Make) -> None:
    """A 200 from somebody else is no success and no refusal."""
    portal = type("Portal", (_Portal,), {"base": rig.base})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), portal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            provider = rig.provider(base=f"http://127.0.0.1:{server.server_address[1]}")
            batch = [make("ts-1"), make("ts-2")]
            answers = [send(provider, make()), *provider.send_many(batch, still_ours=lambda: True)]
        finally:
            server.shutdown()
            thread.join()
    assert [(answer.outcome, answer.answered) for answer in answers] == [(Outcome.UNKNOWN, False)] * 3
    assert rig.counted() == 0


def test_a_wrong_address_refuses_nothing(rig: Rig, make: Make) -> None:
    """Somebody else's 404 does not say that a customer or meter is missing."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            provider = rig.provider(base=f"http://127.0.0.1:{server.server_address[1]}")
            assert send(provider, make()).outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("rig", ["openmeter", "lago"], indirect=True)
def test_both_ways_to_write_the_address(rig: Rig, make: Make) -> None:
    """With /api/v1 and without."""
    for number, base in enumerate((f"{rig.base}/", f"{rig.base}/api/v1", f"{rig.base}/api/v1/")):
        answer = send(rig.provider(base=base), make(f"ts-{number}", "1"))
        assert answer.outcome is Outcome.ACCEPTED
    assert rig.counted() == 3
