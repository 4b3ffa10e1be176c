"""The page that explains every finding code, written from the catalogue so that the two cannot drift.

`make audit-docs` writes it; a test compares it with the file in docs/audit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tallystick.audit.handbook import catalogue
from tallystick.audit.handbook.catalogue import Entry

HEAD = """# The findings

Every code the auditor knows, why it matters to the bill, and the wrong and the right way.
`tallystick audit --explain CODE` prints the same. This page is written by `make audit-docs`:
mend the rule, not the page.
"""


def render(entries: Iterable[Entry]) -> str:
    """The whole page."""
    everything = tuple(entries)
    deciding = [entry for entry in everything if entry.decides]
    others = [entry for entry in everything if not entry.decides]
    parts = [HEAD, _contents(everything)]
    if deciding:
        parts += ["## Take part in the verdict\n", *map(_page, deciding)]
    parts += ["## Stay out of the verdict\n", *map(_page, others)]
    return "\n".join(parts)


def _contents(entries: Iterable[Entry]) -> str:
    rows = [
        f"| [`{one.code}`](#{one.code}) | {one.severity.value} | {'yes' if one.decides else 'no'} | {one.title} |"
        for one in entries
    ]
    return "\n".join(["| code | severity | decides | what |", "|---|---|---|---|", *rows, ""])


def _page(entry: Entry) -> str:
    samples = "".join(
        f"\n{title}:\n\n```{language(sample)}\n{sample.rstrip()}\n```\n"
        for title, sample in (("Wrong", entry.wrong), ("Right", entry.right))
        if sample
    )
    return f"### {entry.code}\n\n**{entry.title}.** {entry.why}\n{samples}"


def language(sample: str) -> str:
    """The language of a sample, for colouring it."""
    signs = ("def ", "tally.", "@tally", "@app.", "import ", "self.")
    lines = sample.splitlines()
    if any(line.rstrip().endswith((";", "{", "};")) or line.lstrip().startswith("//") for line in lines):
        return "ts"
    return "python" if any(sign in sample for sign in signs) or sample.startswith("#") else "ts"


if __name__ == "__main__":
    sys.stdout.write(render(catalogue.entries()))
