"""Schedules written outside program code: what is deployed, clusters, tables of tasks."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries import constructs, databases
from tallystick.audit.entries.schedules import DAY, UNITS, Schedule, named_fields, seconds_of, whole

CRONTAB = re.compile(r"^\s*(?:.*?\becho\s+[\"']\s*)?((?:[\d*,/\-]+\s+){5}|@\w+\s+)(.+)$")
PROGRAM = re.compile(r"(?<![\w./-])[\w./-]+\.(?:[cm]?[jt]s|py|rb)\b")
SCRIPT = re.compile(r"(?<![\w.-])[\w.-]+\.sh\b")
SCRIPTED, LINE = 20_000, 2_000
HASHES = (re.compile(rb"(?m)^[ \t]*#[^\n]*"), (".yml", ".yaml", ".toml", ".tf", ".py"))
SLASHES = (re.compile(rb"(?m)^[ \t]*//[^\n]*"), (".ts", ".mts", ".js", ".mjs", ".jsonc", ".tf"))
RUN = re.compile(r"\b(?:npm|pnpm|yarn|bunx?|nx|turbo)\s+([^\n;&|]+)")
COMMON = frozenset(["build", "dev", "start", "test", "lint", "install", "prepare", "typecheck", "format"])


def written(corpus: Corpus) -> list[Schedule]:
    """All schedules written outside program code."""
    found: list[Schedule] = []
    scripts = _scripts(corpus)
    for path, text in corpus.support.items():
        name = posixpath.basename(path)
        data = _uncommented(path, text)
        if name == "vercel.json":
            found += _vercel(path, data)
        elif name.startswith("railway."):
            found += _railway(path, data, corpus)
        elif name.endswith((".yml", ".yaml")):
            found += _yaml(path, data)
        elif name.endswith(".tf"):
            found += _terraform(path, data)
        elif name.startswith(("netlify", "wrangler")):
            found += _toml(path, data)
        elif "cron" in path.lower() or name.endswith((".timer", ".sh")):
            found += _crontab(path, data, scripts)
    for path, text in corpus.sources.items():
        data = _uncommented(path, text) if b"schedule" in text else b""
        if b"schedule" in data and ("netlify/" in path or "config" in path):
            found += _exported(path, data)
        if b"schedule" in data and path.endswith((".py", ".ts", ".js", ".mts")):
            found += [*_beat(path, data), *constructs.clocks(path, data)]
    found += databases.kept(corpus)
    commands = _commands(corpus)
    return [_followed(one, commands) for one in found]


def _uncommented(path: str, data: bytes) -> bytes:
    """What is left without the lines that are remarks alone: a clock that is commented out starts nothing."""
    for remark, endings in (HASHES, SLASHES):
        if path.endswith(endings):
            data = remark.sub(b"", data)
    return data


def _scripts(corpus: Corpus) -> dict[str, str]:
    """What each shell script says, by its name."""
    return {
        posixpath.basename(path): data.decode("utf-8", "replace")[:SCRIPTED]
        for path, data in corpus.support.items()
        if path.endswith(".sh")
    }


def _commands(corpus: Corpus) -> dict[str, str]:
    """What `npm run NAME` does, of every package; names that are never a job's are left out."""
    found: dict[str, str] = {}
    for path, data in sorted(corpus.support.items()):
        if posixpath.basename(path) == "package.json" and b'"scripts"' in data:
            try:
                scripts = json.loads(data).get("scripts")
            except (ValueError, AttributeError, RecursionError):
                continue
            given = scripts.items() if isinstance(scripts, dict) else ()
            found |= {name: str(text) for name, text in given if name not in COMMON}
    return found


def _followed(one: Schedule, commands: dict[str, str]) -> Schedule:
    """A schedule that runs a package's command runs what that command says."""
    words = {word.strip("\"'`,]") for line in RUN.findall(one.target) for word in line.split()}
    words |= {word.partition(":")[2] for word in words}  # `nx run billing:cron:hourly`
    named = [commands[name] for name in sorted(words) if name in commands]
    return replace(one, target=" ".join([one.target, *named])) if named else one


