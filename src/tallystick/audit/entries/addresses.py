"""The address that a file stands for by its place in the tree."""

from __future__ import annotations

import posixpath
import re

ROOTS = {  # what stands before the address, by framework
    "next-app": r"^.*?(?:^|/)app/",
    "next-pages": r"^.*?(?:^|/)pages/",
    "sveltekit": r"^.*?(?:^|/)src/routes/",
    "astro": r"^.*?(?:^|/)src/pages/",
    "vercel": r"^.*?(?:^|/)(?=api/)",
    "nitro": r"^.*?(?:^|/)server/(?:routes/|(?=api/))",
    "pages-functions": r"^.*?(?:^|/)functions/",
    "remix": r"^.*?(?:^|/)routes/",
}
ITSELF = re.compile(r"^(?:route|index|_index|\+(?:server|page\.server)|\[\[?default\]?\])$")
ASIDE = re.compile(r"\([^)]*\)/?|(?:^|(?<=/))@\w+/")  # groups and slots are no part of it
VERB = re.compile(r"\.(get|post|put|patch|delete)$")


def path_route(framework: str, path: str, name: str) -> str:
    """The route of a function of a file: `POST /api/cron/report`, or its name and file where there is no address."""
    root = re.match(ROOTS[framework], path) if framework in ROOTS else None
    if root is None:
        return f"{name} {path}"
    below = path[root.end() :]
    folder, file = posixpath.split(below)
    stem = file.rpartition(".")[0]
    verb = VERB.search(stem) if framework == "nitro" else None
    stem = stem.removesuffix(verb[0]) if verb else stem
    address = folder if ITSELF.match(stem) else posixpath.join(folder, stem)
    address = _flat(below) if framework == "remix" else ASIDE.sub("", address)
    said = {
        "next-pages": "ANY",
        "nitro": verb[1].upper() if verb else "ANY",
        "pages-functions": name.removeprefix("onRequest").upper() or "ANY",
    }
    return f"{said.get(framework, name)} /{address}"


def _flat(path: str) -> str:
    """The address of a file by its name, a dot for a slash: `cron.usage.tsx`, `_app.teams_.$id/route.tsx`."""
    bare = re.sub(r"(?:/(?:route|index))?\.\w+$", "", path)
    steps = [one for one in re.split(r"[./](?![^\[]*\])", bare) if one and not one.startswith("_")]
    return "/".join(re.sub(r"^\$", ":", one.strip("[]").removesuffix("_")) for one in steps)
