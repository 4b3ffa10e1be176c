# ruff: noqa: E501
"""Route recall: the routes that a plain search for declarations sees, against those the auditor finds.

`python benchmarks/audit/routes.py folder-of-checkouts`. The search knows nothing of the engine: lines that declare a
route, by the spelling of each framework. What it takes for a route and is none (a client's `api.get("/x")`, say) counts
against the auditor, so the figure is a lower bound; the lines that were not found are printed to be read.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from measuring import TALLYSTICK

ASIDE = re.compile(
    r"(?i)(?:^|/)(?:node_modules|dist|build|\.next|vendor|tests?|__tests__|e2e|mocks?|fixtures|examples?|generated)/|\.(?:test|spec|d)\."
)
DECLARED = {
    "next-app": (r"app/(?:.*/)?route\.(?:ts|js|tsx|mjs)$", r"^export\s+(?:async\s+)?(?:function|const)\s+(?:GET|POST|PUT|PATCH|DELETE)\b"),
    "next-pages": (r"pages/api/.*\.(?:ts|js)$", r"^export default\b"),
    "express, hono, fastify": (r"\.(?:ts|js|mjs)$", r"^\s*(?:app|router|server|fastify|\w+Router|\w+Routes|\w*[aA]pp)\.(?:get|post|put|patch|delete)\(\s*['\"`]/"),
    "trpc": (r"\.ts$", r"^\s*\w+:\s*\w*[pP]rocedure\b"),
    "supabase": (r"supabase/functions/[^_][^/]*/index\.ts$", r"^\s*(?:Deno\.)?serve\("),
    "convex": (r"convex/[^_].*\.ts$", r"^export const \w+ = (?:query|mutation|action|httpAction)\("),
    "fastapi, flask": (r"\.py$", r"^\s*@\w+\.(?:get|post|put|patch|delete|route)\("),
    "nest": (r"\.controller\.ts$", r"^\s*@(?:Get|Post|Put|Patch|Delete)\("),
    "server actions": (r"actions?/?.*\.ts$", r"^export async function \w+"),
}  # fmt: skip
FAR = (
    80  # lines at most between the last declaration of a file and its handler, which is what `--routes` names
)


def main(checkouts: Path) -> int:
    """Print a line a framework, then what was not found."""
    seen: Counter[str] = Counter()
    missed: list[tuple[str, str]] = []
    for folder in sorted(one for one in checkouts.iterdir() if one.is_dir()):
        places, routes = found(folder)
        every = declared(folder)
        for number, (framework, path, line, text) in enumerate(every):
            seen[framework] += 1
            following = every[number + 1] if number + 1 < len(every) else None
            end = following[2] if following is not None and following[1] == path else line + FAR
            if not any((path, at) in places for at in range(line, max(end, line + 1))) and not named(
                path, text, routes
            ):
                missed.append((framework, f"{folder.name}/{path}:{line}: {text.strip()[:90]}"))
    lost = Counter(framework for framework, _ in missed)
    for framework, count in seen.items():
        print(f"{framework:24} {count - lost[framework]:5} of {count:5}")
    whole = sum(seen.values())
    print(f"{'all':24} {whole - len(missed):5} of {whole:5}  {(whole - len(missed)) / max(1, whole):.1%}")
    print("".join(f"  {text}\n" for _, text in missed), end="")
    return 0


def found(folder: Path) -> tuple[set[tuple[str, int]], set[str]]:
    """Where the auditor sees ways in, and what it calls them."""
    command = [*TALLYSTICK, "--no-cache", "--isolated", "--routes", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    places, routes = set(), set()
    for line in lines:
        path, _, number = line.rpartition("  ")[2].rpartition(":")
        if number.isdigit():
            places.add((path, int(number)))
            routes.add(" ".join(line.rpartition("  ")[0].split()))
    return places, routes


def declared(folder: Path) -> list[tuple[str, str, int, str]]:
    """The lines that declare a route, by the words alone."""
    rows = [(name, re.compile(file), re.compile(line)) for name, (file, line) in DECLARED.items()]
    result = []
    for one in sorted(folder.rglob("*")):
        path = one.relative_to(folder).as_posix()
        if one.suffix not in (".ts", ".tsx", ".js", ".mjs", ".py") or ASIDE.search(path) or not one.is_file():
            continue
        text = one.read_text("utf-8", "replace")
        for name, file, line in rows:
            if not file.search(path) or (name == "server actions" and "use server" not in text[:300]):
                continue
            lines = text.split("\n")
            result += [
                (name, path, number, said) for number, said in enumerate(lines, 1) if line.search(said)
            ]
    return result


def named(path: str, text: str, routes: set[str]) -> bool:
    """Whether a route of this verb and path is known, its handler standing elsewhere."""
    hit = re.search(r"\.(get|post|put|patch|delete)\(\s*['\"`]([^'\"`]+)", text)
    if hit is not None:
        return any(f"{hit[1].upper()} {hit[2]}" in one for one in routes)
    folder = re.search(r"(?:^|/)(?:app|pages)/(.*?)(?:/route)?\.\w+$", path)
    verb = re.search(r"const (GET|POST|PUT|PATCH|DELETE) = \w", text)
    if folder is None or not (verb or text.startswith("export default")):
        return False
    return f"{verb[1] if verb else 'ANY'} /{folder[1]}" in {one.lstrip("-✓ ") for one in routes}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/audit/routes.py folder-of-checkouts")
    sys.exit(main(Path(sys.argv[1])))
