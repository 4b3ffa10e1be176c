"""The safeguards of what was billed otherwise."""

from __future__ import annotations

from tests.mutation.mutation import SQL, Mutation

EXCLUDING = "reconciliation/exclusions.py"
OF_PROPOSALS = "tests/reconciliation/test_proposals.py::"

EXCLUSIONS = [
    Mutation(
        "what may have been counted is not excluded",
        EXCLUDING,
        "if any(_may_be_told_yet(d, told_by) for d in there):",
        "if False:",
        OF_PROPOSALS + "test_what_may_have_been_counted_is_not_excluded",
    ),
    Mutation(
        "what is excluded is what was shown",
        EXCLUDING,
        "if not ordered or sum(quantities) != steps:",
        "if False:",
        OF_PROPOSALS + "test_two_persons_at_once[sqlite]",
    ),
    Mutation(
        "what another has taken meanwhile is not taken",
        EXCLUDING,
        'if claimed and len((yield Statement("claim_obligations", rows=claimed))) < len(claimed):',
        'if claimed and len((yield Statement("claim_obligations", rows=claimed))) < 0:',
        OF_PROPOSALS + "test_two_transactions_at_once",
    ),
    Mutation(
        "what is not late is not excluded",
        SQL,
        "  and e.recorded_at < :cutoff\n",
        "\n",
        OF_PROPOSALS + "test_what_was_billed_otherwise_is_excluded_and_never_sent",
    ),
    Mutation(
        "a value that was billed otherwise stands",
        SQL,
        "and happened_at >= :since and happened_at < :until and (state <> 'refused' or exists (",
        "and happened_at >= :since and happened_at < :until and (state <> 'refused' or not exists (",
        OF_PROPOSALS + "test_a_value_that_stands_is_carried_on",
    ),
    Mutation(
        "a value is billed otherwise once",
        "delivery/absolutes.py",
        "if taken is None or (excluded is not None and excluded.happened_at > taken.happened_at):",
        "if taken is None:",
        OF_PROPOSALS + "test_a_value_is_billed_otherwise_once",
    ),
    Mutation(
        "a tie-out knows what was billed otherwise",
        "reconciliation/tieout.py",
        "otherwise = settled.get((customer, name), 0)",
        "otherwise = 0",
        OF_PROPOSALS + "test_what_was_billed_otherwise_is_excluded_and_never_sent",
    ),
    Mutation(
        "the same word a second time excludes nothing",
        "reconciliation/deadlines.py",
        "if shown != quantity:",
        "if False:",
        OF_PROPOSALS + "test_it_takes_what_was_shown_or_nothing",
    ),
    Mutation(
        "periods of a value are billed one by one",
        "reconciliation/deadlines.py",
        "until = min(late, period.until * SECOND)",
        "until = late",
        OF_PROPOSALS + "test_periods_of_a_value_are_settled_one_by_one",
    ),
    Mutation(
        "a value without a link waits for it",
        "reconciliation/deadlines.py",
        "if declared.formula.is_absolute and not place[3]:",
        "if False:",
        OF_PROPOSALS + "test_a_value_of_a_customer_without_a_link_waits_for_it",
    ),
]
