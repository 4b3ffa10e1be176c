"""Programs that keep their own time: loops that sleep, tickers; and programs that nothing in the tree starts."""

from __future__ import annotations

import re

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.schedules import DAY, HOUR, LONGEST, Schedule, gap, number_of, seconds_of
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

SCRIPT = (".ts", ".tsx", ".js", ".mjs", ".cjs")
PAUSE = re.compile(r"(?:^|\.)(?:sleep|Sleep|NewTicker|NewTimer|Tick|AfterFunc|wait_for|wait|After|usleep)$")
ENDLESS = finite(
    rb"\bwhile\s*\(?\s*(?:True|true|1|not\b|!)|\bfor\s*\{|\bfor\s+range\b|\bloop\s+do\b|\bfor\s*\(\s*;\s*;|\bfor\s*\(\s*await"
    rb"|\bwhile\s+self\.|\bselect\s*\{"
    rb"|\bfor\b[^\n{]*\brange\s+[\w.]*\.C\s*\{|\bfor\s*;[^\n{;]*;\s*<-"  # Go: of a ticker's beats
    rb"|\bfor\s+(?:[\w.]*\.Err\(\)\s*==\s*nil|![\w.]+(?:\(\))?)\s*\{"
)
BEATS = finite(rb"(?:<-\s*|\brange\s+)(?:\w+\.)*(\w+)\.C\b")  # of a ticker that may be made elsewhere
PASSED = finite(  # of a ticker in a select that goes on at once: nobody waits for it
    rb"(?s)\n([ \t]*)case <-(?:\w+\.)*(\w+)\.C:(?:(?!\n\1\}).){0,2000}\n\1default:.{0,2000}?\n\1\}"
)
# a function that sets a timer for itself
AFTERWARDS = rb"\bAfterFunc\([^\n]{0,200}?(?:,\s*(?:\w{1,99}\.){0,9}%s\s*\)|\b%s\()"
GO_UNITS = {"time.Second": 1, "time.Minute": 60, "time.Hour": HOUR, "time.Millisecond": 0}
ASIDE = re.compile(r"(?:^|/)(?:scripts?|bin|hack|ops|maintenance)/")
JOBS = re.compile(  # there, too, where no other file loads it: an agent's tools are no programs
    r"(?:^|/)(?:jobs?|crons?|tasks?|tools?)/"
)
BY_HAND = re.compile(  # a package's command that runs when somebody asks for it
    rb"\"(?!(?:pre|post)?(?:start|dev|serve|worker|daemon|watch|prod|web)\b)[\w:.-]+\"\s*:\s*\"[^\"\n]*\""
)
STARTED = re.compile(
    r"(?i)(?:^|/)(?:Procfile|Dockerfile[^/]*|docker-compose[^/]*|compose\.ya?ml|supervisord?[^/]*|fly\.toml|package\.json|ecosystem[^/]*"
    r"|[^/]*\.service|render\.ya?ml|railway\.\w+|nixpacks\.toml|entrypoint[^/]*)$"
)
TIMER = re.compile(
    r"^setInterval$|(?i:cron|schedule\w*|scheduler)\.(?:schedule|scheduleJob|every)$|^(?:CronJob|Cron)$"
)
PAGE = (".tsx", ".jsx", ".vue", ".svelte", ".astro")
HEADER = 4000
MOST = (59, 23, 31, 12, 7)  # minute, hour, day, month, weekday
UNSAID = 60  # a pause that a setting gives: nobody waits a day in a loop
SAID = re.compile(
    rb"(?im)(?:^|[\s#\"'`*])((?:[\d*,/\-]+[ \t]+){4}[\d*,/\-]+)(?=[ \t]+\S)|@(daily|hourly|weekly|monthly)\b"
)


def kept(program: Program, corpus: Corpus, trail: Trail) -> tuple[Schedule, int] | None:
    """The pause of a loop on this way, and at which step of the way the loop stands."""
    entry = trail.entry
    if entry is not None and entry.kind != "script":
        return None
    route = entry.route if entry is not None else program.function(trail.top).name
    for step, (key, _) in enumerate(trail.hops):
        function = program.function(key)
        if key[0].endswith(SCRIPT):
            again = _again(program, corpus, key)
            if again is not None:
                return Schedule(
                    key[0], again[0].line, again[1], f"{again[0].callee}({again[1]})", route
                ), step
            continue
        if not key[0].endswith((".py", ".go", ".rb", ".java", ".php")):
            continue
        text = corpus.text(key[0], function.line, function.end_line) if key[1] else corpus.sources[key[0]]
        if not _is_endless(key, function, text):
            continue
        found = _beaten(program, corpus, trail, step)
        if found:
            seconds, call, path = max(found, key=lambda one: one[0])
            return Schedule(path, call.line, seconds, f"{call.callee}({seconds})", route), step
    return None


