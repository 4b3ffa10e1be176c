"""What is said of how often something runs: cron expressions, phrases, scheduling calls."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tallystick.audit.syntax.ir import Call, Expr, Module

HOUR, DAY = 3600, 86400
LONG = 300  # longer is no clock
DIGITS, LONGEST = 12, 10**12
CRON = re.compile(r"^\s*(?:[\d*,/\-]+\s+){4,5}[\d*,/\-A-Za-z?#L]+\s*$")
WORDS = {
    "hourly": HOUR,
    "daily": DAY,
    "weekly": 7 * DAY,
    "monthly": 30 * DAY,
    "yearly": 365 * DAY,
    "midnight": DAY,
}
UNITS = {"second": 1, "minute": 60, "hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}
NATURAL = re.compile(
    r"(?:rate\(|every\s+|^(?=\d))(\d+)?\s*(second|sec|minute|min|hour|day|week|month|hr|h|m|s|d|w)s?\b",
    re.IGNORECASE,
)
LENGTH = re.compile(r"^\d{1,9}[smhdw]$")  # Rufus: `every "1d"`
FIELDS = re.compile(r"(?:^|\.)(?:crontab|CronTrigger|cron)$")
NAMED_FIELDS = frozenset(["minute", "hour", "day", "day_of_month", "day_of_week", "weekday", "week", "month"])
SHORT = {"sec": "second", "s": "second", "min": "minute", "m": "minute"}
SHORT |= {"hr": "hour", "h": "hour", "d": "day", "w": "week"}
NUMBERS = (
    "",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "",
    "",
    "",
    "Ten",
    "",
    "",
    "",
    "",
    "Fifteen",
    *[""] * 4,
    "Twenty",
    *[""] * 9,
    "Thirty",
)
SPOKEN = re.compile(rf"^every({'|'.join(filter(None, NUMBERS))})?(Second|Minute|Hour)s?(?:At)?$")


@dataclass(frozen=True)
class Schedule:
    """Something that runs by the clock."""

    path: str
    line: int
    seconds: int
    text: str
    target: str  # a route path, a function name, a file


def whole(text: str) -> int:
    """A number as it is written; what is longer than any clock's is only large."""
    return int(text) if len(text) <= DIGITS else LONGEST


def seconds_of(text: str) -> int | None:
    """The longest gap a cron expression or a phrase leaves, roughly."""
    text = re.sub(r"^(?:CRON_)?TZ=\S+\s+", "", text[:LONG].strip().strip("\"'`"))
    if text.lstrip("@").lower() in WORDS:
        return WORDS[text.lstrip("@").lower()]
    iso = re.match(r"^PT?(?:(\d+)([DHM]))$", text)
    if iso:
        return whole(iso[1]) * {"D": DAY, "H": HOUR, "M": 60}[iso[2]]
    if text.startswith("cron("):
        text = " ".join(text[5:].rstrip(")").split()[:5])
    if CRON.match(text):
        return _cron(text.split()[-5:])
    hit = NATURAL.search(text)
    if hit:
        unit = SHORT.get(hit[2].lower(), hit[2].lower())
        return whole(hit[1] or "1") * UNITS[unit]
    return None


def _cron(fields: list[str]) -> int:
    minute, hour, day, month, weekday = fields
    if month != "*":
        return 365 * DAY
    if day not in ("*", "?"):
        return _step(day, 31) * DAY if day.startswith("*/") else 30 * DAY
    if weekday not in ("*", "?") and not re.match(r"^[\d\w]-[\d\w]$", weekday):
        return 7 * DAY if "," not in weekday else 4 * DAY
    if hour != "*":
        return _step(hour, 24) * HOUR
    return _step(minute, 60) * 60


