"""What only the server calls, as Convex's `internalAction`: a file that holds such is no program of its own."""

from __future__ import annotations

import re

from tallystick.audit.trails.trails import Trail

BUILDERS = re.compile(r"[iI]nternal\w*(?:Mutation|Action|Query)$")


def begun(trails: list[Trail]) -> list[Trail]:
    """The ways to one report, without those that begin in such a file where it is known who calls."""
    own = [one for one in trails if not _is_internal(one)]
    return own if any(one.entry is not None for one in own) else trails


def _is_internal(trail: Trail) -> bool:
    """Whether a way begins where a file gives its function to such a builder."""
    loaded = trail.entry is not None and trail.entry.kind == "script"
    return loaded and BUILDERS.search(trail.hops[-1][1].callee) is not None
