"""What a mutation is, and the places that many of them name."""

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
OF_ENDURANCE = "tests/delivery/test_endurance.py::"
OF_SWITCHES = "tests/delivery/test_switches.py::"
OF_DEADLINES = "tests/reconciliation/test_deadlines.py::"
OF_KEYS = "tests/delivery/test_keys.py::"


@dataclass(frozen=True)
class Mutation:
    """What is guarded, where, the words taken away, what stands in their place, and who has to notice."""

    name: str
    source: str
    old: str
    new: str
    test: str
    quick: bool = False