def _step(field: str, most: int) -> int:
    if field == "*":
        return 1
    step = field.rpartition("/")[2] if "/" in field else ""
    if step.isdecimal():
        return whole(step)
    if "-" in field:
        return 1
    return max(1, most // len(field.split(",")))


def number_of(value: Expr) -> int | None:
    """The product a constant expression spells, as in `60 * 60 * 1000`."""
    if value.kind == "const":
        text = value.text.replace("_", "")
        return whole(text.partition(".")[0]) if re.match(r"^\d+(?:\.\d+)?$", text) else None
    if value.kind == "mix" and value.parts:
        product = 1
        for part in value.parts:
            factor = number_of(part)
            if factor is None:
                return None
            product = min(product * factor, LONGEST)
        return product
    return None


def of_call(call: Call) -> int | None:
    """How often a scheduling call runs what it is given."""
    return gap(call.callee, call.args)


def of_task(call: Call, module: Module) -> int | None:
    """How often a task runs that a job is given: `new SimpleIntervalJob({ days: 1 }, new AsyncTask("x", report))`."""
    if call.callee not in ("AsyncTask", "Task"):
        return None
    calls = [one for function in module.functions for one in function.calls]
    found = [of_call(one) for one in calls if re.search(r"(?:Interval|Cron)Job$", one.callee)]
    return min((one for one in found if one), default=None)


def gap(callee: str, values: tuple[Expr, ...]) -> int | None:
    """How often a scheduling call or decorator of these arguments runs what it is given."""
    if callee.endswith("setInterval") and len(values) > 1:
        number = number_of(values[1])
        return max(1, number // 1000) if number else None
    method = callee.rpartition(".")[2]
    if method == "Interval":
        return next((max(1, number // 1000) for one in values[:2] if (number := number_of(one))), None)
    if method in WORDS and method != "midnight":
        return WORDS[method]
    spoken = SPOKEN.match(method)
    if spoken:
        return (NUMBERS.index(spoken[1]) + 1 if spoken[1] else 1) * UNITS[spoken[2].lower()]
    if callee.endswith("add_periodic_task") and values and number_of(values[0]):
        return number_of(values[0])
    fields = _cron_fields(callee, values)
    if fields is not None:
        return fields
    found = [one for value in values for one in _constants(value)]
    spring = re.search(r"TimeUnit\.(MINUTE|HOUR|DAY|SECOND)", str(values))
    for key, text, value in found:
        unit = key.rstrip("s")
        if unit in UNITS and text.isdecimal() and text != "0":
            return whole(text) * UNITS[unit]
        if key in ("every", "interval", "schedule", "limit", "fixedRate", "fixedDelay"):
            number = number_of(value)
            if number and spring:
                return number * UNITS.get(spring[1].lower(), 1)
            if number:
                return number if callee.endswith("beat") else max(1, number // 1000)
        if (_spells(text) or (method in ("every", "interval") and LENGTH.match(text))) and seconds_of(text):
            return seconds_of(text)
    keys = {key for key, _, _ in found}
    if "hour" in keys or {"hourUTC", "minuteUTC"} <= keys:
        return DAY
    chained = re.search(r"(?i)every\(\)\.(second|minute|hour|day|week)", callee)
    return UNITS[chained[1].lower()] if chained else HOUR if "minute" in keys else None


def _spells(text: str) -> bool:
    bare = re.sub(r"^(?:CRON_)?TZ=\S+\s+", "", text)
    return (
        CRON.match(bare) is not None
        or re.match(r"every |@|rate\(|PT\d|\d+ (?:second|minute|hour|day)", bare) is not None
    )


def _cron_fields(callee: str, values: tuple[Expr, ...]) -> int | None:
    """`crontab(minute="*/5")`, `CronTrigger(hour=3)`, `add_job(f, "cron", hour=3)`: fields by name."""
    direct = any(one.kind == "const" and one.text == "cron" for one in values)
    for one in values:
        if one.kind == "call" and FIELDS.search(one.text):
            return _cron_fields("crontab", one.parts)
    if not direct and not FIELDS.search(callee):
        return None
    given = {
        name: ",".join(each.text for each in part.parts) if part.kind == "mix" and part.parts else part.text
        for one in values
        if one.kind == "object"
        for name, part in zip(one.keys, one.parts, strict=False)
        if part.kind in ("const", "mix")
    }
    if not given and any(one.kind == "const" and _spells(one.text) for one in values):
        return None
    return named_fields(given) if given.keys() & NAMED_FIELDS or not callee.endswith("cron") else None


def named_fields(given: dict[str, str]) -> int:
    """The gap of cron fields given by name; what is finer than the finest given runs once."""
    hour = given.get("hour", "*")
    minute = given.get("minute", "*" if hour == "*" else "0")
    day = given.get("day", given.get("day_of_month", "*"))
    week = given.get("day_of_week", given.get("week", "*"))
    return _cron([minute, hour, day, given.get("month", given.get("month_of_year", "*")), week])


def _constants(value: Expr, key: str = "") -> list[tuple[str, str, Expr]]:
    named = (
        re.search(r"\bEVERY_(?:(\d+)_)?(SECOND|MINUTE|HOUR|DAY|WEEK)", value.text)
        if value.kind == "name"
        else None
    )
    counted = (
        re.match(r"^(\d+)\.(second|minute|hour|day|week)s?$", value.text) if value.kind == "call" else None
    )
    if counted:
        text = f"every {counted[1]} {counted[2]}"
        return [(key, text, Expr("const", text))]
    if named:
        text = f"every {named[1] or 1} {named[2].lower()}"
        return [(key, text, Expr("const", text))]
    if value.kind in ("const", "mix") and (value.kind == "const" or number_of(value) is not None):
        return [(key, value.text, value)]
    found = []
    for index, part in enumerate(value.parts):
        found += _constants(part, value.keys[index] if index < len(value.keys) else key)
    return found
