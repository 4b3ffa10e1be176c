"""Which provider customer an application's customer is: linked, or found by the application's resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tallystick.ledger.ledger import Ledger
from tallystick.storage import Flow, Statement
from tallystick.values.identifiers import lane_of
from tallystick.values.instant import MINUTE

Resolver = Callable[[Sequence[str]], Mapping[str, str]]


class Links:
    """Customer links of one tenant, mode and provider, remembered once found.

    A link belongs to the provider that was configured when it was made ("none": to any), so that a
    change of provider sends nothing to ids of the one before.

    `resolver` is asked for customers that are not linked: it takes application ids and gives those
    it knows, for instance from the application's own `stripe_customer_id` column. When it fails, `find` is
    told, and they wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        provider: str,
        find: Callable[[str, str, str], None],
        *,
        resolver: Resolver | None = None,
    ) -> None:
        self._ledger = ledger
        self._find = find
        self.provider = provider
        self._resolver = resolver
        self._known: dict[str, str] = {}
        self._since = ledger.clock.elapsed()

    def known(self, customer: str) -> str | None:
        """The provider's id if this process has seen it; no look-up."""
        return self._known.get(customer)

    def find(self, customers: Iterable[str]) -> dict[str, str]:
        """The provider's ids of those customers that have one."""
        asked, known = set(customers), self._fresh()
        found = {customer: known[customer] for customer in asked & known.keys()}
        missing = sorted(asked - found.keys())
        if missing:
            stored = self._ledger.read(self._stored(missing))
            known.update(stored)
            found.update(stored)
            missing = [customer for customer in missing if customer not in stored]
        if missing and self._resolver is not None and (new := self._resolved(self._resolver, missing)):
            self.link(new)
            found.update(new)
        return found

    def _fresh(self) -> dict[str, str]:
        """What this process remembers: for a minute, because another process may link anew."""
        now = self._ledger.clock.elapsed()
        if not 0 <= now - self._since < MINUTE:
            self._known, self._since = {}, now
        return self._known

    def _resolved(self, resolver: Resolver, missing: Sequence[str]) -> dict[str, str]:
        try:
            return {customer: found for customer, found in resolver(missing).items() if found}
        except Exception as error:  # the application's own code: its failures are not the relay's
            text = f"{type(error).__name__}: {error}"
            self._find(
                "resolver_failed", "resolver", f"{len(missing)} customer(s) wait for their link: {text}"
            )
            return {}

    def linked(self, customers: Iterable[str]) -> dict[str, str]:
        """The provider's ids of those that are linked; the resolver is not asked."""
        asked = set(customers)
        missing = sorted(asked - self._known.keys())
        stored = self._ledger.read(self._stored(missing)) if missing else {}
        return {c: found for c in asked if (found := self._known.get(c) or stored.get(c))}

    def link(self, links: Mapping[str, str]) -> None:
        """Link application ids to provider ids, durably; what was waiting for a link is sent soon."""
        self._ledger.commit.run(errand=lambda: self._store(links))
        self._known.update(links)

    def all(self) -> dict[str, str]:
        """All stored links."""
        return self._ledger.read(self._all())

    def _stored(self, customers: Sequence[str]) -> Flow[dict[str, str]]:
        rows = yield Statement(
            "find_links", rows=[(*self._place(customer), self.provider) for customer in customers]
        )
        return dict(rows)

    def _all(self) -> Flow[dict[str, str]]:
        where = self._ledger.where
        rows = yield Statement(
            "all_links", {"tenant": where.tenant, "mode": where.mode, "provider": self.provider}
        )
        return dict(rows)

    def _store(self, links: Mapping[str, str]) -> Flow[None]:
        now = self._ledger.clock.now()
        rows = sorted((*self._place(c), self.provider, provider_id, now) for c, provider_id in links.items())
        yield Statement("insert_links", rows=rows)
        for customer in links:
            yield Statement("hasten_obligations", {**self._ledger.where.of(customer), "now": now})

    def _place(self, customer: str) -> tuple[int, str, str, str]:
        where = self._ledger.where
        return (lane_of(where.tenant, where.mode, customer), where.tenant, where.mode, customer)
