"""Folders that the build of a TypeScript tree leaves out, and that nothing else builds.

Source: TypeScript's "TSConfig reference", `exclude`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

CONFIG = "tsconfig.json"
EXCLUDED = re.compile(rb'"exclude"\s*:\s*\[([^\]]{0,4000})\]')
FOLDER = re.compile(rb'"(?:\./)?([\w@-]{1,80}(?:/[\w@-]{1,80})*)/?(?:\*\*(?:/\*)?|\*)?/?"')
MANIFEST = re.compile(
    r"(?:package|deno|tsconfig|wrangler)\.(?:jsonc?|toml)$|\.(?:mod|gemspec)$|pyproject\.toml$"
)
DEPLOYED = re.compile(r"(?:^|/)(?:supabase|functions|netlify|convex|api|workers?)(?:/|$)")  # from its sources


def unbuilt(support: Mapping[str, bytes]) -> tuple[str, ...]:
    """The starts of the paths that only a copy or a sketch has."""
    hit = EXCLUDED.search(support.get(CONFIG, b""))
    folders = [one.decode() for one in FOLDER.findall(hit[1])] if hit is not None else []
    built = {posixpath.dirname(path) for path in support if MANIFEST.search(path)}
    return tuple(
        f"{one}/"
        for one in folders
        if not DEPLOYED.search(one) and not any(f"{path}/".startswith(f"{one}/") for path in built)
    )
