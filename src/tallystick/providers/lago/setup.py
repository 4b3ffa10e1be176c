"""Setting Lago up for declared meters, and checking that it is.

Source: Lago's OpenAPI description (billable metrics, subscriptions, plans). Plans and charges are made
in Lago itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tallystick.providers.api import JsonApi, segment
from tallystick.providers.check import Check
from tallystick.providers.port import Change, Wanted

FIELD = "value"
_AGGREGATIONS = {"sum": "sum_agg", "last": "latest_agg"}


class Metric(msgspec.Struct):
    """A billable metric as Lago describes it."""

    lago_id: str
    code: str
    aggregation_type: str
    recurring: bool = False
    field_name: str | None = None
    expression: str | None = None
    rounding_function: str | None = None


class _OfMetric(msgspec.Struct):
    billable_metric: Metric


class _Charge(msgspec.Struct):
    billable_metric_code: str


class _Plan(msgspec.Struct):
    code: str = ""
    charges: list[_Charge] = []


class _Subscription(msgspec.Struct):
    external_id: str
    status: str
    plan_code: str
    plan: _Plan | None = None


class _OfSubscription(msgspec.Struct):
    subscription: _Subscription


def plan(api: JsonApi, wanted: Iterable[Wanted]) -> list[Change]:
    """The billable metrics that are missing."""
    return [
        Change("metric", meter, f"billable metric {meter.event_name!r}, {_AGGREGATIONS[meter.formula]}")
        for meter in wanted
        if _metric(api, meter.event_name) is None
    ]


def apply(api: JsonApi, changes: Iterable[Change]) -> list[str]:
    """Create the billable metrics of a plan; their ids."""
    made = []
    for change in changes:
        metric = {
            "name": change.meter.name,
            "code": change.meter.event_name,
            "aggregation_type": _AGGREGATIONS[change.meter.formula],
            "field_name": FIELD,
            "recurring": False,
        }
        created = api.create("/api/v1/billable_metrics", {"billable_metric": metric}, _OfMetric)
        made.append(created.billable_metric.lago_id)
    return made


def doctor(api: JsonApi, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
    """Check metrics, and that each linked subscription is active with a charge on every metric."""
    meters = list(wanted)
    checks = [check for meter in meters for check in _check_metric(api, meter)]
    for customer, identity in sorted(links.items()):
        about, found = f"customer {customer}", _subscription(api, identity)
        if found is None:
            fix = f"tallystick link {customer} with the external id of an active subscription"
            checks.append(Check(about, False, f"no active subscription {identity!r}", fix))
            continue
        charges = found.plan.charges if found.plan else []
        billed = {charge.billable_metric_code for charge in charges}
        missing = [meter.event_name for meter in meters if meter.event_name not in billed]
        if missing:
            fix = f"add a charge on {', '.join(missing)} to the plan {found.plan_code!r}"
            checks.append(Check(about, False, f"its plan has no charge on {', '.join(missing)}", fix))
        else:
            checks.append(Check(about, True, f"{identity!r} is active on plan {found.plan_code!r}"))
    return checks


def why_not_metered(api: JsonApi, code: str) -> str:
    """Why events of a metric would be counted by nobody ('' when they are counted)."""
    found = _metric(api, code)
    if found is None:
        return f"Lago has no billable metric {code!r}; run: tallystick lago apply"
    if found.field_name != FIELD:
        return f"Lago's metric {code!r} adds up {found.field_name!r}, not {FIELD!r}"
    return ""


def why_nobodys(api: JsonApi, identity: str) -> str:
    """Why usage of a subscription would be billed to nobody ('' when it is billed)."""
    return "" if _subscription(api, identity) else f"Lago has no active subscription {identity!r}"


def _check_metric(api: JsonApi, meter: Wanted) -> list[Check]:
    about, found = f"metric {meter.event_name}", _metric(api, meter.event_name)
    if found is None:
        return [Check(about, False, "Lago has no billable metric of that code", "tallystick lago apply")]
    wanted = _AGGREGATIONS[meter.formula]
    checks = [
        (
            found.aggregation_type == wanted,
            f"aggregation {found.aggregation_type}",
            f"make a metric with {wanted}",
        ),
        (found.field_name == FIELD, f"field {found.field_name!r}", f"make it add up {FIELD!r}"),
        (
            not found.recurring,
            "recurring" if found.recurring else "starts at zero each period",
            "make one that is not recurring: it carries usage over into the next period",
        ),
        (
            not (found.expression or found.rounding_function),
            "an expression or rounding changes the quantity"
            if found.expression or found.rounding_function
            else "no expression, no rounding",
            "make a metric without them",
        ),
    ]
    return [Check(about, ok, text, "" if ok else fix) for ok, text, fix in checks]


def _metric(api: JsonApi, code: str) -> Metric | None:
    found = api.read(f"/api/v1/billable_metrics/{segment(code)}", _OfMetric)
    return found.billable_metric if found else None


def _subscription(api: JsonApi, identity: str) -> _Subscription | None:
    found = api.read(f"/api/v1/subscriptions/{segment(identity)}", _OfSubscription)
    return found.subscription if found and found.subscription.status == "active" else None
