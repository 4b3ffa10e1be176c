"""From an import specifier to the file it means."""

from __future__ import annotations

import json
import posixpath
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from tallystick.audit.corpus.lexical import Corpus, specifiers

PROBES = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".vue", ".svelte")
INDEXES = ("/index.ts", "/index.tsx", "/index.js", "/index.jsx", "/index.mjs")
LOOSE = re.compile(r'("(?:\\.|[^"\\\n])*"?)|//[^\n]*|/\*.*?(?:\*/|\Z)|,(?=\s*[}\]])', re.DOTALL)
BESIDE = re.compile(r"(?:file|link|portal):(?:\./)?([\w.@/-]+)$")
ALIASES = 1_000


class Resolver:
    """Resolution over one corpus."""

    def __init__(self, corpus: Corpus) -> None:
        """Read the manifests."""
        self.files = corpus.sources
        self.aliases: list[tuple[str, str, list[str]]] = []
        self.packages: dict[str, str] = {}
        self.linked: dict[str, str] = {}
        self.unresolved = 0
        self.known: dict[tuple[str, bool, str], str] = {}
        for path, data in corpus.support.items():
            name = posixpath.basename(path)
            if re.match(r"(?:ts|js)config[\w.-]*\.json$", name):
                self._tsconfig(posixpath.dirname(path), data)
            elif name == "package.json":
                self._package(posixpath.dirname(path), data)
        self.packages = self.linked | self.packages
        del self.aliases[ALIASES:]
        self.aliases.sort(key=lambda one: (-len(one[0]), -len(one[1]), one[1]))
        self.aliases_of = cache(self._aliases_of)
        self.endings = _endings(path for path in self.files if path.endswith(".py"))

    def _tsconfig(self, folder: str, data: bytes) -> None:
        options = _json(data).get("compilerOptions")
        if not isinstance(options, dict):
            return
        base = posixpath.normpath(posixpath.join(folder, str(options.get("baseUrl", "."))))
        paths = options.get("paths")
        for alias, targets in paths.items() if isinstance(paths, dict) else []:
            listed = targets if isinstance(targets, list) else []
            places = [posixpath.normpath(posixpath.join(base, str(one))) for one in listed]
            self.aliases.append((folder, alias, places))
        if "baseUrl" in options:
            self.aliases.append((folder, "*", [posixpath.normpath(posixpath.join(base, "*"))]))

    def _package(self, folder: str, data: bytes) -> None:
        manifest = _json(data)
        name = manifest.get("name")
        if isinstance(name, str) and name:
            self.packages[name] = folder
        for kind in ("dependencies", "devDependencies"):
            asked = manifest.get(kind)
            for local, place in asked.items() if isinstance(asked, dict) else ():
                beside = BESIDE.match(place) if isinstance(place, str) else None
                if beside is not None:  # whatever the folder calls itself
                    self.linked[local] = posixpath.normpath(posixpath.join(folder, beside[1]))

    def resolve(self, path: str, specifier: str) -> str:
        """The file meant, or an empty text; memoised by folder, which alone decides."""
        key = (path.rpartition("/")[0], path.endswith(".py"), specifier)
        if key not in self.known:
            self.known[key] = self._resolve(path, specifier)
        return self.known[key]

    def _resolve(self, path: str, specifier: str) -> str:
        if path.endswith(".py"):
            return self._python(path, specifier)
        if specifier.startswith("."):
            return self._probe(posixpath.normpath(posixpath.join(posixpath.dirname(path), specifier)))
        return self._aliased(path, specifier) or self._workspace(specifier) or self._rooted(path, specifier)

    def _probe(self, base: str) -> str:
        base = base.removeprefix("./")
        for ending in (*PROBES, *INDEXES):
            if base + ending in self.files:
                return base + ending
        stem, _, ending = base.rpartition(".")
        if ending in ("js", "jsx", "mjs", "cjs") and stem:
            return next((stem + one for one in (".ts", ".tsx", ".mts") if stem + one in self.files), "")
        return ""

    def _aliased(self, path: str, specifier: str) -> str:
        for alias, targets in self.aliases_of(posixpath.dirname(path)):
            head, star, tail = alias.partition("*")
            if (star and specifier.startswith(head) and specifier.endswith(tail)) or specifier == alias:
                middle = specifier[len(head) : len(specifier) - len(tail)] if star else ""
                for target in targets:
                    found = self._probe(target.replace("*", middle))
                    if found:
                        return found
        return ""

    def _aliases_of(self, folder: str) -> list[tuple[str, list[str]]]:
        """The aliases that hold in a folder, with what they stand for."""
        below = f"{folder}/"
        return [
            (alias, targets)
            for holder, alias, targets in self.aliases
            if not holder or below.startswith(f"{holder}/")
        ]

    def _workspace(self, specifier: str) -> str:
        parts = specifier.split("/")
        for length in (2, 1):
            name = "/".join(parts[:length])
            if name in self.packages:
                folder = self.packages[name]
                rest = "/".join(parts[length:])
                for inside in ("", "src", "lib", "src/lib"):
                    found = self._probe(posixpath.normpath(posixpath.join(folder, inside, rest)))
                    if found:
                        return found
        return ""

    def _rooted(self, path: str, specifier: str) -> str:
        if not specifier.startswith(("@/", "~/", "$lib/", "#", "~~/", "src/")):
            return ""
        rest = specifier.partition("/")[2]
        rest = f"lib/{rest}" if specifier.startswith("$lib") else rest
        folder = posixpath.dirname(path)
        while True:
            for inside in ("", "src", "app", "server"):
                found = self._probe(posixpath.normpath(posixpath.join(folder, inside, rest)))
                if found:
                    return found
            if not folder:
                return ""
            folder = posixpath.dirname(folder)

    def _python(self, path: str, specifier: str) -> str:
        if specifier.startswith("."):
            level = len(specifier) - len(specifier.lstrip("."))
            folder = path
            for _ in range(level):
                folder = posixpath.dirname(folder)
            return self._module(posixpath.join(folder, specifier.lstrip(".").replace(".", "/")))
        found = _nearest(self.endings.get(specifier.replace(".", "/"), []), posixpath.dirname(path))
        return self._module(found) if found else ""

    def _module(self, base: str) -> str:
        return next((base + one for one in (".py", "/__init__.py") if base + one in self.files), "")


