"""Safeguards of delivery and reconciliation, each with the words that are it, and the test that misses it.

A mutation is data: in a copy of the sources the safeguard's words are replaced, and the named test must fail.
`python -m tests.mutation` tries all of them. What only time and rivals bring out is in
`tests/simulation/safeguards.py` and `tests/delivery/test_slots.py`, in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

RULES = "delivery/rules.py"
SENDER = "delivery/sender.py"
LATER = "delivery/rejections.py"
PROOF = "reconciliation/rules.py"
CONFIRM = "reconciliation/confirmation.py"
STRIPE = "providers/stripe/provider.py"
SQL = "storage/sql/delivery.sql"
OF_RULES = "tests/delivery/test_rules.py::"
OF_CONFIRM = "tests/reconciliation/test_confirmation.py::"
OF_LATER = "tests/delivery/test_rejections.py::"
OF_KEYS = "tests/delivery/test_keys.py::"
HELL = "tests/simulation/test_simulation.py::test_a_provider_that_takes_back_what_it_accepted"


@dataclass(frozen=True)
class Mutation:
    """What is guarded, where, the words taken away, what stands in their place, and who has to notice."""

    name: str
    source: str
    old: str
    new: str
    test: str
    quick: bool = False


ALL = [
    Mutation(
        "nothing is sent again past the duplicate window",
        RULES,
        "if doubtful and is_past_window(",
        "if False and is_past_window(",
        OF_RULES + "test_nothing_is_sent_again_past_the_window",
        quick=True,
    ),
    Mutation(
        "what is too old for the provider is parked",
        RULES,
        "> profile.max_age_seconds:",
        "> 10**12:",
        OF_RULES + "test_nothing_is_sent_again_past_the_window",
    ),
    Mutation(
        "a stored error gets a new idempotency key",
        RULES,
        '        key = f"{dispatch.identifier}.{dispatch.attempt}"',
        "        key = dispatch.idempotency_key",
        OF_RULES + "test_an_unknown_outcome_keeps_key_or_renews_it",
        quick=True,
    ),
    Mutation(
        "a lost answer keeps its idempotency key",
        RULES,
        "    if answer.answered:\n",
        "    if True:\n",
        OF_RULES + "test_an_unknown_outcome_keeps_key_or_renews_it",
    ),
    Mutation(
        "a certain failure says nothing about the attempt before",
        RULES,
        'state = "ready" if sent_before is None else "unknown"',
        'state = "ready"',
        OF_RULES + "test_never_sent_stays_ready_unless_an_earlier_attempt_may_have_arrived",
    ),
    Mutation(
        "more digits than the provider takes are spread",
        RULES,
        "    while rest > most:",
        "    while rest > 10**30:",
        OF_RULES + "test_more_digits_than_the_provider_takes_are_spread",
    ),
    Mutation(
        "a clock set back does not lengthen the right to send",
        SENDER,
        "clock.now() < last and clock.elapsed() < lasts_until",
        "clock.now() < last",
        "tests/delivery/test_rights.py::test_a_clock_set_back_does_not_lengthen_a_slot",
    ),
    Mutation(
        "a refused key pauses everything",
        "delivery/breaker.py",
        "            if outcome is Outcome.PAUSED:\n",
        "            if False:\n",
        OF_RULES + "test_a_refused_key_opens_the_breaker_at_once",
    ),
    Mutation(
        "a live key is not taken up by a test ledger",
        STRIPE,
        "        if mode != self.mode:\n",
        "        if False:\n",
        OF_KEYS + "test_a_live_key_is_not_taken_up_by_a_test_ledger",
    ),
    Mutation(
        "'already exists' is a yes",
        STRIPE,
        'if status == 400 and (error.code == "duplicate_meter_event" or _ALREADY in text):',
        "if False:",
        "tests/providers/conformance/test_sending.py::test_a_repeat",
    ),
    Mutation(
        "a relay sends usage of its own mode",
        SQL,
        "o.due_at <= :now and e.tenant = :tenant and e.mode = :mode",
        "o.due_at <= :now and e.tenant = :tenant and :mode = :mode",
        "tests/delivery/test_rights.py::test_a_relay_sees_only_its_own_mode",
    ),
    Mutation(
        "the provider's rate limit is kept",
        SENDER,
        "if not self._pace.wait():",
        "if False:",
        "tests/delivery/test_pace.py::test_the_limit_of_the_provider_is_kept",
    ),
    Mutation(
        "proof of absence takes two readings",
        PROOF,
        "    if earlier is None or not reading.repeats(earlier) or reading.read_at < sums.settled_at:",
        "    if False:",
        OF_CONFIRM + "test_what_never_arrived_is_sent_again",
    ),
    Mutation(
        "the two readings are ten minutes apart",
        PROOF,
        "return self.says(earlier) and self.read_at - earlier.read_at >= BETWEEN_READINGS",
        "return self.says(earlier)",
        OF_CONFIRM + "test_what_never_arrived_is_sent_again",
    ),
    Mutation(
        "the two readings are equal",
        PROOF,
        "return self.says(earlier) and self.read_at",
        "return self.read_at",
        OF_CONFIRM + "test_two_readings_are_equal_and_ten_minutes_apart",
    ),
    Mutation(
        "of several explanations of a gap none is believed",
        PROOF,
        "return choices[0] if len(choices) == 1 else None",
        "return choices[0] if choices else None",
        OF_CONFIRM + "test_which_of_them_make_the_gap",
        quick=True,
    ),
    Mutation(
        "what was never sent counts in no sum",
        PROOF,
        'return dispatch.state == "parked" and dispatch.first_sent_at is not None',
        'return dispatch.state == "parked"',
        OF_CONFIRM + "test_what_never_left_is_in_no_doubt",
    ),
    Mutation(
        "a customer that is gone does not starve the others",
        CONFIRM,
        "except NoSuchCustomerError as error:",
        "except ZeroDivisionError as error:",
        OF_CONFIRM + "test_a_customer_that_is_gone_does_not_starve_the_others",
    ),
    Mutation(
        "windows that cannot be cleared up do not starve the others",
        CONFIRM,
        "self._behind.pop(kind, BEFORE_ALL)",
        "BEFORE_ALL",
        OF_CONFIRM + "test_windows_that_cannot_be_cleared_up_do_not_starve_the_others",
    ),
    Mutation(
        "what is accepted and not in the totals is a finding",
        CONFIRM,
        "reading.read_at - window.oldest > ALARM:",
        "False:",
        HELL,
    ),
    Mutation(
        "what takes a dispatch's place has an identity of its own",
        LATER,
        '    identifier = f"{first}-{part}"\n',
        "    identifier = d.identifier\n",
        OF_LATER + "test_whatever_a_sample_names",
    ),
    Mutation(
        "nothing is concluded while something is under way",
        LATER,
        "return None if still_for is None or still_for < wait else (verdict, lost)",
        "return verdict, lost",
        OF_LATER + "test_nothing_is_concluded_while_something_is_under_way",
        quick=True,
    ),
    Mutation(
        "a total has to stand still before it proves a loss",
        LATER,
        "    if still_for is None or still_for < wait:",
        "    if still_for is None:",
        OF_LATER + "test_late_summaries_are_no_proof_of_loss",
    ),
    Mutation(
        "a total that can be right by chance is not believed at once",
        LATER,
        "wait = SETTLING_UNNAMED if may_cancel_out(accepted) else 0",
        "wait = 0",
        OF_LATER + "test_a_total_that_can_be_right_by_chance_is_not_believed_at_once",
        quick=True,
    ),
    Mutation(
        "a total that shows nothing is for a person",
        LATER,
        "return (Verdict.UNCLEAR, []) if wait == SETTLING_UNSEEN else (verdict, lost)",
        "return verdict, lost",
        OF_LATER + "test_a_total_that_shows_nothing_is_for_a_person",
        quick=True,
    ),
    Mutation(
        "what was accepted after a reading is not expected in it",
        LATER,
        "return now - max([read_at, *(d.due_at for d in accepted)])",
        "return now - read_at",
        OF_LATER + "test_judge_never_guesses",
    ),
    Mutation(
        "of several explanations of a loss none is believed",
        LATER,
        "if len(choices) == 1 else (Verdict.UNCLEAR, [])",
        "if choices else (Verdict.UNCLEAR, [])",
        OF_LATER + "test_judge_never_guesses",
        quick=True,
    ),
    Mutation(
        "a late answer does not bring back what was superseded",
        SQL,
        "  and d.state not in ('accepted', 'confirmed', 'refused')\n",
        "  and d.state not in ('accepted', 'confirmed')\n",
        OF_LATER + "test_a_late_answer_does_not_bring_back_what_was_superseded",
    ),
    Mutation(
        "doubts reach what was answered late",
        "storage/sql/reports.sql",
        "(settled_at is null or settled_at >= :since) and first_sent_at < :until",
        "settled_at >= :since and settled_at < :until",
        OF_LATER + "test_what_was_answered_late_is_doubted_too",
    ),
    Mutation(
        "a webhook of the other mode is refused",
        "reconciliation/rejections.py",
        "        if notice.mode != self._ledger.where.mode:\n",
        "        if False:\n",
        OF_LATER + "test_nothing_pushed_is_believed",
    ),
    Mutation(
        "a report that names too little raises doubts about its neighbours",
        "reconciliation/rejections.py",
        "if report.errors > len(suspects):",
        "if False:",
        OF_LATER + "test_what_was_answered_late_is_doubted_too",
    ),
    Mutation(
        "only what is past report_from is owed",
        "app/adoption.py",
        "from_datetime(m.report_from) for m in meters if m.report_from is not None",
        "0 for m in meters if m.report_from is not None",
        "tests/reconciliation/test_adoption.py::test_shadow_then_cut_over",
    ),
    Mutation(
        "the deadline is the draft's end",
        "cycles/rules.py",
        "return min(latest, (closes_at + profile.closes_after_seconds) * SECOND)",
        "return latest",
        "tests/reconciliation/test_deadlines.py::test_the_deadline_is_the_periods_draft_or_the_greatest_age",
    ),
]
