"""Schedules written in the files of frameworks: Rails and its queues, Laravel, django-crontab."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import DAY, HOUR, UNITS, WORDS, Schedule, seconds_of, whole
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.syntax.searches import finite

NEAR = 300
CLASS = finite(r"\b(?:class|job_class|job)[\"']?\s*(?::|=>)\s*[\"']?([A-Z][\w:]+)")
WHEN = finite(r"\b(?:cron|every|schedule|interval)[\"']?\s*(?::|=>)\s*[\"'\[]*\s*([^\n\"'\],}]+)")
WHENEVER = re.compile(r"(?ms)^[ \t]{0,99}every\s{1,9}(\S.{0,300}?)\s{1,9}do\b(.{0,9000}?)^[ \t]{0,99}end\b")
CLOCKWORK = finite(r"\bevery\(\s*([\w.]+)\s*,[^\n{]*(?:\{([^}]*)\}|do\b([^\n]*\n[^\n]*))")
RUBY_TASK = re.compile(r"(?:runner|rake|command)\s*(?:\(\s*)?[\"']([^\"'\n]+)[\"']")
PERFORMED = finite(r"\b([A-Z]\w+)\.(?:perform_\w+|call|run|new)")
LENGTH = re.compile(r"(\d{1,9})?[._ ]?(second|minute|hour|day|week|month)s?\b")
ARTISAN = finite(
    r"(?:->|::|\$schedule->)(?:command|job|call|exec)\(\s*(?:new\s+)?[\"']?([\w:\\.-]{1,200})[^;]{0,400}?((?:->\w{1,60}\([^;)]{0,200}\)\s{0,99}){1,20})"
)
OFTEN = re.compile(r"^every(\w*?)(Second|Minute|Hour)s?$")
SPELLED = {
    "": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
}
CRONJOB = re.compile(r"\(\s*[\"']([\d*,/ \-]{9,})[\"']\s*,\s*[\"']([\w.]+)[\"']")


def says_when(decorator: Expr) -> bool:
    """Whether a decorator starts its function by the clock: `@app.function(schedule=…)`, `@aiocron.crontab("…")`."""
    if decorator.kind != "call":
        return False
    first = next((one.text for one in decorator.parts[:1] if one.kind == "const"), "")
    keys = {key for one in decorator.parts if one.kind == "object" for key in one.keys}
    return (
        re.search(r"(?:^|[._])(?:crontab|periodic(?:_task)?|cron_job|scheduled)$", decorator.text) is not None
        or (first in ("interval", "cron") and decorator.text.endswith(("task", "job")))
        or bool(keys & {"schedule", "cron", "periodic", "schedule_interval", "crontab"})
    )


def written(corpus: Corpus) -> list[Schedule]:
    """All schedules in the frameworks' own files."""
    found: list[Schedule] = []
    for path, data in corpus.support.items():
        if path.endswith((".yml", ".yaml")) and b"class" in data:
            found += _paired(path, data.decode("utf-8", "replace"))
    for path, data in corpus.sources.items():
        if path.endswith((".rb", ".rake")) and (b"cron" in data.lower() or b"every" in data):
            text = data.decode("utf-8", "replace")
            found += [*_paired(path, text), *_whenever(path, text)]
        elif path.endswith(".php") and b"chedule" in data:
            found += _artisan(path, data.decode("utf-8", "replace"))
        elif path.endswith(".py") and b"CRONJOBS" in data:
            found += _cronjobs(path, data.decode("utf-8", "replace"))
    return found


def _at(path: str, text: str, start: int, seconds: int, said: str, target: str) -> Schedule:
    return Schedule(path, text.count("\n", 0, start) + 1, seconds, said.strip(), target)


def _paired(path: str, text: str) -> Iterator[Schedule]:
    """`class: ReportJob` beside `cron: "*/5 * * * *"`: the nearest within the same few lines."""
    for hit in CLASS.finditer(text):
        first = max(0, hit.start() - NEAR)
        near = text[first : hit.end() + NEAR]
        whens = [
            (abs(one.start() + first - hit.start()), one[1].strip(), seconds)
            for one in WHEN.finditer(near)
            if (seconds := seconds_of(one[1]) or _length(one[1]))
        ]
        if whens:
            _, said, seconds = min(whens)
            yield _at(path, text, hit.start(), seconds, said, hit[1])


def _whenever(path: str, text: str) -> Iterator[Schedule]:
    """`every 1.day, at: "2 am" do runner "ReportJob.perform_now" end`, and clockwork's `every(5.minutes, …)`."""
    for hit in WHENEVER.finditer(text if posixpath.basename(path) == "schedule.rb" else ""):
        said = hit[1].strip("\"':")
        seconds = _length(said.partition(",")[0]) or seconds_of(said.partition(",")[0].strip("\"'"))
        for task in RUBY_TASK.finditer(hit[2]) if seconds else ():
            name = PERFORMED.search(task[1])
            yield _at(path, text, hit.start(1), seconds or DAY, said, name[1] if name else f"rake {task[1]}")
    for hit in CLOCKWORK.finditer(text):
        name, seconds = PERFORMED.search(hit[2] or hit[3] or ""), _length(hit[1])
        if name and seconds:
            yield _at(path, text, hit.start(1), seconds, hit[1], name[1])


def _length(said: str) -> int | None:
    hit = LENGTH.search(said.replace(":", ""))
    return whole(hit[1] or "1") * UNITS[hit[2]] if hit else None


def _artisan(path: str, text: str) -> Iterator[Schedule]:
    """`Schedule::command("usage:report")->everyFiveMinutes()`, in whatever order the chain is written."""
    for hit in ARTISAN.finditer(text):
        for method, given in re.findall(r"->(\w+)\(([^;)]*)\)", hit[2]):
            seconds = seconds_of(given) if method == "cron" else _method(method)
            if seconds:
                yield _at(path, text, hit.start(1), seconds, method, hit[1].replace("\\\\", "\\"))
                break


def _method(name: str) -> int | None:
    often = OFTEN.match(name)
    if often and often[1].lower() in SPELLED:
        return SPELLED[often[1].lower()] * UNITS[often[2].lower()]
    word = next((one for one in WORDS if name.lower().startswith(one)), "")
    if name == "twiceDaily":
        return 12 * HOUR
    return WORDS[word] if word else None


def _cronjobs(path: str, text: str) -> Iterator[Schedule]:
    """`CRONJOBS = [("*/5 * * * *", "shop.cron.report")]` of django-crontab."""
    for hit in CRONJOB.finditer(text[text.index("CRONJOBS") :]):
        seconds = seconds_of(hit[1])
        if seconds:
            yield Schedule(path, text.count("\n", 0, text.index(hit[0])) + 1, seconds, hit[1], hit[2])
