"""Reports that are made when an account is settled: a plan is changed, a subscription ends, a new one is bought.

They support what reports the usage itself. Alone they tell the meter what was used only of those who happen to change.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tallystick.audit.case.case import Case
from tallystick.audit.case.offside import told_elsewhere
from tallystick.audit.case.reaching import reach
from tallystick.audit.program.program import Key
from tallystick.audit.trails.labels import CONST
from tallystick.audit.trails.trails import Trail

SETTLING = re.compile(  # of whatever kit: `stripe.subscriptions.update`, `subscription.Cancel`, `Subscription::create`
    r"(?i)(?:^|\.|->|::|\\)subscriptions?(?:_?items?)?(?:\(\))?(?:\.|->|::)(?:update|modify|create|new|cancel\w*|del(?:ete)?|swap\w*)$"
)
BUYING = re.compile(r"(?i)checkout(?:\.|->|::)?sessions?(?:\.|->|::)(?:create|new)$")
OF_A_PLAN = re.compile(
    rb"(?i)\bmode[\"']?\s{0,9}(?:[:=]|=>)\s{0,9}(?:[\"'`]|:|[\w.]{0,40}mode)\W?subscription"
)
CHANGE = re.compile(
    r"(?i)switch|upgrad|downgrad|change|cancel|unsubscri|subscrib|terminat|checkout|subscriptions?(?:$|/)|plans?(?:$|/)|tiers?(?:$|/)"
)
USE = re.compile(r"(?i)usage|meter|record|report|track|consum|ingest|hook|cron|invoice")
NEAR = 5


def at_changes_of_plan(case: Case) -> None:
    """Take away the start of such ways, where nothing else reports."""
    live = case.live
    if not live or not all(_settles(case, one) for one in live):
        return
    for number, trail in enumerate(case.trails):
        if trail.entry is not None:
            case.trails[number] = replace(trail, entry=None)
            case.idle[trail.top] = (
                f"usage is reported only when a plan is changed, bought or ended ({trail.entry.route}), and by nothing "
                "that uses it up"
            )


def _settles(case: Case, trail: Trail) -> bool:
    """Whether a request changes a subscription, sells none of the work, and reports what was counted until then."""
    entry = trail.entry
    if entry is None or entry.kind not in ("http", "action") or trail.site.stored or trail.client:
        return False
    said = f"{entry.route} {case.program.function(entry.key).name}"
    if not CHANGE.search(said) or USE.search(said) or {kind for kind, _ in trail.quantity} == {CONST}:
        return False  # one of each is counted where it happens
    if case.client_parts(trail.quantity, entry) or not any(_changes(case, key) for key, _ in trail.hops):
        return False
    return not reach(case, {entry.key}, NEAR) & case.workers and not told_elsewhere(case, trail)


def _changes(case: Case, key: Key) -> bool:
    """Whether a function changes a subscription itself, or lets one be bought."""
    callees = [one.callee for one in case.program.function(key).calls]
    bought = any(map(BUYING.search, callees)) and OF_A_PLAN.search(case.said(key)) is not None
    return bought or any(map(SETTLING.search, callees))
