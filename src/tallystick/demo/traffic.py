"""The traffic: one hour of real LLM calls, and the customers a seed gives them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import random
from functools import lru_cache
from importlib.resources import files

import msgspec


class Call(msgspec.Struct, frozen=True):
    """One call of the trace; `number` counts from 0 in the order of time."""

    number: int
    service: str
    context_tokens: int
    generated_tokens: int

    @property
    def tokens(self) -> int:
        """What the call is billed for."""
        return self.context_tokens + self.generated_tokens


PART_TOKENS = 20


def parts(call: Call) -> list[int]:
    """The tokens of each part of a call's stream: the context, then what is generated, twenty at a time."""
    whole, rest = divmod(call.generated_tokens, PART_TOKENS)
    return [call.context_tokens, *[PART_TOKENS] * whole, *([rest] if rest else [])]


def is_streamed(call: Call) -> bool:
    """Every fifth call is a stream."""
    return call.number % 5 == 2


def read_until(call: Call) -> int | None:
    """After how many parts the client goes away: it abandons every twentieth stream in its middle."""
    return len(parts(call)) // 2 if call.number % 100 == 2 else None


@lru_cache(maxsize=1)
def trace() -> tuple[Call, ...]:
    """All calls of the trace."""
    packed = files(__package__).joinpath("data", "azure-llm-2023.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return tuple(
        Call(number, row["service"], int(row["context_tokens"]), int(row["generated_tokens"]))
        for number, row in enumerate(rows)
    )


def customers(count: int) -> list[str]:
    """The customers' names."""
    return [f"org_{number:03d}" for number in range(count)]


def assign(calls: int, names: list[str], seed: int) -> list[str]:
    """The customer of each call: a Zipf draw, so that a few customers are busy and many are not."""
    chance = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(names))]
    return chance.choices(names, weights, k=calls)


def api_key(customer: str) -> str:
    """The API key of a customer; the gateway finds the customer by it."""
    return "key_" + hashlib.sha256(f"demo:{customer}".encode()).hexdigest()[:24]
