"""All rules, in the order of their codes."""

from __future__ import annotations

from tallystick.audit.rules import (
    client_side_only,
    client_supplied_customer,
    client_supplied_quantity,
    errors_swallowed,
    fire_and_forget,
    legacy_api_removed,
    never_reported,
    no_idempotency,
    recorded_before_action,
    scheduled_reporting,
    unmetered_endpoint,
)
from tallystick.audit.rules.neighbours import NEIGHBOURS
from tallystick.audit.rules.outcomes import OUTCOMES

RULES = (
    client_side_only.RULE,
    client_supplied_customer.RULE,
    client_supplied_quantity.RULE,
    errors_swallowed.RULE,
    fire_and_forget.RULE,
    legacy_api_removed.RULE,
    never_reported.RULE,
    no_idempotency.RULE,
    recorded_before_action.RULE,
    scheduled_reporting.RULE,
    unmetered_endpoint.RULE,
    *NEIGHBOURS,
    *OUTCOMES,
)
