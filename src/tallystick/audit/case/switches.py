"""Ways that a switch keeps shut: `if (features.metering) report()`, where nothing ever sets it but to false."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import Corpus

OFF = "switched off"
ASKED = re.compile(rb"^\s*(?:\}\s*else\s+)?if\s*\((.*?)\)\s*(?:\{\s*)?(?:(?:await|void|return)\b.*)?$")
REFUSED = re.compile(rb"^\s*if\s*\((.*?)\)\s*(?:\{\s*)?(?:return\b.*)?$")
TERM = re.compile(rb"^([\w$]+(?:\??\.[\w$]+)*)(?:\s*===?\s*true)?$")
SWITCH = re.compile(r"(?i)enabl|bill|meter|usage|report|feature|flag|stripe|overage|active")
SHUT = re.compile(rb"(?i)false\b")
TYPE = re.compile(rb"boolean\s*(?:$|[;,}|])")
FAR = 200  # lines above a call
LEAST = 6  # letters by which a switch is told from other names


def shut(case: Case) -> None:
    """Take away the start of ways behind a switch that is never on: they are there, and never run."""
    known: dict[str, bool] = {}
    lines = cache(lambda path: case.corpus.sources[path].split(b"\n"))
    for number, trail in enumerate(case.trails):
        if trail.entry is None or trail.site.stored:
            continue
        for key, call in trail.hops:
            first = max(case.program.function(key).line, call.line - FAR)
            above = lines(key[0])[first - 1 : call.line]
            names = [one for one in _switches(above) if len(one) >= LEAST and SWITCH.search(one)]
            for name in names:
                if name not in known:
                    known[name] = _never_on(case.corpus, name)
            if any(known[name] for name in names):
                case.trails[number] = replace(trail, entry=None, flags=trail.flags | {OFF})
                case.silent.add(trail.top)
                break


def _switches(lines: list[bytes]) -> Iterator[str]:
    """The last names of what has to hold for the last line to be reached: of conditions around it, of early returns."""
    level = _indent(lines[-1]) if lines else 0
    yield from _terms(ASKED, lines[-1], b"&&", b"") if lines else ()
    for number in range(len(lines) - 2, -1, -1):
        line = lines[number]
        if not line.strip() or _indent(line) > level:
            continue
        following = lines[number + 1].strip()
        if _indent(line) < level:
            level = _indent(line)
            yield from _terms(ASKED, line, b"&&", b"")
        elif b"return" in line or following.startswith(b"return"):
            yield from _terms(REFUSED, line, b"||", b"!")


def _terms(shape: re.Pattern[bytes], line: bytes, joint: bytes, sign: bytes) -> Iterator[str]:
    hit = shape.match(line)
    for one in hit[1].split(joint) if hit is not None else ():
        said = one.strip()
        term = TERM.match(said.removeprefix(sign)) if said.startswith(sign) else None
        if term is not None:
            yield term[1].decode("utf-8", "replace").rpartition(".")[2]


def _never_on(corpus: Corpus, name: str) -> bool:
    """Whether a name is given false, and nowhere anything else that could be true."""
    word = re.escape(name).encode()
    given = re.compile(
        rb"(?m)^(?P<line>[^\n]*?)(?<![\w$])" + word + rb"[\"']?\s*(?:\??:|=(?![=>]))\s*(?P<value>[^\n]*)"
    )
    handed = re.compile(rb"(?m)^(?!\s*(?:import|export \{)\b)[^\n]*[{,]\s*" + word + rb"\s*[,}]")
    found = False
    for data in corpus.sources.values():
        if name.encode() not in data:
            continue
        if handed.search(data):
            return False
        for hit in given.finditer(data):
            if TYPE.match(hit["value"]):
                continue
            if not SHUT.match(hit["value"]) or hit["line"].endswith(b".") or b"bool" in hit["line"]:
                return False
            found = True
    return found


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())
