"""What a call answers that was handed a function while its file loads: `export const report = traced(async () => …)`.

Nothing says that the call runs the function. It makes one that waits to be called, by the name that is exported; where
nothing in the tree says that name, nothing calls it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tallystick.audit.case.case import Case
from tallystick.audit.case.clocks import SCRIPT, started
from tallystick.audit.case.offside import said, told_elsewhere
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

EXPORTED = finite(rb"\bexport\s+(?:const|let|var)\s+([\w$]+)\s*(?=[:=])")
BEGINNING = re.compile(rb"^[^\s})\].,;:?|&/*]")  # of a statement at the top of a file, as formatters indent
RUN_NOW = re.compile(rb"=\s*(?:await|void)\b")
FAR = 400  # lines from the head of a statement to a call inside it
FOUND_BY_FOLDER = re.compile(  # what stands there is loaded by a framework
    r"(?i)(?:^|/)(?:routes?|pages|api|functions|handlers?|plugins?|resolvers?|jobs?|tasks?|crons?|workers?|events|listeners?"
    r"|subscribers?|commands?|workflows?|triggers?|tools?|actions?|convex|inngest|netlify|middlewares?|hooks|steps?|endpoints?"
    r"|lambdas?|webhooks?|controllers?|procedures|loaders|migrations)/"
)
FOUND_BY_FILE = re.compile(  # where a program starts
    r"(?i)(?:^|/)(?:index|main|server|app|worker|bot|cli|start|instrumentation|middleware|proxy)\.\w+$"
    r"|\.(?:server|config|remote)\.\w+$|\+\w+\.\w+$"
)
FOUND_BY_NAME = re.compile(
    r"^(?:[A-Z]+|default|handler?|loader|action|load|actions|fetch|config|server|app|api|bot|worker|router?|proxy|middleware"
    r"|on[A-Z]\w*|get(?:Server|Static)\w*)$|(?i:route|router|handler|action|mutation|query|procedure|endpoint|controller|worker"
    r"|job|task|workflow|function|tool|plugin|hook|middleware|listener|subscriber|consumer|trigger|command|cron|server)s?$"
)
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def unused(case: Case) -> None:
    """Take away the start of ways that begin at such a call, where nothing uses what it answers."""
    known: dict[tuple[str, int], str] = {}
    needless = set()
    for number, trail in enumerate(case.trails):
        below = _handed(case, trail)
        if below is None:
            continue
        key, call = trail.hops[-1]
        if (key[0], call.line) not in known:
            known[key[0], call.line] = _waiting(case, key[0], call)
        name = known[key[0], call.line]
        if name and (told_elsewhere(case, trail) or _is_used(case, key[0], name)):
            needless |= {id(trail)} if _followed(case, trail, below) else set()
        elif name:
            case.trails[number] = replace(trail, entry=None, top=below, hops=trail.hops[:-1])
            case.idle[below] = f"nothing in the application uses {name}, which would report usage"
    case.trails = [one for one in case.trails if id(one) not in needless]


def _followed(case: Case, trail: Trail, below: Key) -> bool:
    """Whether it is known who calls what waits."""
    ways = (one for one in case.live if one.site is trail.site and one is not trail)
    return any(below in {key for key, _ in one.hops} for one in ways if _handed(case, one) is None)


def _handed(case: Case, trail: Trail) -> Key | None:
    """The function that a file hands to a call while it loads, where a way begins with that."""
    entry = trail.entry
    if entry is None or (entry.kind, entry.framework) != ("script", "script") or trail.client:
        return None
    key, call = trail.hops[-1]
    if key[1] or not key[0].endswith(SCRIPT) or len(trail.hops) < 2:
        return None
    below = trail.hops[-2][0]
    return below if below[1] and below not in case.program.targets(key, call.callee) else None


def _waiting(case: Case, path: str, call: Call) -> str:
    """The exported name of what a call answers, where no framework finds that by itself."""
    words = {one.lower() for one in CAMEL.findall(call.callee)}
    kept = case.program.knowledge.setting("keep", "word")
    if any(map(kept.match, words)) or FOUND_BY_FOLDER.search(path) or FOUND_BY_FILE.search(path):
        return ""
    name = _exported(case, path, call)
    if not name or FOUND_BY_NAME.search(name) or started(case.corpus, path) or _taken_whole(case, path):
        return ""
    return name


def _exported(case: Case, path: str, call: Call) -> str:
    """The name that the statement around a call exports; none for one that waits for the call's answer."""
    lines = case.corpus.lines(path)
    for line in range(call.line, max(0, call.line - FAR), -1):
        text = lines.said(line, line)
        if BEGINNING.match(text):
            before = lines.said(line, call.line - 1) + b"\n" if line < call.line else b""
            before += lines.said(call.line, call.line)[: call.column - 1]
            found = [*EXPORTED.finditer(before)]
            waits = found and RUN_NOW.search(before, found[-1].end())
            return found[-1][1].decode() if found and not waits else ""
    return ""


def _taken_whole(case: Case, path: str) -> bool:
    """Whether a file is loaded for what it does, or by whatever it exports."""
    stem = re.escape(path.rpartition("/")[2].partition(".")[0]).encode()
    quoted = rb"[\"'`](?:[^\"'`\n]{0,200}/)?" + stem + rb"(?:\.\w{1,4})?[\"'`]"
    whole = re.compile(rb"(?:\bimport\s*\(?\s*|\*\s*as\s+[\w$]+\s+from\s*|\brequire\(\s*)" + quoted)
    return bool(case.corpus.grep(whole, path.rpartition("/")[2].partition(".")[0].encode()))


def _is_used(case: Case, path: str, name: str) -> bool:
    """Whether anything says an exported name; in its own file a text does not count: `traced("report", …)`."""
    word = re.escape(name).encode()
    own = re.compile(rb"\bexport\s+(?:const|let|var)\s+" + word + rb"(?![\w$])|([\"'`])" + word + rb"\1")
    return said(case, name, own={path: own})