class Graph:
    """Who imports whom, in both directions."""

    def __init__(self, corpus: Corpus, resolver: Resolver) -> None:
        """Resolve every specifier of every file."""
        self.forward: dict[str, set[str]] = {}
        self.reverse: dict[str, set[str]] = defaultdict(set)
        for path, data in corpus.sources.items():
            targets = set()
            for one in specifiers(path, data):
                target = resolver.resolve(path, one)
                if target:
                    targets.add(target)
                elif one.startswith(".") and not path.endswith(".py"):
                    resolver.unresolved += 1
            self.forward[path] = targets - {path}
            for target in targets:
                self.reverse[target].add(path)

    def importers(self, seeds: set[str], limit: int = 3000) -> set[str]:
        """All files that reach one of the seeds."""
        return self._closure(seeds, self.reverse, 50, limit)

    def imported(self, seeds: set[str], hops: int, limit: int = 3000) -> set[str]:
        """All files the seeds reach within some hops."""
        return self._closure(seeds, self.forward, hops, limit)

    @staticmethod
    def _closure(seeds: set[str], edges: dict[str, set[str]], hops: int, limit: int) -> set[str]:
        seen, fringe = set(seeds), sorted(seeds)
        for _ in range(hops):
            fringe = fringe[: max(0, limit - len(seen))] if len(seen) + len(fringe) > limit else fringe
            fringe = sorted({one for path in fringe for one in edges.get(path, ())} - seen)
            if not fringe or len(seen) > limit:
                break
            seen.update(fringe)
        return seen


def _endings(paths: Iterable[str]) -> dict[str, list[str]]:
    """The modules of Python by every ending of their way, `shop/meter` and `meter`, in the order of folders."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path[:-3].removesuffix("/__init__").replace(".", "/") for path in paths):
        ending = path
        while ending:
            found[ending].append(path)
            ending = ending.partition("/")[2]
    return found


def _nearest(modules: list[str], folder: str) -> str:
    """The first of those that have the longest way in common with a folder: its neighbours in order have it."""
    at = bisect_left(modules, folder)
    beside = modules[max(0, at - 1) : at + 1]
    shared = max((len(posixpath.commonprefix([one, folder])) for one in beside), default=0)
    return next(iter(modules[bisect_left(modules, folder[:shared]) :]), "")


def _json(data: bytes) -> dict[str, object]:
    text = data.decode("utf-8", "replace")
    try:
        try:
            value = json.loads(text)
        except ValueError:
            value = json.loads(LOOSE.sub(r"\1", text))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
