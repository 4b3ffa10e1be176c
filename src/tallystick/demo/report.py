"""The table: every number read from where it lives, and the differences that must be zero."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from statistics import median, quantiles
from typing import Any

import msgspec

from tallystick.app import Tally
from tallystick.demo.client import Logged
from tallystick.demo.traffic import Call
from tallystick.ledger.model import Entry
from tallystick.providers.stripe import StripeProvider
from tallystick.reconciliation.model import Balance
from tallystick.sandbox import Sandbox


class Line(msgspec.Struct, frozen=True):
    """One meter. `answered` is what the client was answered 200 for; `abandoned` what was recorded of streams that
    it left; `unanswered` what was recorded of calls that never got an answer; all in the meter's unit."""

    meter: str
    calls_answered: int
    entries: int
    answered: Decimal
    abandoned: Decimal
    unanswered: Decimal
    recorded: Decimal
    delivered: Decimal
    provider: Decimal

    @property
    def differences(self) -> tuple[Decimal, Decimal, Decimal]:
        """recorded - answered - abandoned - unanswered; recorded - delivered; delivered - provider."""
        return (
            self.recorded - self.answered - self.abandoned - self.unanswered,
            self.recorded - self.delivered,
            self.delivered - self.provider,
        )


class Sample(msgspec.Struct, frozen=True):
    """A customer's invoice as Stripe would draw it up now, and as our own numbers price it; in cents."""

    customer: str
    tokens: Decimal
    calls: Decimal
    invoiced: int
    expected: int


class Report(msgspec.Struct, frozen=True):
    """What the run came to."""

    lines: list[Line]
    streams: int
    abandoned: int
    abandoned_tokens: tuple[int, int, int]  # received by the client, recorded, what whole streams had been
    unanswered_recorded: int
    unanswered_lost: int
    other_answers: dict[str, int]
    wrong_calls: list[str]
    samples: list[Sample]
    provider_calls: int
    metered_ms: tuple[float, float]
    unmetered_ms: tuple[float, float]
    chain_problems: list[str]

    @property
    def balanced(self) -> bool:
        """Whether every difference is zero."""
        return (
            not any(any(line.differences) for line in self.lines)
            and not self.wrong_calls
            and not self.chain_problems
            and all(sample.invoiced == sample.expected for sample in self.samples)
        )


def build(
    tally: Tally,
    sandbox: Sandbox,
    log: Sequence[Logged],
    made: Mapping[str, Any],
    calls: Sequence[tuple[Call, str]],
    prices: Mapping[str, str],
) -> Report:
    """Read the client's log, the ledger and Stripe, and put them side by side."""
    balances = tally.tie_out()
    metered = [line for line in log if line.metered]
    tokens = {call.number: call.tokens for call, _ in calls}
    recorded = _recorded_calls(tally, {customer for _, customer in calls})
    answered = {line.call for line in metered if line.status == 200 and not line.abandoned}
    abandoned = {line.call: line.received for line in metered if line.abandoned}
    silent = {line.call for line in metered if line.status == 0}
    outcomes = (answered, set(abandoned), silent)
    lines = [_line(meter, balances, recorded, outcomes, tokens) for meter in ("ai_tokens", "api_calls")]
    assert isinstance(tally.provider, StripeProvider)
    return Report(
        lines=lines,
        streams=len([line for line in metered if line.streamed]),
        abandoned=len(abandoned),
        abandoned_tokens=(
            sum(abandoned.values()),
            int(lines[0].abandoned),
            sum(tokens[call] for call in abandoned),
        ),
        unanswered_recorded=len(silent & recorded.keys()),
        unanswered_lost=len(silent - recorded.keys()),
        other_answers=dict(Counter(str(line.status) for line in metered if line.status not in (0, 200))),
        wrong_calls=_wrong_calls(recorded, outcomes, tokens, {line.call for line in log if line.streamed})
        + _wrongly_abandoned(recorded, abandoned, tokens, _held_calls(tally)),
        samples=_samples(tally.provider, balances, made, prices),
        provider_calls=sandbox.tell("statistics")["meter_events"],
        metered_ms=_latency([line for line in metered if line.status == 200 and not line.streamed]),
        unmetered_ms=_latency([line for line in log if not line.metered and line.status == 200]),
        chain_problems=tally.ledger.broken_links(),
    )


