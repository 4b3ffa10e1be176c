"""How often something runs, wherever that is written."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.syntax.ir import Call, Expr

HOUR, DAY = 3600, 86400
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
    r"(?:rate\(|every\s+|^(?=\d))(\d+)?\s*(second|sec|minute|min|hour|day|week|month|hr|h|m|s)s?\b",
    re.IGNORECASE,
)
FIELDS = re.compile(r"(?:^|\.)(?:crontab|CronTrigger|cron)$")
NAMED_FIELDS = frozenset(["minute", "hour", "day", "day_of_month", "day_of_week", "weekday", "week", "month"])
SHORT = {"sec": "second", "s": "second", "min": "minute", "m": "minute", "hr": "hour", "h": "hour"}
SQL = re.compile(rb"cron\.schedule\(\s*'([^']*)'\s*,\s*'([^']+)'(.{0,1500})", re.DOTALL)
SQL_COMMENT = re.compile(rb"(?m)(?:^|(?<=\s))--[^\n]*$")
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
URL = re.compile(r"https?://[^\s\"'`]*?(/[\w\-/\[\]]+)|/functions/v1/([\w-]+)|(/api/[\w\-/]+)")


@dataclass(frozen=True)
class Schedule:
    """Something that runs by the clock."""

    path: str
    line: int
    seconds: int
    text: str
    target: str  # a route path, a function name, a file


def seconds_of(text: str) -> int | None:
    """The longest gap a cron expression or a phrase leaves, roughly."""
    text = re.sub(r"^(?:CRON_)?TZ=\S+\s+", "", text.strip().strip("\"'`"))
    if text.lstrip("@").lower() in WORDS:
        return WORDS[text.lstrip("@").lower()]
    iso = re.match(r"^PT?(?:(\d+)([DHM]))$", text)
    if iso:
        return int(iso[1]) * {"D": DAY, "H": HOUR, "M": 60}[iso[2]]
    if text.startswith("cron("):
        text = " ".join(text[5:].rstrip(")").split()[:5])
    if CRON.match(text):
        return _cron(text.split()[-5:])
    hit = NATURAL.search(text)
    if hit:
        unit = SHORT.get(hit[2].lower(), hit[2].lower())
        return int(hit[1] or 1) * UNITS[unit]
    return None


def _cron(fields: list[str]) -> int:
    minute, hour, day, month, weekday = fields
    if month != "*":
        return 365 * DAY
    if day not in ("*", "?"):
        return 30 * DAY if not day.startswith("*/") else int(day[2:] or 1) * DAY
    if weekday not in ("*", "?") and not re.match(r"^[\d\w]-[\d\w]$", weekday):
        return 7 * DAY if "," not in weekday else 4 * DAY
    if hour != "*":
        return _step(hour, 24) * HOUR
    return _step(minute, 60) * 60


def _step(field: str, whole: int) -> int:
    if field == "*":
        return 1
    if field.startswith("*/") and field[2:].isdigit():
        return int(field[2:])
    if "/" in field and field.rpartition("/")[2].isdigit():
        return int(field.rpartition("/")[2])
    if "-" in field:
        return 1
    return max(1, whole // len(field.split(",")))


def number_of(value: Expr) -> int | None:
    """The product a constant expression spells, as in `60 * 60 * 1000`."""
    if value.kind == "const":
        text = value.text.replace("_", "")
        return int(float(text)) if re.match(r"^\d+(?:\.\d+)?$", text) else None
    if value.kind == "mix" and value.parts:
        product = 1
        for part in value.parts:
            factor = number_of(part)
            if factor is None:
                return None
            product *= factor
        return product
    return None


def of_call(call: Call) -> int | None:
    """How often a scheduling call runs what it is given."""
    return gap(call.callee, call.args)


def gap(callee: str, values: tuple[Expr, ...]) -> int | None:
    """How often a scheduling call or decorator of these arguments runs what it is given."""
    if callee.endswith("setInterval") and len(values) > 1:
        number = number_of(values[1])
        return max(1, number // 1000) if number else None
    method = callee.rpartition(".")[2]
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
        if unit in UNITS and text.isdigit() and text != "0":
            return int(text) * UNITS[unit]
        if key in ("every", "interval", "schedule", "limit", "fixedRate", "fixedDelay"):
            number = number_of(value)
            if number and spring:
                return number * UNITS.get(spring[1].lower(), 1)
            if number:
                return number if callee.endswith("beat") else max(1, number // 1000)
        if _spells(text) and seconds_of(text):
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


def written(corpus: Corpus) -> list[Schedule]:
    """All schedules written outside program code."""
    found: list[Schedule] = []
    for path, data in corpus.support.items():
        name = posixpath.basename(path)
        if name == "vercel.json":
            found += _vercel(path, data)
        elif name.endswith((".yml", ".yaml")):
            found += _yaml(path, data)
        elif name.endswith(".sql"):
            found += _sql(path, data)
        elif name.endswith(".tf"):
            found += _terraform(path, data)
        elif name.startswith(("netlify", "wrangler")):
            found += _toml(path, data)
        elif "cron" in name or name.endswith(".timer"):
            found += _crontab(path, data)
    for path, data in corpus.sources.items():
        if b"schedule" in data and ("netlify/" in path or "config" in path):
            found += _exported(path, data)
        if b"schedule" in data and path.endswith((".py", ".ts", ".js", ".mts")):
            found += _beat(path, data)
    return found


def _line(data: bytes, needle: bytes, start: int = 0) -> int:
    return data.count(b"\n", 0, max(0, data.find(needle, start))) + 1


def _vercel(path: str, data: bytes) -> list[Schedule]:
    try:
        crons = json.loads(data).get("crons", [])
    except (ValueError, AttributeError, RecursionError):
        return []
    found = []
    for one in crons if isinstance(crons, list) else []:
        target, text = str(one.get("path", "")), str(one.get("schedule", ""))
        seconds = seconds_of(text)
        if target and seconds:
            found.append(
                Schedule(path, _line(data, f'"{target}"'.encode()), seconds, text, target.partition("?")[0])
            )
    return found


def _yaml(path: str, data: bytes) -> list[Schedule]:
    found = []
    line = 1
    for text in re.split(r"(?m)(?=^---\s*$)", data.decode("utf-8", "replace")):
        found += _document(path, text, line)
        line += text.count("\n")
    return found


def _document(path: str, text: str, first: int) -> list[Schedule]:
    """SAM and serverless functions, workflows, cron jobs of a cluster."""
    found = []
    head, line, counted = text[:20_000], first, 0
    for hit in re.finditer(
        r"(?:schedule|cron|Schedule)[\"']?[ \t]*:[ \t]*[\"']?((?:rate|cron)\([^)]*\)|[^\n\"'#]+)", text
    ):
        seconds = seconds_of(hit[1])
        if seconds is None:
            continue
        around = text[max(0, hit.start() - 1500) : hit.start()] if ".github" not in path else ""
        handler = re.findall(
            r"(?i)(?:handler|CodeUri|EntryPoints?)\s*:\s*\n?\s*-?\s*[\"']?([\w./-]+)", around
        )
        target = handler[-1] if handler else head
        line, counted = line + text.count("\n", counted, hit.start()), hit.start()
        found.append(Schedule(path, line, seconds, hit[1].strip(), target))
    return found


def _terraform(path: str, data: bytes) -> list[Schedule]:
    """The target of a cloud scheduler stands in the same block."""
    text = data.decode("utf-8", "replace")
    found = []
    for block in re.finditer(r"(?ms)^resource\s.*?^\}", text):
        hit = re.search(r"schedule(?:_expression)?\s*=\s*\"([^\"]+)\"", block[0])
        seconds = seconds_of(hit[1]) if hit else None
        if hit and seconds:
            line = text.count("\n", 0, block.start() + hit.start()) + 1
            found.append(Schedule(path, line, seconds, hit[1], block[0]))
    return found


def _sql(path: str, data: bytes) -> list[Schedule]:
    data = SQL_COMMENT.sub(lambda hit: b" " * len(hit[0]), data)
    found = []
    for hit in SQL.finditer(data):
        seconds = seconds_of(hit[2].decode("utf-8", "replace"))
        if seconds:
            line = data.count(b"\n", 0, hit.start()) + 1
            found.append(Schedule(path, line, seconds, hit[2].decode(), hit[3].decode("utf-8", "replace")))
    return found


def _toml(path: str, data: bytes) -> list[Schedule]:
    text = data.decode("utf-8", "replace")
    found = []
    for hit in re.finditer(r"(?:schedule|\"?crons\"?)\s*[=:]\s*\[?\s*\"([^\"]+)\"", text):
        seconds = seconds_of(hit[1])
        if seconds:
            section = re.findall(r"\[functions\.\"?([\w-]+)", text[: hit.start()])
            target = section[-1] if section else "scheduled"
            found.append(Schedule(path, text.count("\n", 0, hit.start()) + 1, seconds, hit[1], target))
    return found


def _crontab(path: str, data: bytes) -> list[Schedule]:
    found = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        hit = re.match(r"^\s*((?:[\d*,/\-]+\s+){5}|@\w+\s+)(.+)$", line)
        seconds = seconds_of(hit[1]) if hit else None
        if hit and seconds:
            found.append(Schedule(path, number, seconds, hit[1].strip(), hit[2]))
    return found


def _exported(path: str, data: bytes) -> list[Schedule]:
    """`config = { schedule: "…" }` in a Netlify function; Nitro's `scheduledTasks`."""
    text = data.decode("utf-8", "replace")
    found = []
    own = (
        posixpath.basename(path)
        .rpartition(".")[0]
        .replace("index", posixpath.basename(posixpath.dirname(path)))
    )
    for hit in re.finditer(r"schedule\s*:\s*[\"']([^\"'\n]+)[\"']", text if "netlify/" in path else ""):
        seconds = seconds_of(hit[1])
        if seconds:
            found.append(Schedule(path, text.count("\n", 0, hit.start()) + 1, seconds, hit[1], own))
    _, _, tasks = text.partition("scheduledTasks")
    for hit in re.finditer(r"[\"']([\d*,/ \-]{9,})[\"']\s*:\s*\[?\s*[\"']([\w:./-]+)[\"']", tasks[:2000]):
        seconds = seconds_of(hit[1])
        if seconds:
            start = len(text) - len(tasks) + hit.start()
            found.append(Schedule(path, text.count("\n", 0, start) + 1, seconds, hit[1], hit[2]))
    return found


def _beat(path: str, data: bytes) -> list[Schedule]:
    """Celery beat tables, in-code `config = { schedule }`."""
    text = data.decode("utf-8", "replace")
    found = []
    for hit in re.finditer(
        r"[\"']task[\"']\s*:\s*[\"']([\w.:/-]+)[\"'][^}]*?[\"']schedule[\"']\s*:\s*([^\n}]+)", text
    ):
        value = hit[2]
        number = re.match(r"\s*([\d.*\s]+)", value)
        fields = re.search(r"crontab\(([^)]*)", value)
        if fields:
            pairs = re.findall(r"(\w+)\s*=\s*[\"']?([\d*,/\-]+)", fields[1])
            seconds = named_fields(dict(pairs))
        elif number and number[1].strip(" *"):
            seconds = 1
            for factor in number[1].split("*"):
                seconds *= int(float(factor.strip() or 1))
        else:
            unit = re.search(r"(minute|hour|day|second|week)s?\s*=\s*(\d+)", value)
            seconds = int(unit[2]) * UNITS[unit[1]] if unit else DAY
        found.append(Schedule(path, text.count("\n", 0, hit.start()) + 1, seconds, value.strip(), hit[1]))
    return found
