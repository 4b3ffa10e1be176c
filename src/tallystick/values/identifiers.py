"""Identifiers: UUIDv7 in binary, lanes, and public ids that embed the lane.

UUIDv7 is RFC 9562 §5.7: 48 bits of milliseconds, then a counter and random bits, so that ids made
by one process sort in the order they were made.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from functools import lru_cache
from typing import Protocol

from tallystick.errors import IdentifierError

LANES = 256
_PUBLIC = re.compile("e([0-9a-f]{2})-([0-9a-f]{32})")
_COUNTER_MASK = (1 << 42) - 1


class Ids(Protocol):
    """Where identifiers come from."""

    def next(self) -> bytes:
        """A new 16-byte identifier, later than all before it from this source."""
        ...


class SystemIds:
    """UUIDv7 from the machine's clock and random source; safe across threads and forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._millisecond = 0
        self._counter = 0
        self._tail = 0

    def next(self) -> bytes:
        """A new UUIDv7, sorted after all earlier ones of this process."""
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._millisecond or self._pid != os.getpid():
                self._millisecond = max(now, self._millisecond)
                self._pid = os.getpid()
                chance = int.from_bytes(os.urandom(10), "big")
                # The counter starts in the lower half, so that it cannot run over in one millisecond.
                self._counter = (chance >> 32) & (_COUNTER_MASK >> 1)
                self._tail = chance & 0xFFFFFFFF
            self._counter += 1
            return _layout(self._millisecond, self._counter, self._tail)


class SeededIds:
    """Reproducible ids for tests and simulations: a counter under a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = 0

    def next(self) -> bytes:
        """The next id of the seeded sequence."""
        self._count += 1
        return _layout(self._seed, self._count, 0)


def _layout(millisecond: int, counter: int, tail: int) -> bytes:
    """RFC 9562: 48 bits of time, version, 12 bits, variant, 30 bits, and 32 bits of chance."""
    high = (millisecond << 16) | 0x7000 | (counter >> 30)
    low = (0b10 << 62) | ((counter & 0x3FFFFFFF) << 32) | tail
    return ((high << 64) | low).to_bytes(16, "big")


@lru_cache(maxsize=65536)
def lane_of(tenant: str, mode: str, customer: str) -> int:
    """The lane of a customer: stable for ever, 0 to 255."""
    return hashlib.sha256(f"{tenant}\0{mode}\0{customer}".encode()).digest()[0]


def to_public(lane: int, entry: bytes) -> str:
    """The public id of an entry: lane and UUID in hexadecimal, for instance `e5f-0192…`."""
    return f"e{lane:02x}-{entry.hex()}"


def from_public(text: str) -> tuple[int, bytes]:
    """Lane and UUID of a public id; IdentifierError when it is not one."""
    found = _PUBLIC.fullmatch(text)
    if found is None:
        raise IdentifierError(f"{text!r} is not an entry's id; one looks like e5f-0192… (36 characters)")
    return int(found[1], 16), bytes.fromhex(found[2])