def _is_endless(key: Key, function: Function, text: bytes) -> bool:
    """Whether a function goes on for ever: in a loop, or by a timer that it sets for itself."""
    if ENDLESS.search(text):
        return True
    name = re.escape(function.name).encode()
    itself = bool(name) and key[0].endswith(".go") and b"AfterFunc" in text
    return itself and re.search(AFTERWARDS % (name, name), text) is not None


def _pauses(program: Program, key: Key) -> list[tuple[int, Call, str]]:
    """The pauses that a function makes: how long, and where that is said."""
    calls = [one for one in program.function(key).calls if PAUSE.search(one.callee) and one.args]
    return [(_pause(program, key, one) or UNSAID, one, key[0]) for one in calls]


def _beaten(program: Program, corpus: Corpus, trail: Trail, step: int) -> list[tuple[int, Call, str]]:
    """The pause of a loop; in Go the ticker that the call on the way waits for, wherever that was made."""
    key, call = trail.hops[step]
    own = _pauses(program, key)
    function = program.function(key)
    text = corpus.text(key[0], function.line, call.line) if key[0].endswith(".go") else b""
    passed = {one[2] for one in PASSED.finditer(text)}
    heard = [one for one in BEATS.finditer(text) if one[1] not in passed]
    own = [one for one in own if not any(_named(name, corpus, one) for name in passed)]
    if not heard:
        return own
    made = [(one, _pauses(program, one)) for one in _around(program, trail, step)]
    for _, pauses in made:
        if named := [one for one in pauses if _named(heard[-1][1], corpus, one)]:
            return named
    near = next((pauses for one, pauses in made if pauses and one in {key, *_above(trail, step)}), [])
    return own or near or sorted((one for _, pauses in made for one in pauses), key=lambda one: one[0])[:1]


def _named(name: bytes, corpus: Corpus, pause: tuple[int, Call, str]) -> bool:
    """Whether a ticker is kept under this name where it is made."""
    _, call, path = pause
    line = corpus.text(path, call.line, call.line)
    return re.search(rb"\b" + re.escape(name) + rb"\s*(?::=|=|:)", line) is not None


def _above(trail: Trail, step: int) -> list[Key]:
    return [key for key, _ in trail.hops[step + 1 :]]


def _around(program: Program, trail: Trail, step: int) -> list[Key]:
    """A function, those around it and above it, and then all of its file."""
    path, index = trail.hops[step][0]
    functions = program.modules[path].functions
    found = [(path, index)]
    while functions[index].parent > 0:
        index = functions[index].parent
        found.append((path, index))
    return list(
        dict.fromkeys([*found, *_above(trail, step), *((path, one) for one in range(len(functions)))])
    )


