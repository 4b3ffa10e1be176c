"""Faults on command: what may go wrong between a client and Stripe, drawn from a seed."""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec


class Fate(StrEnum):
    """What happens to one request."""

    ANSWER = "answer"
    LOSE_REPLY = "lose_reply"  # done, but the connection drops before the answer
    HALF_ANSWER = "half_answer"  # done, but only half of the answer arrives
    FAIL = "fail"  # 500, stored under the idempotency key
    RATE_LIMIT = "rate_limit"  # 429, nothing done


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of requests in percent, and a delay for all."""

    lose_reply: int = 0
    half_answer: int = 0
    fail: int = 0
    rate_limit: int = 0
    latency_ms: int = 0
    seed: int = 0


class Dice:
    """Draws each request's fate, repeatably."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)

    def draw(self) -> Fate:
        """The fate of the next request."""
        f = self.faults
        if not (f.lose_reply or f.half_answer or f.fail or f.rate_limit):
            return Fate.ANSWER
        drawn = self._random.randrange(100)
        for fate, share in (
            (Fate.LOSE_REPLY, f.lose_reply),
            (Fate.HALF_ANSWER, f.half_answer),
            (Fate.FAIL, f.fail),
            (Fate.RATE_LIMIT, f.rate_limit),
        ):
            if drawn < share:
                return fate
            drawn -= share
        return Fate.ANSWER
