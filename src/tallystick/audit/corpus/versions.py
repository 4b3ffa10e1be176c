"""Which Stripe kit is pinned, by package registry."""

from __future__ import annotations

import posixpath
import re

from tallystick.audit.corpus.lexical import Corpus

PATTERNS = {
    "package.json": ("npm", re.compile(rb'"stripe"\s*:\s*"[\^~>=v ]*(\d+)')),
    "package-lock.json": ("npm", re.compile(rb'"node_modules/stripe":\s*\{\s*"version":\s*"(\d+)')),
    "pnpm-lock.yaml": ("npm", re.compile(rb"(?m)^\s+['\"]?/?stripe[@/](\d+)\.")),
    "yarn.lock": ("npm", re.compile(rb'(?m)^"?stripe@[^\n]*:\n\s+version:? "?(\d+)')),
    "bun.lock": ("npm", re.compile(rb'"stripe":\s*\["stripe@(\d+)')),
    "deno.json": ("npm", re.compile(rb"\bstripe@[\^~v]*(\d+)")),
    "composer.json": ("composer", re.compile(rb'"stripe/stripe-php"\s*:\s*"[\^~>=v ]*(\d+)')),
    "composer.lock": ("composer", re.compile(rb'"name":\s*"stripe/stripe-php",\s*"version":\s*"v?(\d+)')),
    "requirements.txt": ("pip", re.compile(rb"(?mi)^stripe\s*[=~>]=\s*(\d+)")),
    "pyproject.toml": ("pip", re.compile(rb'(?mi)stripe"?\s*(?:=\s*"[\^~>=]*|[=~>]=\s*)(\d+)')),
    "poetry.lock": ("pip", re.compile(rb'name = "stripe"\nversion = "(\d+)')),
    "go.mod": ("go", re.compile(rb"github\.com/stripe/stripe-go/v(\d+)")),
    "Gemfile": ("gem", re.compile(rb"(?m)^\s*gem [\"']stripe[\"'],\s*[\"'][~>=^ ]*(\d+)")),
    "Gemfile.lock": ("gem", re.compile(rb"(?m)^    stripe \((\d+)")),
    "pom.xml": ("maven", re.compile(rb"stripe-java</artifactId>\s*<version>(\d+)")),
    "build.gradle": ("maven", re.compile(rb"com\.stripe:stripe-java:(\d+)")),
    "build.gradle.kts": ("maven", re.compile(rb"com\.stripe:stripe-java:(\d+)")),
    "Pipfile.lock": ("pip", re.compile(rb'"stripe":\s*\{[^}]*"version":\s*"==(\d+)')),
    "uv.lock": ("pip", re.compile(rb'name = "stripe"\nversion = "(\d+)')),
}


LOADED = re.compile(rb"(?:npm:|esm\.sh/|skypack\.dev/|deno\.land/x/)stripe@[\^~v]*(\d+)")
DATED = re.compile(  # the version of Stripe's interface that a client asks for
    rb"""(?i)\b(?:stripe[-_]?version|api_?version)["']?\s*(?:\]\s*)?(?:[:=,]|=>)\s*["'](20\d\d-\d\d-\d\d)"""
)


QUIET = re.compile(  # kits before their first version, which answer `{ data, error }` and raise nothing
    rb'"(?:autumn-js|@useautumn/convex)"\s*:\s*"[\^~>=v ]*0\.'
)
DIGITS = 9  # longer is no version
Pins = dict[str, dict[str, int]]  # by registry: the major version by folder


def pinned(corpus: Corpus) -> Pins:
    """The major versions that manifests and lock files name; a lock file's word is better than a manifest's."""
    found: Pins = {}
    for path in sorted(corpus.support, key=lambda one: ("lock" not in one, one.count("/"), one)):
        rule = PATTERNS.get(posixpath.basename(path))
        hit = rule[1].search(corpus.support[path]) if rule else None
        if rule and hit:
            found.setdefault(rule[0], {}).setdefault(posixpath.dirname(path), int(hit.group(1)[:DIGITS]))
    for path in sorted(corpus.sources):  # Deno pins a kit where it is imported
        loaded = LOADED.search(corpus.sources[path]) if b"stripe@" in corpus.sources[path] else None
        if loaded is not None:
            found.setdefault("npm", {}).setdefault(posixpath.dirname(path), int(loaded.group(1)[:DIGITS]))
    return found


def dated(corpus: Corpus) -> list[str]:
    """The versions of Stripe's interface that clients are pinned to, the oldest first."""
    hits = (DATED.search(data) for data in corpus.sources.values() if b"tripe" in data)
    return sorted(hit[1].decode() for hit in hits if hit is not None)


def is_quiet(corpus: Corpus) -> bool:
    """Whether the meter's kit that is asked for here answers a refusal instead of raising it."""
    return any(QUIET.search(data) for path, data in corpus.support.items() if path.endswith("package.json"))


def nearest(pins: Pins, registry: str, path: str) -> int | None:
    """What holds for a file: the nearest folder above it that pins the kit, else the first that does."""
    known = pins.get(registry, {})
    folder = posixpath.dirname(path)
    while folder and folder not in known:
        folder = posixpath.dirname(folder)
    return known.get(folder, next(iter(known.values()), None))
