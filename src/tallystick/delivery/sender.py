"""One attempt at a time: what couriers and the relay share about sending."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tallystick.delivery import flows, rules
from tallystick.delivery.breaker import Breaker
from tallystick.delivery.links import Links
from tallystick.delivery.model import Attempt, SlotKey, Terms
from tallystick.delivery.pace import Pace
from tallystick.errors import TallystickError
from tallystick.ledger.ledger import Ledger
from tallystick.meters import Catalogue
from tallystick.providers import Answer, Outcome, Provider
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import SECOND

LEASE_SECONDS = 30


class Sender:
    """Claims, sends and writes down, for one process; `owner` names it in slots and leases.

    `requests_per_second` bounds the calls of this process (0: what the provider publishes); `may_send` says
    whether this database is the one that sends.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        provider: Provider,
        links: Links,
        find: Callable[[str, str, str], None],
        *,
        requests_per_second: int = 0,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.ledger = ledger
        self.may_send = may_send
        self.find = find
        self.links = links
        self.provider = provider
        self.breaker = Breaker(ledger.clock)
        self._refused_because = ""  # what was last said of a key that is refused
        self._pace = Pace(ledger.clock, requests_per_second or provider.profile.requests_per_second)
        self.owner = ledger.ids.next().hex()
        self.catalogue = catalogue
        self.terms = Terms(
            owner=self.owner,
            prefix=rules.prefix_of(ledger.identity),
            profile=provider.profile,
            meter=catalogue.__getitem__,
            new_id=ledger.ids.next,
            now=ledger.clock.now,
            elapsed=ledger.clock.elapsed,
            lease=LEASE_SECONDS * SECOND,
        )

    def slot_key(self, lane: int, tenant: str, mode: str, provider_customer: str, meter: str) -> SlotKey:
        """The slot under which usage of a meter is sent for a provider customer."""
        return (lane, tenant, mode, provider_customer, self.catalogue[meter].provider_name)

    def claim(self, owed: dict[SlotKey, list[tuple[int, bytes]]]) -> list[Attempt]:
        """Freeze what these slots owe into dispatches; those whose slot is taken are left alone."""
        if not self.may_send():
            return []
        attempts: list[Attempt] = self.ledger.commit.run(errand=lambda: flows.claim(owed, self.terms))
        return attempts

    def attempt(self, attempts: Sequence[Attempt]) -> list[Answer]:
        """Send dispatches in one call, unless our right to has run out meanwhile; note the outcome."""
        if self.breaker.key_refused and self.breaker.is_open:  # one probe a pause, not one per customer
            wait = self.breaker.closes_in_seconds
            waits = Answer(Outcome.NOT_SENT, "our key is refused", answered=False, retry_after_seconds=wait)
            return [waits for _ in attempts]
        if not self._pace.wait():
            busy = Answer(Outcome.NOT_SENT, "waits for its turn: the provider's rate limit", answered=False)
            return [busy for _ in attempts]
        instructions = [attempt.dispatch.instruction for attempt in attempts]
        failpoint("sender.attempting")
        answers = self.provider.send_many(instructions, still_ours=self._still_ours(attempts[0]))
        failpoint("sender.answered")
        for answer in answers:
            self._note(answer)
        if any(answer.too_fast for answer in answers):
            self._pace.slow_down()
        return answers

    def _note(self, answer: Answer) -> None:
        """Take an outcome into account; a key that is refused, or works again, is said once for each reason."""
        before = self.breaker.key_refused
        self.breaker.note(answer.outcome)
        after, name = self.breaker.key_refused, self.provider.profile.name
        if answer.outcome is Outcome.PAUSED and answer.reason != self._refused_because:
            self._refused_because = answer.reason
            self.find(
                "key_refused",
                name,
                f"{name} refuses our key ({answer.reason}); sending is paused, nothing is dropped: mend the key",
            )
        elif before and not after:
            self._refused_because = ""
            self.find("key_accepted", name, f"{name} takes our key again; sending goes on")

    def look_up(self, attempt: Attempt, sent_at: int) -> Answer:
        """Ask for what must not be sent again: whether an earlier attempt arrived."""
        try:
            if self.provider.has(attempt.dispatch.instruction):
                return Answer(Outcome.ACCEPTED, "the provider has it, from an earlier attempt")
        except TallystickError as error:
            return rules.unreadable(sent_at, str(error), self.ledger.clock.now())
        return rules.unfound(sent_at, self.provider.profile, self.ledger.clock.now())

    def write(self, answered: Sequence[tuple[Attempt, Answer]]) -> None:
        """Write down what the attempts came to."""
        now = self.ledger.clock.now()
        self.ledger.commit.run(errand=lambda: flows.write_answers(answered, now))

    def send_in_turn(self, attempts: Sequence[Attempt]) -> list[tuple[Attempt, Answer]]:
        """Send the dispatches of one slot, in order; after a failure the rest stays unsent."""
        answered: list[tuple[Attempt, Answer]] = []
        for some, sent_at in self._calls(attempts):
            if answered and answered[-1][1].outcome not in (Outcome.ACCEPTED, Outcome.REFUSED):
                unsent = Answer(Outcome.NOT_SENT, "waits for the one before it", answered=False)
                answered += [(attempt, unsent) for attempt in some]
                continue
            answers = self.attempt(some) if sent_at is None else [self.look_up(some[0], sent_at)]
            answered += zip(some, answers, strict=True)
        return answered

    def _calls(self, attempts: Sequence[Attempt]) -> list[tuple[list[Attempt], int | None]]:
        """The attempts as calls: as many as the provider takes at once.

        What may not be sent again stands alone, with the instant it was first sent: it is looked up.
        """
        now = self.ledger.clock.now()
        profile = self.provider.profile
        calls: list[tuple[list[Attempt], int | None]] = []
        for attempt in attempts:
            repeatable = self.terms.is_absolute(attempt.dispatch.meter)
            if not repeatable and rules.is_past_window(attempt.sent_before, profile, now):
                calls.append(([attempt], attempt.sent_before))
            elif calls and calls[-1][1] is None and len(calls[-1][0]) < profile.batch_size:
                calls[-1][0].append(attempt)
            else:
                calls.append(([attempt], None))
        return calls

    def _still_ours(self, attempt: Attempt) -> Callable[[], bool]:
        margin, clock = int(self.provider.profile.timeout_seconds * SECOND), self.ledger.clock
        last, lasts_until = attempt.slot.expires_at - margin, attempt.slot.lasts_until - margin
        return lambda: clock.now() < last and clock.elapsed() < lasts_until
