"""Assembly: one `Tally` per application."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tallystick.actions.action import Action
from tallystick.actions.correcting import correct
from tallystick.actions.declaration import mark
from tallystick.actions.metered import Handler, Metering, wrap
from tallystick.actions.recorder import Recorder, canonical, name_of
from tallystick.actions.recording import Recording
from tallystick.app import environment
from tallystick.app.adoption import owed_by
from tallystick.app.after_commit import AfterCommit
from tallystick.app.awaitable import Awaitable
from tallystick.app.upkeep import chores
from tallystick.delivery.carrying import Carrying
from tallystick.delivery.courier import Courier
from tallystick.delivery.links import Links, Resolver
from tallystick.delivery.relay import Relay
from tallystick.delivery.sender import Sender
from tallystick.holds import Expirer, Holds
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Posted, Posting
from tallystick.ledger.reading import FOREVER, Usage
from tallystick.meters import Catalogue
from tallystick.meters.config import FILE, DeliverySettings, load
from tallystick.providers import Provider
from tallystick.providers.anchors import Anchors
from tallystick.providers.choice import refuse_other_mode
from tallystick.reconciliation import operations
from tallystick.reconciliation.alarms import Alarms, AlarmSettings
from tallystick.reconciliation.confirmation import Confirmer
from tallystick.reconciliation.credits import Credits
from tallystick.reconciliation.deadlines import Deadlines
from tallystick.reconciliation.findings import Findings
from tallystick.reconciliation.model import Balance, Finding
from tallystick.reconciliation.operations import Status
from tallystick.reconciliation.rejections import Rejections
from tallystick.reconciliation.tieout import tie_out
from tallystick.restore.anchoring import Anchoring
from tallystick.storage import Store, open_store
from tallystick.storage.opening import check_throw_away
from tallystick.values.identifiers import Ids
from tallystick.values.instant import Clock, from_datetime

GRACE_SECONDS = 2  # how long the relay leaves an entry to the request that recorded it


class Tally:
    """Records usage, sends it to the provider, shows it.

    Everything is explicit here; `Tally.from_config()` reads `tallystick.toml` and the environment.
    Without a `provider` usage is recorded and stays undelivered.
    """

    def __init__(
        self,
        store: Store,
        meters: Catalogue,
        *,
        provider: Provider | None = None,
        tenant: str = "default",
        mode: str = "test",
        account: str = "",
        delivery: DeliverySettings | None = None,
        resolver: Resolver | None = None,
        spool: Path | None = None,
        alarms: AlarmSettings | None = None,
        anchors: Sequence[Anchors] = (),
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.meters = meters
        self.settings = delivery or DeliverySettings()
        self.ledger = Ledger(store, meters, tenant=tenant, mode=mode, clock=clock, ids=ids)
        if provider is not None:
            refuse_other_mode(provider.mode, mode)
            environment.refuse_unbillable(meters, provider.profile)
        self.provider = provider
        self.noted = Findings(self.ledger)
        name = provider.profile.name if provider else "none"
        self.links = Links(self.ledger, name, self.find, resolver=resolver)
        self.sender: Sender | None = None
        self.courier: Courier | None = None
        self.holds = Holds(self.ledger, meters)
        self.expirer = Expirer(self.ledger, meters, self.find)
        self.ledger.commit.owes = owed_by(meters, self.ledger.clock, shadow=self.settings.shadow)
        self.anchoring = Anchoring(self.ledger, anchors, self.find) if anchors else None
        self.confirmer: Confirmer | None = None
        self.carrying: Carrying | None = None
        if provider is not None and not self.settings.shadow:
            self._assemble_delivery(provider)
        self.spool = environment.placed_spool(store, meters, spool, self.find)
        self.rejections: Rejections | None = None
        self.deadlines: Deadlines | None = None
        if provider is not None:
            self._assemble_reconciliation(provider)
        self.webhook_secrets: tuple[str, ...] = ()
        self.alarms = Alarms(self.ledger, alarms) if alarms is not None else None
        self.relay = Relay(self.ledger, self.sender, self.find, chores=chores(self))
        self._recorder = Recorder(
            self.ledger,
            meters,
            AfterCommit(self),
            self.find,
            tenant=tenant,
            mode=mode,
            account=account,
            spool=self.spool,
        )
        self.declarations: list[Metering] = []
        self.lenient_gate = False  # only for tests that roll back: responses need not wait for `on=`
        self.aio = Awaitable(self)

    def _assemble_delivery(self, provider: Provider) -> None:
        self.sender = Sender(
            self.ledger,
            self.meters,
            provider,
            self.links,
            self.find,
            requests_per_second=self.settings.requests_per_second,
            may_send=self.anchoring.may_send if self.anchoring is not None else lambda: True,
        )
        self.confirmer = Confirmer(self.sender, self.find)
        self.carrying = Carrying(self.sender, self.find)
        if self.settings.inline:
            self.courier = Courier(self.sender)
            self.ledger.commit.grace = GRACE_SECONDS * 1_000_000

    def _assemble_reconciliation(self, provider: Provider) -> None:
        if provider.reports is not None:
            self.rejections = Rejections(self.ledger, self.meters, provider, provider.reports, self.find)
        self.deadlines = Deadlines(self.ledger, self.meters, provider, self.links, self.find)

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
    ) -> Tally:
        """The Tally of `tallystick.toml` (or `path`, or TALLYSTICK_CONFIG) and the environment.

        TALLYSTICK_STORE is the ledger's URL, STRIPE_API_KEY the secret key (without it nothing is sent),
        STRIPE_API_BASE another address than Stripe's own; with `[provider] kind` OPENMETER_ or LAGO_ for STRIPE_.
        """
        environ = os.environ if environ is None else environ
        settings = load(Path(path or environ.get("TALLYSTICK_CONFIG") or FILE))
        provider = environment.configured_provider(settings, environ)
        url = environment.store_url(settings, environ)
        check_throw_away(url, mode=settings.mode, accepted=settings.store.accept_throw_away_disk)
        tally = cls(
            open_store(url),
            settings.meters,
            provider=provider,
            tenant=settings.tenant,
            mode=settings.mode,
            account=settings.account,
            delivery=settings.delivery,
            resolver=resolver,
            spool=Path(settings.store.spool) if settings.store.spool else None,
            alarms=environment.alarm_settings(environ),
            anchors=environment.configured_anchors(settings, provider),
        )
        tally.webhook_secrets = environment.webhook_secrets(environ)
        return tally

    # Declaring

    def metered(
        self,
        meter: str,
        *,
        customer: Any,
        quantity: Any = None,
        when: Callable[[Any], bool] | None = None,
        key: Callable[..., str] | None = None,
        attributes: Any = None,
        untrusted_ok: str | None = None,
        nested: str = "once",
    ) -> Callable[[Handler], Handler]:
        """Put an action around a handler; the route decorator stays on top.

        `customer` is a dependency of the framework or a function over handler arguments by name; `quantity` a
        function of the result (it may return a mapping of meters), or an int; `when` decides from the result
        whether it counts. A call inside an action of the same meter and customer counts once, with that one,
        unless it has a key of its own or `nested="apart"`. DeclarationError when one of them rests on what the
        client fills.
        """

        def decorate(handler: Handler) -> Handler:
            metering = Metering(
                self._recorder,
                handler,
                meter,
                customer=customer,
                quantity=quantity,
                when=when,
                key=key,
                attributes=attributes,
                untrusted_ok=untrusted_ok,
                nested=nested,
            )
            self.declarations.append(metering)
            return wrap(metering, self._recorder)

        return decorate

    def records(self, *meters: str) -> Callable[[Handler], Handler]:
        """Declare that a handler records these meters in its body."""
        for meter in meters:
            _ = self.meters[meter]

        def decorate(handler: Handler) -> Handler:
            mark(handler, meters)
            return handler

        return decorate

    # Recording

    def action(
        self,
        meter: str,
        *,
        customer: Any,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        hold: bool | None = None,
    ) -> Action:
        """One metered action, as `with` or `async with`; `key` names the logical operation (a job's id)."""
        return Action(self._recorder, meter, customer, key=key, attributes=attributes, hold=hold)

    def open(self, meter: str, *, customer: Any, **rest: Any) -> Action:
        """An action whose hold is durable, for a synchronous stream; arguments as for `action`."""
        return self.action(meter, customer=customer, **rest).__enter__()

    def record(
        self,
        meter: str,
        quantity: Any = 1,
        *,
        customer: Any,
        key: str | None = None,
        at: datetime | None = None,
        attributes: Mapping[str, Any] | None = None,
        on: Any = None,
    ) -> Any:
        """Record usage that has happened; a Posted once it is durable.

        `on` is the application's open transaction: the entry commits with its rows, or not at all (an async
        one gives an awaitable). `at` is when it happened, for information; billing time is the database's.
        """
        posting = self.posting(meter, quantity, customer=customer, key=key, at=at, attributes=attributes)
        if on is not None:
            carried = self._recorder.carry(on, posting)
            return Recording(carried, meter, self.find) if hasattr(carried, "__await__") else carried
        return self._recorder.post(posting)

    def record_many(self, rows: Sequence[Mapping[str, Any]]) -> list[Posted]:
        """Record many at once, each row the arguments of `record` but `on`; they share commits."""
        return self._recorder.post_many([self.posting(**row) for row in rows])

    def correct(self, entry: Entry | str, *, quantity: Any, reason: str, by: str) -> Posted:
        """Say what an entry should have said: the difference is posted as a new, signed entry.

        `entry` is the entry or its public id, `quantity` the right one in units; nothing is posted when the
        entry and its corrections come to that already. ActionError, QuantityError or IdentifierError.
        """
        posted = correct(self._recorder, entry, quantity, reason=reason, by=by)
        Credits(self.ledger, self.meters, self.links, self.find).look_at(posted.entries)
        return posted

    def posting(
        self,
        meter: str,
        quantity: Any = 1,
        *,
        customer: Any,
        key: str | None = None,
        at: datetime | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Posting:
        """The checked posting of one usage; QuantityError, UnknownMeterError or ActionError."""
        about = self.meters[meter]
        occurred_at = None if at is None else from_datetime(at)
        entry = self._recorder.entry(
            Kind.USAGE,
            about,
            name_of("customer", customer),
            about.steps(quantity),
            key=None if key is None else name_of("key", key),
            attributes=canonical(attributes),
            occurred_at=occurred_at,
        )
        return Posting((entry,))

    # Reading

    def usage(
        self,
        customer: str,
        meter: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by: str | None = None,
        group_by: str | None = None,
    ) -> list[Usage]:
        """Exact usage of [since, until), `by` "hour" or "day" (UTC), grouped by a declared attribute."""
        start = 0 if since is None else from_datetime(since)
        end = FOREVER if until is None else from_datetime(until)
        return self.ledger.usage(customer, self.meters[meter], start, end, by=by, group_by=group_by)

    def entries(
        self,
        *,
        customer: str,
        meter: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
        on: Any = None,
    ) -> list[Entry]:
        """Usage and corrections of one customer in the order of time; `on` reads within a transaction."""
        names = [meter] if meter else [m.name for m in self.meters]
        start = 0 if since is None else from_datetime(since)
        end = FOREVER if until is None else from_datetime(until)
        return self.ledger.entries(customer, names, since=start, until=end, limit=limit, on=on)

    def link_customer(self, customer: str, provider_customer: str) -> None:
        """Say which customer of the provider an application's customer is."""
        self.links.link({customer: provider_customer})

    def status(self) -> Status:
        """What is undelivered, on its way, parked or open."""
        found = operations.status(self.ledger)
        return found if self.spool is None else msgspec.structs.replace(found, spooled=self.spool.count())

    def tie_out(self) -> list[Balance]:
        """Recorded, delivered and the provider's total of every customer and meter; ProviderError."""
        return tie_out(self.ledger, self.meters, self.provider, self.links)

    def redrive(self, identifier: str = "") -> int:
        """Try a parked dispatch again, or all of them (''); how many."""
        return operations.redrive(self.ledger, self.links, identifier)

    # Living

    def start(self) -> None:
        """Start the in-process relay, if there is one; called by the integrations, harmless twice."""
        if self.settings.relay == "in-process":
            self.relay.start()

    def close(self) -> None:
        """Finish what is under way and close the connections."""
        if self.courier is not None:
            self.courier.close()
        self.relay.stop()
        self.noted.keep()
        self.ledger.close()

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, code: str, subject: str, message: str) -> None:
        """Note a finding: counted by its code, logged, and kept in the ledger by the next upkeep."""
        self.noted.note(code, subject, message)
        if self.alarms is not None:
            self.alarms.put(Finding(code, subject, message))

    @property
    def findings(self) -> deque[Finding]:
        """The newest findings of this process."""
        return self.noted.newest

    @property
    def finding_counts(self) -> Counter[str]:
        """How often this process found what, by code."""
        return self.noted.counts

    def untrusted(self) -> Iterator[str]:
        """Declarations that rest on the client's word, with the reason given."""
        for metering in self.declarations:
            for what in metering.untrusted:
                yield f"{metering.name}: {what} ({metering.reason})"
