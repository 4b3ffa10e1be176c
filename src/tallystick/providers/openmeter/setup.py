"""Setting OpenMeter up for declared meters, and checking that it is.

Source: OpenMeter's OpenAPI description (Meters, Customers). Plans, prices and subscriptions are made
in OpenMeter itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from tallystick.errors import ConfigError
from tallystick.providers.api import JsonApi, segment
from tallystick.providers.check import Check
from tallystick.providers.port import Change, Profile, Wanted

VALUE = "$.value"
_AGGREGATIONS = {"sum": "SUM", "last": "LATEST"}
_SLUG = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\Z")


class Meter(msgspec.Struct, rename="camel"):
    """A meter as OpenMeter describes it."""

    id: str
    slug: str
    aggregation: str
    event_type: str
    value_property: str | None = None
    deleted_at: str | None = None


class _Attribution(msgspec.Struct, frozen=True, rename="camel"):
    subject_keys: list[str] = []


class _Customer(msgspec.Struct, rename="camel"):
    key: str | None = None
    usage_attribution: _Attribution = _Attribution()
    current_subscription_id: str | None = None


class _Customers(msgspec.Struct):
    items: list[_Customer]


def plan(api: JsonApi, wanted: Iterable[Wanted]) -> list[Change]:
    """The meters that are missing."""
    changes = []
    for meter in wanted:
        if not _SLUG.match(meter.event_name) or len(meter.event_name) > 64:
            raise ConfigError(
                f"meter {meter.name!r}: OpenMeter takes no meter name {meter.event_name!r}; "
                "set event_name to small letters, digits and single underscores"
            )
        if _meter(api, meter.event_name) is None:
            about = f"meter {meter.event_name!r}, {_AGGREGATIONS[meter.formula]} of {VALUE}"
            changes.append(Change("meter", meter, about))
    return changes


def apply(api: JsonApi, changes: Iterable[Change]) -> list[str]:
    """Create the meters of a plan; their ids."""
    made = []
    for change in changes:
        body = {
            "slug": change.meter.event_name,
            "name": change.meter.name,
            "eventType": change.meter.event_name,
            "aggregation": _AGGREGATIONS[change.meter.formula],
            "valueProperty": VALUE,
        }
        made.append(api.create("/api/v1/meters", body, Meter).id)
    return made


def doctor(api: JsonApi, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
    """Check meters and the customers that linked subjects belong to."""
    checks = [check for meter in wanted for check in _check_meter(api, meter)]
    for customer, subject in sorted(links.items()):
        about, found = f"customer {customer}", _customer(api, subject)
        if found is None:
            fix = f"give {subject!r} to a customer in OpenMeter, or: tallystick link {customer} SUBJECT"
            checks.append(Check(about, False, f"no customer has the subject {subject!r}", fix))
        elif found.current_subscription_id is None:
            fix = "subscribe it to a plan in OpenMeter"
            checks.append(Check(about, False, f"the customer of {subject!r} has no subscription", fix))
        else:
            checks.append(Check(about, True, f"{subject!r} belongs to a subscribed customer"))
    return checks


def about_duplicates(profile: Profile) -> Check:
    """What happens to a repeat; OpenMeter's API does not tell how it is configured."""
    hours = profile.duplicate_window_seconds // 3600
    if hours:
        text = f"repeats within {hours} hours count once, says the configuration; OpenMeter cannot be asked"
    else:
        text = "no deduplication is relied on; after a lost answer the event is looked up, never sent again"
    return Check("duplicates", True, text)


def why_not_metered(api: JsonApi, name: str) -> str:
    """Why events of a meter would be counted by nobody ('' when they are counted)."""
    found = _meter(api, name)
    if found is None:
        return f"OpenMeter has no meter {name!r}; run: tallystick openmeter apply"
    if found.event_type != name or found.value_property != VALUE:
        return f"OpenMeter's meter {name!r} reads {found.value_property} of {found.event_type!r} events"
    return ""


def why_nobodys(api: JsonApi, subject: str) -> str:
    """Why usage of a subject would be billed to nobody ('' when it is billed)."""
    return "" if _customer(api, subject) else f"no customer of OpenMeter has the subject {subject!r}"


def _check_meter(api: JsonApi, meter: Wanted) -> list[Check]:
    about, found = f"meter {meter.event_name}", _meter(api, meter.event_name)
    if found is None:
        return [Check(about, False, "OpenMeter has no meter of that slug", "tallystick openmeter apply")]
    wanted = _AGGREGATIONS[meter.formula]
    checks = [
        (found.aggregation == wanted, f"aggregation {found.aggregation}", f"make a meter with {wanted}"),
        (
            found.event_type == meter.event_name,
            f"event type {found.event_type!r}",
            f"make it count events of type {meter.event_name!r}",
        ),
        (found.value_property == VALUE, f"value {found.value_property}", f"make it read {VALUE}"),
    ]
    return [Check(about, ok, text, "" if ok else f"{fix}; it cannot change") for ok, text, fix in checks]


def _meter(api: JsonApi, name: str) -> Meter | None:
    found = api.read(f"/api/v1/meters/{segment(name)}", Meter)
    return None if found is None or found.deleted_at is not None else found


def _customer(api: JsonApi, subject: str) -> _Customer | None:
    """The customer that a subject's usage is billed to: by its subject keys, or its own key."""
    for name in ("subject", "key"):  # both match parts of a text
        params = {name: subject, "pageSize": "1000"}
        found = api.read("/api/v1/customers", _Customers, **params)
        for customer in found.items if found else ():
            if subject in customer.usage_attribution.subject_keys or subject == customer.key:
                return customer
    return None
