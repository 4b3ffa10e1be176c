"""What the provider rejected after accepting it: reports are taken, the provider's total decides.

A report names samples only. It raises a doubt about every minute, customer and meter that may be meant; two
equal readings of the provider's total, ten minutes apart, settle a doubt (longer, where the report names not
all of it). What is missing gets a new dispatch
under a new identity; what cannot be told apart is left to a person, with a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import (
    SETTLING,
    Disposition,
    Verdict,
    conclude,
    remedy,
    stood_still,
    superseding,
)
from tallystick.errors import ActionError, NoSuchCustomerError, NoticeError, ProviderError
from tallystick.ledger.ledger import Ledger
from tallystick.meters import Catalogue
from tallystick.providers import Notice, Provider, Report, Reports
from tallystick.reconciliation.doubts import Doubt, Place, codes_of, raised_by
from tallystick.reconciliation.rules import standing
from tallystick.storage import Flow, Statement
from tallystick.values.instant import DAY, HOUR, MINUTE, SECOND
from tallystick.values.quantity import from_steps

POLL_EVERY = 5 * MINUTE
KEPT = 30 * DAY  # how long the provider keeps its events
OVERLAP = HOUR  # reports may be listed late
AT_ONCE = 20  # doubts looked into in one step


class Minute(msgspec.Struct, frozen=True):
    """A doubt's minute: what is accepted, whether more is under way, the total as read, the steps it lacks."""

    accepted: list[Dispatch]
    under_way: bool
    read: str
    missing: int
    decimals: int


