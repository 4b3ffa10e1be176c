"""The clock that stamps entries, against the provider's own.

What is stamped by one that is wrong is refused, or billed in another period.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.errors import ProviderError
from tallystick.ledger.ledger import Ledger
from tallystick.providers import Check, Provider
from tallystick.values.instant import HOUR, SECOND

# What the rest of reconciliation allows for; Stripe refuses usage from five minutes ahead on.
MOST_SECONDS = 60


class Clocks:
    """Compares the two now and then; `find` takes findings (code, subject, message)."""

    def __init__(self, ledger: Ledger, provider: Provider, find: Callable[[str, str, str], None]) -> None:
        self._ledger = ledger
        self._provider = provider
        self._find = find
        self._next = 0
        self._told = False

    def chore(self) -> int:
        """The relay's piece of upkeep: a look an hour. A clock that goes wrong is told of once, until it goes right."""
        now = self._ledger.clock.now()
        if now < self._next <= now + HOUR:
            return 0
        self._next = now + HOUR
        try:
            check = self.check()
        except ProviderError:
            return 0  # a provider that is away is told of elsewhere
        news = not check.ok and not self._told
        self._told = not check.ok
        if news:
            self._find("clock_skew", self._provider.profile.name, f"{check.message}; {check.fix}")
        return int(news)

    def check(self) -> Check:
        """Whether the clocks agree to within a minute. ProviderError when the provider cannot be asked."""
        ahead = self._ahead()
        if ahead is None:
            return Check("clock", True, "the provider does not say what time it is")
        if abs(ahead) <= MOST_SECONDS:
            return Check("clock", True, "the ledger's clock and the provider's agree to within a minute")
        where = "ahead of" if ahead > 0 else "behind"
        what = f"the ledger's clock is {abs(ahead)} s {where} the provider's"
        return Check("clock", False, what, "set the database server's clock (NTP)")

    def _ahead(self) -> int | None:
        """By how many seconds ours is ahead of theirs for sure, however long the answer took; behind: negative."""
        before = self._ledger.present() // SECOND
        theirs = self._provider.time()
        after = self._ledger.present() // SECOND
        return None if theirs is None else max(before - theirs, 0) + min(after - theirs, 0)