def _line(data: bytes, needle: bytes, start: int = 0) -> int:
    return data.count(b"\n", 0, max(0, data.find(needle, start))) + 1


def _vercel(path: str, data: bytes) -> list[Schedule]:
    try:
        crons = json.loads(data).get("crons", [])
    except (ValueError, AttributeError, RecursionError):
        return []
    found = []
    for one in (one for one in crons if isinstance(one, dict)) if isinstance(crons, list) else ():
        target, text = str(one.get("path", "")), str(one.get("schedule", ""))
        seconds = seconds_of(text)
        if target and seconds:
            found.append(
                Schedule(path, _line(data, f'"{target}"'.encode()), seconds, text, target.partition("?")[0])
            )
    return found


def _railway(path: str, data: bytes, corpus: Corpus) -> list[Schedule]:
    """A service that is started by the clock, with all that its file and its package say of how."""
    text = data.decode("utf-8", "replace")
    hit = re.search(r"cronSchedule\"?\s*[=:]\s*\"([^\"]+)\"", text)
    seconds = seconds_of(hit[1]) if hit else None
    if not hit or not seconds:
        return []
    folder = posixpath.dirname(path)
    package = corpus.support.get(posixpath.join(folder, "package.json"), b"").decode("utf-8", "replace")
    start = re.search(r"\"start\"\s*:\s*\"([^\"]*)\"", package)
    said = f"{text[:SCRIPTED]} {start[1] if start else ''}"
    files = (posixpath.normpath(posixpath.join(folder, one)) for one in PROGRAM.findall(said))
    line = text.count("\n", 0, hit.start()) + 1
    return [Schedule(path, line, seconds, hit[1], " ".join([said, *files]))]


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


def _toml(path: str, data: bytes) -> list[Schedule]:
    text = data.decode("utf-8", "replace")
    found = []
    for hit in re.finditer(r"(?:schedule|\"?crons\"?)\s*[=:]\s*(?:\[([^\]]*)\]|(\"[^\"\n]+\"))", text):
        section = re.findall(r"\[functions\.\"?([\w-]+)", text[: hit.start()])
        target = section[-1] if section else "scheduled"
        for one in re.findall(r"\"([^\"\n]+)\"", hit[1] or hit[2]):
            seconds = seconds_of(one)
            if seconds:
                found.append(Schedule(path, text.count("\n", 0, hit.start()) + 1, seconds, one, target))
    return found


def _crontab(path: str, data: bytes, scripts: dict[str, str]) -> list[Schedule]:
    """Lines of a crontab, also those a script installs; what a named script does is done as often as it runs."""
    found = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        hit = CRONTAB.match(line[:LINE])
        seconds = seconds_of(hit[1]) if hit else None
        if hit and seconds:
            named = [scripts[one] for one in SCRIPT.findall(hit[2]) if one in scripts]
            found.append(Schedule(path, number, seconds, hit[1].strip(), " ".join([hit[2], *named])))
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
        r"[\"']task[\"']\s*:\s*\(?((?:\s*[\"'][\w.:/-]+[\"'])+)[^}]*?[\"']schedule[\"']\s*:\s*([^\n}]+)", text
    ):
        value = hit[2]
        number = re.match(r"\s*(\d+(?:\.\d+)?(?:\s*\*\s*\d+(?:\.\d+)?){0,9})", value)
        fields = re.search(r"crontab\(([^)]*)|^\{(.*)", value)
        if fields:
            pairs = re.findall(
                r"(\w+)[\"']?\s*[=:]\s*[\"']?([\d*](?:[\d*,/\-]*[\d*])?)", fields[1] or fields[2]
            )
            seconds = named_fields(dict(pairs))
        elif number:
            seconds = 1
            for factor in number[1].split("*"):
                seconds *= whole(factor.strip().partition(".")[0])
        else:
            unit = re.search(r"(minute|hour|day|second|week)s?\s*=\s*(\d+)", value)
            seconds = whole(unit[2]) * UNITS[unit[1]] if unit else DAY
        task = "".join(re.findall(r"[\w.:/-]+", hit[1]))
        found.append(Schedule(path, text.count("\n", 0, hit.start()) + 1, seconds, value.strip(), task))
    return found