def _recorded_calls(tally: Tally, names: set[str]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for customer in sorted(names):
        for entry in tally.entries(customer=customer, limit=1_000_000):
            found.setdefault(json.loads(entry.attributes)["call"], []).append(entry)
    return found


def _line(
    meter: str,
    balances: Sequence[Balance],
    recorded: Mapping[int, list[Entry]],
    outcomes: tuple[set[int], set[int], set[int]],
    tokens: Mapping[int, int],
) -> Line:
    answered, abandoned, silent = outcomes
    mine = [balance for balance in balances if balance.meter == meter]
    left, unanswered = (
        sum(e.quantity for call in which for e in recorded.get(call, ()) if e.meter == meter)
        for which in (abandoned, silent)
    )
    worth = sum(tokens[call] if meter == "ai_tokens" else 1 for call in answered)
    return Line(
        meter=meter,
        calls_answered=len(answered),
        entries=sum(balance.entries for balance in mine),
        answered=Decimal(worth),
        abandoned=Decimal(left),
        unanswered=Decimal(unanswered),
        recorded=sum((balance.recorded for balance in mine), Decimal(0)),
        delivered=sum((balance.delivered for balance in mine), Decimal(0)),
        provider=sum((balance.provider or Decimal(0) for balance in mine), Decimal(0)),
    )


def _wrong_calls(
    recorded: Mapping[int, list[Entry]],
    outcomes: tuple[set[int], set[int], set[int]],
    tokens: Mapping[int, int],
    streamed: set[int],
) -> list[str]:
    """Calls whose entries are not exactly what they should be; of a stream cut by a crash, at most its whole."""
    answered, _, silent = outcomes
    wrong = [f"call {call} was answered and is not recorded" for call in sorted(answered - recorded.keys())]
    for call, entries in sorted(recorded.items()):
        if call in silent and call in streamed and _is_within(entries, 0, tokens[call]):
            continue
        found = sorted((e.meter, e.quantity) for e in entries)
        if (call in answered or call in silent) and found != [("ai_tokens", tokens[call]), ("api_calls", 1)]:
            wrong.append(f"call {call} is recorded as {found}, its tokens are {tokens[call]}")
        if not any(call in which for which in outcomes):
            wrong.append(f"call {call} is recorded, but the client was answered with an error")
    return wrong


def _wrongly_abandoned(
    recorded: Mapping[int, list[Entry]],
    abandoned: Mapping[int, int],
    tokens: Mapping[int, int],
    held: set[int],
) -> list[str]:
    """Streams the client left that are not recorded once, between what it received and the whole.

    Where the gateway was killed right then, the hold is left and says so.
    """
    wrong = []
    for call, received in sorted(abandoned.items()):
        entries = recorded.get(call, [])
        if not (call in held if not entries else _is_within(entries, received, tokens[call])):
            found = sorted((e.meter, e.quantity) for e in entries)
            wrong.append(
                f"stream {call} was left after {received} of {tokens[call]} tokens, recorded: {found}"
            )
    return wrong


def _is_within(entries: Sequence[Entry], least: int, most: int) -> bool:
    """Whether a stream was recorded once, with tokens in these bounds."""
    found = sorted((e.meter, e.quantity) for e in entries)
    meters = [meter for meter, _ in found]
    return meters in (["ai_tokens", "api_calls"], ["api_calls"]) and (
        least <= sum(quantity for meter, quantity in found if meter == "ai_tokens") <= most
    )


def _held_calls(tally: Tally) -> set[int]:
    """The calls whose holds are open: those the gateway was killed in."""
    holds = tally.holds.open(limit=1_000_000)
    return {json.loads(hold.attributes)["call"] for hold in holds if hold.attributes}


def _samples(
    provider: StripeProvider, balances: Sequence[Balance], made: Mapping[str, Any], prices: Mapping[str, str]
) -> list[Sample]:
    """The busiest, a middling and the quietest customer."""
    usage: dict[str, dict[str, Decimal]] = {}
    for balance in balances:
        usage.setdefault(balance.customer, {})[balance.meter] = balance.recorded
    ranked = sorted(usage, key=lambda customer: usage[customer]["ai_tokens"])
    samples = []
    for customer in (ranked[-1], ranked[len(ranked) // 2], ranked[0]):
        subscriptions = provider.client.v1.subscriptions.list({"customer": made["customers"][customer]})
        preview = provider.client.v1.invoices.create_preview({"subscription": subscriptions.data[0].id})
        expected = sum(
            _price(usage[customer].get(meter, Decimal(0)), price) for meter, price in prices.items()
        )
        mine = usage[customer]
        samples.append(Sample(customer, mine["ai_tokens"], mine["api_calls"], preview.total, expected))
    return samples


def _price(quantity: Decimal, price: str) -> int:
    return int((quantity * Decimal(price)).to_integral_value(rounding=ROUND_HALF_UP))


def _latency(lines: Sequence[Logged]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    times = [line.microseconds / 1000 for line in lines]
    if len(times) < 2:
        return (0.0, 0.0)
    return (median(times), quantiles(times, n=100)[98])
