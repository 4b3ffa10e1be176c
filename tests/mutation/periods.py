"""Safeguards of time: periods and their boundaries, deadlines, values that stand."""

from __future__ import annotations

from tests.mutation.mutation import OF_DEADLINES, OF_RULES, OF_SWITCHES, RULES, Mutation

PERIODS = [
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
    Mutation(
        "what comes after the invoice is not sent",
        RULES,
        "if closed is not None and now >=",
        "if False and now >=",
        "tests/delivery/test_late.py::test_after_the_draft_it_is_an_invoice_item_to_make",
    ),
    Mutation(
        "what is late does not hide what is not",
        "reconciliation/deadlines.py",
        "            if one.level is Level.MISSED:\n                found +=",
        "            if False:\n                found +=",
        OF_DEADLINES + "test_a_provider_that_names_no_period",
    ),
    Mutation(
        "deadlines are told by the exit code",
        "cli/delivery.py",
        " or any(deadlines.values())",
        "",
        OF_DEADLINES + "test_on_the_command_line",
    ),
    Mutation(
        "each value that stands has a second of its own",
        "delivery/absolutes.py",
        "second = max(second, before.happened_at + 1)",
        "second = max(second, before.happened_at)",
        OF_SWITCHES + "test_late_values_of_an_ended_period_have_seconds_of_their_own",
    ),
    Mutation(
        "a value that was overtaken is given up",
        "delivery/absolutes.py",
        "    yield from overtake(dispatch, span, now)\n",
        "",
        "tests/delivery/test_absolutes.py::test_what_a_newer_value_says_too_is_given_up",
    ),
    Mutation(
        "what stands is carried into the next period",
        "delivery/carrying.py",
        "for meter in meters if meter.carry)",
        "for meter in meters if False)",
        OF_SWITCHES + "test_seats_are_carried_into_a_period_that_nobody_touched",
    ),
    Mutation(
        "a period is sure only up to when it was asked for",
        "cycles/periods.py",
        "return min(self.until, _sure_until(self.read_at))",
        "return self.until",
        OF_SWITCHES + "test_a_switch_in_mid_period",
    ),
    Mutation(
        "no dispatch crosses a boundary that there may be",
        RULES,
        "if period is None or second >= period.sure_until:",
        "if period is None:",
        OF_RULES + "test_no_dispatch_crosses_a_boundary_that_the_provider_may_have_set",
    ),
    Mutation(
        "no dispatch crosses a boundary that is known",
        RULES,
        "return (period.since, second // width)",
        "return (0, second // width)",
        "tests/delivery/test_compaction.py::test_a_backlog_over_a_renewal",
    ),
]