def _again(program: Program, corpus: Corpus, key: Key) -> tuple[Call, int] | None:
    """The pause of a JavaScript loop that sleeps, or of a function that sets a timer for itself."""
    function = program.function(key)
    inside = [key, *program.contents.inside(key)] if key[1] else []
    pauses = [
        call
        for one in map(program.function, inside)
        for call in one.calls
        if re.search(r"^(?:\w+\.)?(?:sleep|delay|wait|setTimeout)$", call.callee)
    ]
    text = corpus.text(key[0], function.line, function.end_line)
    itself = (
        rb"setTimeout\(\s*(?:(?:async\s*)?\(\)\s*=>\s*(?:void\s+|\{\s*(?:void\s+|await\s+)?)?)?(?:this\.)?"
        + re.escape(function.name).encode()
        + rb"\b"
    )
    if not function.name or not pauses or not (ENDLESS.search(text) or re.search(itself, text)):
        return None
    return max(
        ((one, max(1, (_pause(program, key, one) or UNSAID * 1000) // 1000)) for one in pauses),
        key=lambda one: one[1],
    )


def _pause(program: Program, key: Key, call: Call) -> int | None:
    values = [part for one in call.args for part in (one.parts if one.kind == "object" else (one,))]
    lengths = [found for one in values if (found := _seconds(program, key, one))]
    return max(lengths, default=None)


def _seconds(program: Program, key: Key, value: Expr, depth: int = 0) -> int | None:
    """A length of time as a program writes it: `5 * time.Minute`, `INTERVAL`, `60 * 60`, `5.minutes`."""
    if depth > 4:
        return None
    if value.kind == "name" and value.text in GO_UNITS:
        return GO_UNITS[value.text]
    if value.kind == "name":
        given = _assigned(program, key, value.text)
        return _seconds(program, key, given, depth + 1) if given is not None else None
    if value.kind == "call":
        hit = re.match(r"^(\d+)\.(second|minute|hour|day|week)s?$", value.text)
        return seconds_of(f"every {hit[1]} {hit[2]}") if hit else None
    if value.kind == "mix" and value.parts:
        product = 1
        for part in value.parts:
            factor = _seconds(program, key, part, depth + 1)
            if factor is None:
                return None
            product = min(product * factor, LONGEST)
        return product
    return number_of(value)


def _assigned(program: Program, key: Key, name: str) -> Expr | None:
    """The value of a name: in the function, or at the top of its file."""
    functions = program.modules[key[0]].functions
    for holder in (functions[key[1]], functions[0]):
        for given, value in holder.assigns:
            if given == name or given == name.rpartition(".")[2]:
                return value
    return None


def address(entry: Entry) -> str:
    """The path of a route; empty where it has none of its own."""
    path = entry.route.partition(" ")[2]
    return path if path.startswith("/") and len(path) > 5 else ""


def named(path: str) -> str:
    """A pattern for a program that names this path of a route."""
    return rf"[\"'`}}/\w]{re.escape(path)}[\"'`?]"


def calling(program: Program, corpus: Corpus, entry: Entry) -> Schedule | None:
    """The timer of another program of the tree that calls this route: `setInterval(() => fetch(url), …)`."""
    path = address(entry)
    word = re.compile(named(path).encode())
    for other, module in sorted(program.modules.items() if path else ()):
        if other == entry.key[0] or other.endswith(PAGE) or module.directive == "client":
            continue
        if not word.search(corpus.sources[other]):
            continue
        for index, function in enumerate(module.functions):
            for call in function.calls:
                if TIMER.search(call.callee):
                    seconds = gap(call.callee, program.spelled((other, index), call.args)) or UNSAID
                    return Schedule(other, call.line, seconds, call.callee, entry.route)
    return None


def said(corpus: Corpus, entry: Entry) -> Schedule | None:
    """The schedule that a program's own first lines ask for: `Cron: 59 23 * * * python report.py`."""
    if entry.kind != "script":
        return None
    head = corpus.sources.get(entry.key[0], b"")[:HEADER]
    for hit in SAID.finditer(head):
        text = (hit[1] or b"@" + (hit[2] or b"")).decode("utf-8", "replace")
        seconds = seconds_of(text) if hit[2] or _within(text.split()) else None
        if seconds:
            line = head.count(b"\n", 0, hit.start(1) if hit[1] else hit.start(2)) + 1
            return Schedule(entry.key[0], line, min(seconds, 30 * DAY), text.strip(), entry.route)
    return None


def _within(fields: list[str]) -> bool:
    """Whether the five fields are a clock's: there is no hour 60, and `1, 0, 0, 0, 0` are the numbers of a date."""
    if all(field.isdecimal() for field in fields):
        return False
    return len(fields) == len(MOST) and all(
        re.match(r"^(?:\*|\d)(?:[\d*,/\-]*[\d*])?$", field)
        and all(int(one) <= most for one in re.findall(r"\d+", field))
        for field, most in zip(fields, MOST, strict=True)
    )


def occasional(corpus: Corpus, entry: Entry) -> bool:
    """Whether a program stands among the tools and nothing in the tree starts it."""
    path = entry.key[0]
    said = _stem(path)
    word = re.compile(rb"\b" + re.escape(said) + rb"\b")
    aside = entry.framework in ("django", "cobra") or ASIDE.search(path) is not None
    aside = aside or (JOBS.search(path) is not None and corpus.grep(word, said) in ([], [path]))
    if not (entry.kind == "script" and aside) and not (entry.framework == "laravel" and "Commands/" in path):
        return False
    return not started(corpus, path)


def _stem(path: str) -> bytes:
    """What a program is called by: its file, or the folder of a file that is called as all are."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    if stem in ("main", "index"):
        stem = path.rpartition("/")[0].rpartition("/")[2]
    return stem.encode("utf-8", "surrogateescape")


def started(corpus: Corpus, path: str) -> bool:
    """Whether what deploys the tree starts a program, and not only a command for whoever asks for it."""
    word = re.compile(rb"\b" + re.escape(_stem(path)) + rb"\b")
    starters = {name: data for name, data in corpus.support.items() if STARTED.search(name)}
    packages = [data for name, data in starters.items() if name.endswith("package.json")]
    hands = [hit[0] for data in packages for hit in BY_HAND.finditer(data) if word.search(hit[0])]
    run = [rb"(?:run|yarn|pnpm)\s+" + re.escape(one.split(b'"')[1]) + rb"\b" for one in hands]
    named = re.compile(b"|".join([word.pattern, *run]))
    return any(
        named.search(BY_HAND.sub(b"", data) if name.endswith("package.json") else data)
        for name, data in starters.items()
    )