class Rejections:
    """The later word of the provider of one tenant and mode; `find` takes findings (code, subject, message)."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        provider: Provider,
        reports: Reports,
        find: Callable[[str, str, str], None],
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._provider = provider
        self._reports = reports
        self._find = find
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}

    def notice(self, body: bytes, signature: str, secrets: Sequence[str]) -> Notice:
        """Verify a webhook and take the report it announces, fetched under our own key.

        NoticeError when it is not genuine or of the other mode; ProviderError when it cannot be fetched now.
        """
        notice = self._reports.verified(body, signature, secrets)
        if notice.mode != self._ledger.where.mode:
            raise NoticeError(
                f"a {notice.mode} event came to a ledger of mode {self._ledger.where.mode!r}; "
                "live and test never mix: give this endpoint's secret to the other one"
            )
        if notice.reports:
            self.take(self._reports.fetch(notice.identity))
        return notice

    def step(self) -> int:
        """Poll when it is time, look into doubts that are due; how much was done. A provider away waits."""
        return self._poll() + self._decide()

    def standing(self) -> dict[str, int]:
        """How many doubts are "open", and how many "unclear" ones wait for a person."""
        return self._ledger.read(_count_doubts(self._where))

    def unclear(self, *, limit: int = 1000) -> list[Doubt]:
        """The doubts that wait for a person, oldest minute first."""
        params = {**self._where, "limit": limit}
        return self._ledger.read(_doubts("unclear_doubts", params))

    def in_doubt(self, report: str) -> list[Dispatch]:
        """The accepted dispatches among which a person has to find the lost ones of a report."""
        sent = [
            d for doubt in self.unclear() if doubt.report == report for d in self._ledger.read(_sent(doubt))
        ]
        return [d for d in sent if d.state in ("accepted", "confirmed")]

    def decide(self, report: str, lost: Sequence[str], *, reason: str, by: str) -> list[Dispatch]:
        """A person's decision about the unclear doubts of a report: these identifiers are lost, the rest counted.

        The successors of the lost. In a minute whose total lacks nothing any more, something else of the same
        quantity stands for what was lost: nothing of it is sent again. ActionError when there is no such doubt, an
        identifier is not of its minutes, or reason or name is missing; ProviderError when totals cannot be read.
        """
        if not reason or not by:
            raise ActionError("say why and who: --reason and --by are kept with the decision")
        doubts = [doubt for doubt in self.unclear() if doubt.report == report]
        if not doubts:
            raise ActionError(f"no doubt of report {report!r} waits; `tallystick doubts` lists them")
        found = {d.identifier: d for doubt in doubts for d in self._ledger.read(_sent(doubt))}
        wrong = [i for i in lost if i not in found or found[i].state not in ("accepted", "confirmed")]
        if wrong:
            raise ActionError(f"{wrong[0]!r} is not an accepted dispatch of a minute in doubt")
        now, said = self._ledger.clock.now(), f"decided by {by}: {reason}"
        lacking = [doubt for doubt in doubts if self._minute(doubt).missing]
        there = {d.identifier for doubt in lacking for d in self._ledger.read(_sent(doubt))}
        pairs = [(found[i], doubts[0].code) for i in dict.fromkeys(lost) if i in there]
        closed = [msgspec.structs.replace(d, state="counted", reason=said, due_at=now) for d in doubts]
        if pairs:
            closed[0] = msgspec.structs.replace(closed[0], state="superseded")
        made: list[Dispatch] = self._ledger.commit.run(errand=lambda: _decided(closed, pairs, now))
        return made

    def poll(self) -> int:
        """Take the reports that no webhook brought, since the last poll that read them all; how many were new.

        ProviderError when they, or one of them, cannot be read.
        """
        now, name = self._ledger.clock.now(), f"reports read {self._where['tenant']} {self._where['mode']}"
        since = max(self._ledger.read(_read_until(name)) - OVERLAP, now - KEPT)
        count = sum(self.take(report) for report in self._reports.since(since // SECOND))
        self._ledger.commit.run(errand=lambda: _have_read(name, now))
        return count

    def take(self, report: Report) -> bool:
        """Keep a report and raise its doubts; False when it was known."""
        if self._ledger.read(self._body(report.identity)):
            return False
        now, doubts = self._ledger.clock.now(), raised_by(self._ledger, report)
        new = self._ledger.commit.run(errand=lambda: self._take(report, doubts, now))
        if new and not doubts:
            self._find(
                "report_unmatched",
                report.identity,
                f"{report.errors} error(s) on meter {report.meter or 'unknown'} "
                f"({', '.join(sorted({r.code for r in report.rejections}))}), and nothing of ours was accepted "
                "then; does another program write this meter?",
            )
        return bool(new)

    def _poll(self) -> int:
        now = self._ledger.clock.now()
        name, owner = f"reports {self._where['tenant']} {self._where['mode']}", self._ledger.ids.next().hex()
        due = self._ledger.commit.run(errand=lambda: _take_turn(name, owner, now))
        try:
            return self.poll() if due else 0
        except ProviderError as error:
            self._find("reports_unreadable", self._provider.profile.name, str(error))
            return 0

    def _take(self, report: Report, doubts: Mapping[Place, str], now: int) -> Flow[bool]:
        body = msgspec.json.encode(report).decode()
        place = (self._where["tenant"], self._where["mode"], report.identity)
        row = (*place, report.meter, report.created_at, now, report.errors, body)
        new = bool((yield Statement("insert_report", rows=[row])))
        if new and doubts:
            rows = [(*at, report.identity, code, "open", "", "", 0, now) for at, code in doubts.items()]
            yield Statement("insert_doubts", rows=sorted(rows))
        return new

    def _decide(self) -> int:
        now = self._ledger.clock.now()
        doubts = self._ledger.read(_doubts("due_doubts", {**self._where, "now": now, "limit": AT_ONCE}))
        for doubt in doubts:
            try:
                self._look_into(doubt, now)
            except ProviderError:
                later = msgspec.structs.replace(doubt, due_at=now + MINUTE)
                self._ledger.commit.run(errand=partial(_write, later))
        return len(doubts)

    def _minute(self, doubt: Doubt) -> Minute:
        """What of a doubt's minute is accepted, and what of it the provider's total lacks. ProviderError."""
        try:
            total = self._provider.total(
                doubt.provider_customer, doubt.provider_meter, doubt.minute, doubt.minute + 60
            )
        except NoSuchCustomerError:
            total = Decimal(0)  # a customer that is gone is billed nothing
        sent = self._ledger.read(_sent(doubt))
        accepted = [d for d in sent if d.state in ("accepted", "confirmed")]
        decimals = max(
            (self._catalogue[d.meter].decimals for d in accepted if d.meter in self._catalogue), default=0
        )
        read = self._provider.profile.meant(total, decimals)
        counted = int(read.scaleb(decimals))
        if any(d.meter in self._catalogue and self._catalogue[d.meter].formula.is_absolute for d in accepted):
            accepted = standing(accepted)
            missing = sum(d.quantity for d in accepted if d.quantity != counted)  # all of it, or nothing
        else:
            missing = sum(d.quantity for d in accepted) - counted
        under_way = any(d.state in ("sending", "unknown") for d in sent)
        return Minute(accepted, under_way, str(read), missing, decimals)

    def _look_into(self, doubt: Doubt, now: int) -> None:
        minute = self._minute(doubt)
        accepted = minute.accepted
        names = {d.meter for d in accepted}
        if not names <= {meter.name for meter in self._catalogue}:
            self._close(doubt, "unclear", f"meter {sorted(names)} is not declared any more", now)
            return
        kept = doubt.read_at if doubt.reading == minute.read else now
        codes = self._ledger.read(self._named(doubt.report))
        named = {d.identifier for d in accepted if _is_named(d, codes)}
        still_for = None if minute.under_way else stood_still(kept, accepted, now)
        decision = conclude(accepted, named, minute.missing, still_for)
        if decision is None:
            later = msgspec.structs.replace(doubt, reading=minute.read, read_at=kept, due_at=now + SETTLING)
            self._ledger.commit.run(errand=lambda: _write(later))
            return
        verdict, lost = decision
        if verdict is Verdict.COUNTED:
            self._close(doubt, "counted", "the provider's total holds all of it", now)
        elif verdict is Verdict.UNCLEAR:
            units = from_steps(minute.missing, minute.decimals)
            about = (
                f"{units} missing at {doubt.provider_customer}, {doubt.provider_meter}, minute {doubt.minute}"
            )
            self._close(doubt, "unclear", f"{about}; no single set of dispatches explains it", now)
        else:
            self._replace(doubt, [(d, _code_of(d, codes, doubt.code)) for d in lost], now)

    def _replace(self, doubt: Doubt, lost: Sequence[tuple[Dispatch, str]], now: int) -> None:
        closed = msgspec.structs.replace(doubt, state="superseded", reason=f"{len(lost)} lost", due_at=now)
        made: list[Dispatch] = self._ledger.commit.run(errand=lambda: _supersede(closed, lost, now))
        for (old, code), new in zip(lost, made, strict=False):
            follows = "sent again" if remedy(code).disposition is Disposition.AGAIN else "parked"
            self._find(
                "rejected_later",
                old.identifier,
                f"{new.reason}; {old.value} is {follows} as {new.identifier}",
            )

    def _close(self, doubt: Doubt, state: str, reason: str, now: int) -> None:
        closed = msgspec.structs.replace(doubt, state=state, reason=reason, due_at=now)
        self._ledger.commit.run(errand=lambda: _write(closed))
        if state == "unclear":
            self._find(
                "rejection_unclear", doubt.report, f"{reason}; read the report {doubt.report} and decide"
            )

    def _named(self, report: str) -> Flow[dict[str, str]]:
        [(body,)] = yield from self._body(report)
        return codes_of(msgspec.json.decode(body, type=Report))

    def _body(self, report: str) -> Flow[list[tuple[str]]]:
        rows: list[tuple[str]] = yield Statement("report_body", {**self._where, "report": report})
        return rows


def _doubts(query: str, params: dict[str, Any]) -> Flow[list[Doubt]]:
    rows = yield Statement(query, params)
    return [Doubt(*row) for row in rows]


def _count_doubts(where: dict[str, str]) -> Flow[dict[str, int]]:
    """How many doubts are open, and how many wait for a person."""
    rows = yield Statement("count_doubts", where)
    return dict(rows)


def _is_named(d: Dispatch, codes: dict[str, str]) -> bool:
    return any(name == d.identifier or name.startswith(f"{d.identifier}.") for name in codes)


def _code_of(d: Dispatch, codes: dict[str, str], otherwise: str) -> str:
    named = [c for name, c in codes.items() if name == d.identifier or name.startswith(f"{d.identifier}.")]
    return named[0] if named else otherwise


def _take_turn(name: str, owner: str, now: int) -> Flow[bool]:
    yield Statement("insert_lease", {"name": name})
    until = now + POLL_EVERY
    taken = yield Statement("take_lease", {"name": name, "owner": owner, "now": now, "until": until})
    return bool(taken == 1)


def _read_until(name: str) -> Flow[int]:
    """When reports were last read to the end; the instant is kept as a lease that nobody holds."""
    rows = yield Statement("find_lease", {"name": name})
    return rows[0][0] if rows else 0


def _have_read(name: str, now: int) -> Flow[None]:
    yield Statement("insert_lease", {"name": name})
    yield Statement("take_lease", {"name": name, "owner": "", "now": now, "until": now})


def _sent(doubt: Doubt) -> Flow[list[Dispatch]]:
    params = {
        "lane": doubt.lane,
        "tenant": doubt.tenant,
        "mode": doubt.mode,
        "provider_customer": doubt.provider_customer,
        "provider_meter": doubt.provider_meter,
        "since": doubt.minute,
        "until": doubt.minute + 60,
    }
    rows = yield Statement("dispatches_of_minute", params)
    return [to_dispatch(row) for row in rows]


def _write(doubt: Doubt) -> Flow[int]:
    params = msgspec.structs.asdict(doubt)
    del params["code"]
    count: int = yield Statement("write_doubt", params)
    return count


def _decided(doubts: Sequence[Doubt], lost: Sequence[tuple[Dispatch, str]], now: int) -> Flow[list[Dispatch]]:
    for doubt in doubts[1:]:
        yield from _write(doubt)
    return (yield from _supersede(doubts[0], lost, now))


def _supersede(doubt: Doubt, lost: Sequence[tuple[Dispatch, str]], now: int) -> Flow[list[Dispatch]]:
    """Give lost dispatches successors and close the doubt, all or nothing; [] when another process did."""
    if not (yield from _write(doubt)):
        return []
    made = []
    for d, code in lost:
        why = f"rejected after it was accepted ({code}); see report {doubt.report}"
        refused = yield Statement("refuse_accepted", rows=[(d.lane, d.dispatch, d.part, why, now)])
        if refused:
            [(part,)] = yield Statement("next_part", {"lane": d.lane, "dispatch": d.dispatch})
            made.append(superseding(d, part, code, now))
            yield Statement("insert_dispatches", rows=[made[-1].row()])
    return made
