"""Programs of those who build the product: evaluations, benchmarks, examples, seeds. Nobody buys what they do."""

from __future__ import annotations

import re
from dataclasses import replace

from tallystick.audit.case.case import Case
from tallystick.audit.case.clocks import started
from tallystick.audit.case.offside import told_elsewhere
from tallystick.audit.case.reaching import done_here
from tallystick.audit.trails.trails import Trail

TRIALS = re.compile(  # and no part of the program, which may itself sell evaluations
    r"(?i)^(?!(?:.*/)?(?:src|app|server|lib|internal|pkg)/)(?:.*/)?(?:evals?|evaluations?|bench(?:marks?)?|examples?|demos?|samples?"
    r"|seeds?|seeders?|fixtures|playgrounds?|experiments?|notebooks?|cookbook)/|(?:^|/)seed\.\w+$"
)
BY_HAND = re.compile(r"(?:^|/)(?:scripts?|tools?|bin|hack|ops|maintenance)/")
TRIED = re.compile(  # in the name of a program among the tools
    r"(?i)(?:^|[/_.-])(?:evals?|evaluat\w*|bench\w*|demos?|examples?|samples?|seeds?|tests?|try|debug|smoke|load-?test|simulat\w*"
    r"|playground|sandbox|experiment\w*|mock\w*)(?=[_.-]|/[^/]*$|$)"
)


def beside(case: Case) -> None:
    """Take away the start of ways from such programs: what they report is no metered action of the product."""
    tried = {number for number, one in enumerate(case.trails) if _is_beside(case, one)}
    sold = any(one.entry is not None for number, one in enumerate(case.trails) if number not in tried)
    for number in sorted(tried):
        trail = case.trails[number]
        if sold or not told_elsewhere(case, trail):
            case.trails[number] = replace(trail, entry=None)
            case.idle[trail.top] = (
                f"only programs beside the application report usage ({trail.top[0]}), and nothing that a customer uses"
            )


def _is_beside(case: Case, trail: Trail) -> bool:
    """Whether a way starts at a program that tries the product out, and nothing runs it by itself."""
    entry = trail.entry
    if entry is None or entry.framework != "script" or entry.seconds is not None:
        return False
    path = entry.key[0]
    if TRIALS.search(path):
        tried = not TRIALS.search(trail.site.key[0])  # else it is the reporter's own example
    else:
        tried = BY_HAND.search(path) is not None and TRIED.search(path) is not None and done_here(case, trail)
    return tried and not started(case.corpus, path)
