"""Faults on command: what may go wrong between a client and Stripe, by share, by script, by route, by customer.

Everything is drawn from one seed, so a run can be had again.
"""

from __future__ import annotations

import random
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec


class Fate(StrEnum):
    """What happens to one request."""

    ANSWER = "answer"
    LOSE_REPLY = "lose_reply"  # done, but the connection drops before the answer
    HALF_ANSWER = "half_answer"  # done, but only half of the answer arrives
    GARBAGE = "garbage"  # done, but a proxy answers 200 with a page of HTML
    GATEWAY_DONE = "gateway_done"  # done, but a gateway in the middle answers 504
    SLOW_ANSWER = "slow_answer"  # done at once, answered after `delay_ms`
    SLOW_WORK = "slow_work"  # done and answered after `delay_ms`; its key is in use meanwhile
    DROP = "drop"  # nothing done, the connection drops
    FAIL = "fail"  # 500 before anything was done, stored under the idempotency key and replayed
    FAIL_DONE = "fail_done"  # 500 after it was done, stored and replayed
    UNAVAILABLE = "unavailable"  # 503, nothing done, nothing stored
    GATEWAY = "gateway"  # nothing done, a gateway in the middle answers 502
    RATE_LIMIT = "rate_limit"  # 429, nothing done
    LOCK_TIMEOUT = "lock_timeout"  # 429 that asks to be retried, nothing done
    KEY_IN_USE = "key_in_use"  # 409 idempotency_key_in_use, nothing done
    UNAUTHORIZED = "unauthorized"  # 401, as after a key was rotated
    OUTAGE = "outage"  # the listener closes for `delay_ms`
    STALE = "stale"  # summaries are read from a copy `seconds` old
    REJECT_LATER = "reject_later"  # a good meter event: 2xx, not counted, reported later under `code`
    SWALLOW = "swallow"  # a good meter event: 2xx, not counted, never reported
    CLOCK_JUMP = "clock_jump"  # the clock jumps `seconds` forward first


Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Amount = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Asked(msgspec.Struct, frozen=True):
    """What of a request decides its fate; `text` is address and body, `key` the secret key."""

    method: str
    path: str
    text: bytes = b""
    key: str = ""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fate for the requests that match; a `sequence` gives one fate to each, in order, and is over then.

    `after` requests are left alone first, at most `times` are struck, and once one is struck so are the next
    `burst` - 1. `route` is a pattern such as `/v1/billing/*`; `key` is the secret key of the request.
    """

    fate: Fate = Fate.ANSWER
    sequence: tuple[Fate, ...] = ()
    percent: Percent = 100
    method: str = ""
    route: str = ""
    customer: str = ""
    key: str = ""
    after: Amount = 0
    times: Count | None = None
    burst: Count = 1
    delay_ms: Amount = 1000
    seconds: Amount = 60
    code: str = "meter_event_customer_not_found"

    @classmethod
    def parse(cls, text: str) -> Rule:
        """`lose_reply percent=20 route=/v1/billing/* times=3`, or `sequence=fail,answer,drop route=…`."""
        fields: dict[str, Any] = {}
        for word in text.split():
            name, given, value = word.partition("=")
            if not given:
                name, value = "fate", word
            fields[name] = value.split(",") if name == "sequence" else value
        try:
            if ("fate" in fields) == ("sequence" in fields):
                raise ValueError("it has a fate or a sequence of them")
            return msgspec.convert(fields, cls, strict=False)
        except ValueError as error:
            raise ValueError(f"fault {text!r}: {error}; fates are {', '.join(Fate)}") from None

    def matches(self, asked: Asked) -> bool:
        """Whether the rule speaks of a request; the customer is looked for in address and body."""
        return (
            (not self.method or self.method == asked.method)
            and (not self.route or fnmatchcase(asked.path, self.route))
            and (not self.customer or self.customer.encode() in asked.text)
            and (not self.key or self.key == asked.key)
        )


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of requests in percent by fate, a delay for all, and rules, which come first."""

    lose_reply: Percent = 0
    half_answer: Percent = 0
    garbage: Percent = 0
    gateway_done: Percent = 0
    slow_answer: Percent = 0
    slow_work: Percent = 0
    drop: Percent = 0
    fail: Percent = 0
    fail_done: Percent = 0
    unavailable: Percent = 0
    gateway: Percent = 0
    rate_limit: Percent = 0
    lock_timeout: Percent = 0
    key_in_use: Percent = 0
    unauthorized: Percent = 0
    outage: Percent = 0
    stale: Percent = 0
    reject_later: Percent = 0
    swallow: Percent = 0
    clock_jump: Percent = 0
    latency_ms: Amount = 0
    storm: Count = 1  # how many requests in a row a drawn 429 hits
    slow_ms: Amount = 1000
    outage_ms: Amount = 1000
    jump_seconds: Amount = 60
    stale_seconds: Amount = 60
    seed: int = 0
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if sum(getattr(self, fate.value) for fate in SHARES) > 100:
            raise ValueError("the shares of all fates are more than 100 percent")


