"""Trees that are published for others to build on: a client, a plug-in. Who uses them sells the work, or does not."""

from __future__ import annotations

import json
import re

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import ASIDE, Corpus

DEPLOYED = re.compile(
    r"^(?:artisan|Procfile|Dockerfile|manage\.py|fly\.toml|vercel\.json|render\.yaml|config\.ru)$"
)
SERVING = re.compile(
    rb"\b(?:FastAPI|Flask|Starlette|Litestar|Sanic|Quart)\(|^urlpatterns\b|\bapp\.listen\(|createServer\(|ListenAndServe\(|gin\.Default\("
    rb"|SpringApplication\.run|export (?:async )?function (?:GET|POST)\b|\b(?:streamlit|gradio)\b",
    re.MULTILINE,
)
STARTING = frozenset(["http", "action", "worker", "schedule"])


def published(case: Case) -> bool:
    """Whether the tree is a library, and nothing that runs in it reports usage."""
    if any(one.entry is not None and one.entry.kind in STARTING and not one.client for one in case.trails):
        return False
    corpus = case.corpus
    if any(DEPLOYED.match(path) for path in (*corpus.support, *corpus.sources)):
        return False
    return _as_plugin(corpus) or (_as_package(corpus) and not _serves(corpus))


def _as_plugin(corpus: Corpus) -> bool:
    """A gem, or a package for PHP."""
    if any(path.endswith(".gemspec") and "/" not in path for path in (*corpus.support, *corpus.sources)):
        return True
    said = _parsed(corpus.support.get("composer.json", b""))
    return bool(said.get("name")) and "autoload" in said and said.get("type", "library") != "project"


def _as_package(corpus: Corpus) -> bool:
    """A package for Python, JavaScript or Go."""
    python = corpus.support.get("pyproject.toml", b"")
    if b"[build-system]" in python and (
        b"[project]" in python or b"[tool.poetry]" in python or b"[tool.flit" in python
    ):
        return True
    if b"setup(" in corpus.sources.get("setup.py", b""):
        return True
    said = _parsed(corpus.support.get("package.json", b""))
    if (
        said.get("name")
        and not said.get("private")
        and ("exports" in said or "main" in said)
        and "files" in said
    ):
        return True
    return "go.mod" in corpus.support and not any(
        path.endswith(".go") and not ASIDE.search(path) and re.search(rb"^package main\b", data, re.MULTILINE)
        for path, data in corpus.sources.items()
    )


def _serves(corpus: Corpus) -> bool:
    return any(SERVING.search(data) and not ASIDE.search(path) for path, data in corpus.sources.items())


def _parsed(data: bytes) -> dict[str, object]:
    try:
        said = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