SHARES = tuple(fate for fate in Fate if fate is not Fate.ANSWER)


class Dice:
    """Draws each request's fate, repeatably."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.struck: dict[str, int] = {}  # how often each fate was drawn
        self._random = random.Random(faults.seed)
        self._rules = [_Running(rule) for rule in faults.rules]
        self._shares = [(fate, getattr(faults, fate.value)) for fate in SHARES]
        self._shares = [(fate, share) for fate, share in self._shares if share]
        self._storm = 0
        self.idle = not self._rules and not self._shares  # no request can be struck

    def add(self, rule: Rule) -> None:
        """One rule more; what the others have done so far they need not do again."""
        self.faults = msgspec.structs.replace(self.faults, rules=(*self.faults.rules, rule))
        self._rules.append(_Running(rule))
        self.idle = False

    def draw(self, asked: Asked) -> Rule:
        """The fate of the next request, with its details."""
        if self.idle:
            return NO_FAULT
        rule = next((found for r in self._rules if (found := r.draw(asked, self._random))), None)
        drawn = rule or self._share()
        if drawn.fate is not Fate.ANSWER:
            self.struck[drawn.fate.value] = self.struck.get(drawn.fate.value, 0) + 1
        return drawn

    def _share(self) -> Rule:
        f = self.faults
        if self._storm:
            self._storm -= 1
            return Rule(Fate.RATE_LIMIT)
        drawn = self._random.randrange(100) if self._shares else 100
        for fate, share in self._shares:
            if drawn < share:
                if fate is Fate.RATE_LIMIT:
                    self._storm = f.storm - 1
                delay = f.outage_ms if fate is Fate.OUTAGE else f.slow_ms
                seconds = f.stale_seconds if fate is Fate.STALE else f.jump_seconds
                return Rule(fate, delay_ms=delay, seconds=seconds)
            drawn -= share
        return NO_FAULT


NO_FAULT = Rule()


class _Running:
    """A rule with what it has already done."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._seen = 0
        self._struck = 0
        self._burst = 0

    def draw(self, asked: Asked, chance: random.Random) -> Rule | None:
        """The rule with the fate of this request, or None when it leaves it alone."""
        rule = self._rule
        if not rule.matches(asked):
            return None
        self._seen += 1
        if self._seen <= rule.after:
            return None
        if rule.sequence:
            place = self._seen - rule.after - 1
            return (
                msgspec.structs.replace(rule, fate=rule.sequence[place])
                if place < len(rule.sequence)
                else None
            )
        if self._burst:
            self._burst -= 1
            return rule
        if rule.times is not None and self._struck >= rule.times:
            return None
        if chance.randrange(100) >= rule.percent:
            return None
        self._struck += 1
        self._burst = rule.burst - 1
        return rule
