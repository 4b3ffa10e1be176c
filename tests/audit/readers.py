"""Everything of the auditor that reads bytes it did not write, each as a function that must not raise."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from tallystick.audit import config
from tallystick.audit.engine import audit
from tallystick.audit.inventory import LeftOutError, UnreadableError, read, walk
from tallystick.audit.inventory.reading import guard, stacked
from tallystick.audit.model import Profile
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.narrowing import baseline, suppression
from tallystick.audit.syntax.grammars import CostlyError
from tallystick.audit.syntax.lowering import lower
from tallystick.errors import ConfigError

LANGUAGES = ("a.ts", "a.tsx", "a.py", "a.go", "a.rb", "a.php", "A.java", "a.vue")
SUPPORT = (
    "vercel.json", "tsconfig.json", "package.json", "package-lock.json", "pnpm-lock.yaml", "netlify.toml",
    "crontab", "job.yaml", "a.sql", "requirements.txt", "composer.lock", "go.mod", "uv.lock",
)  # fmt: skip
SINKS = {
    "a.ts": b"stripe.billing.meterEvents.create({ payload: { value: 1 } });\n",
    "a.py": b"stripe.billing.MeterEvent.create(payload={'value': 1})\n",
}
FOLDER = Path(tempfile.mkdtemp(prefix="tallystick-fuzz-"))


def plant(name: str, data: bytes) -> Path:
    """A file with this content, in the same folder each time."""
    path = FOLDER / name
    path.write_bytes(data)
    return path


def source(data: bytes) -> None:
    """Reading one file with its guards."""
    plant("a.ts", data)
    with contextlib.suppress(UnreadableError, LeftOutError):
        read(FOLDER, "a.ts")


def comments(data: bytes) -> None:
    """Suppression comments."""
    suppression.apply([], suppression.scan("a.ts", data.decode("utf-8", "replace")), frozenset())


def settings(data: bytes) -> None:
    """The settings file."""
    try:
        config.load(FOLDER, config=plant("tallystick.toml", data), codes=frozenset())
    except ConfigError:
        pass
    finally:
        (FOLDER / "tallystick.toml").unlink()


def known(data: bytes) -> None:
    """The baseline file."""
    try:
        baseline.load(plant("baseline.json", data))
    except ConfigError:
        pass
    finally:
        (FOLDER / "baseline.json").unlink()


def models(data: bytes) -> None:
    """A model file of the user's."""
    with contextlib.suppress(ConfigError):
        Knowledge([plant("models.toml", data)])


def ignores(data: bytes) -> None:
    """A `.gitignore` in the tree."""
    plant(".gitignore", data)
    walk(FOLDER)
    (FOLDER / ".gitignore").unlink()


def programs(data: bytes) -> None:
    """The grammars and what is read from their trees, one language a try."""
    name = LANGUAGES[data[0] % len(LANGUAGES)] if data else LANGUAGES[0]
    with contextlib.suppress(CostlyError, RecursionError, UnreadableError, LeftOutError):
        guard(data)
        if not (name.endswith(".py") and stacked(data)):
            lower(name, data)


def whole(data: bytes) -> None:
    """A small tree of hostile files, from the inventory to the verdict."""
    tree = FOLDER / "tree"
    tree.mkdir(exist_ok=True)
    for name in (*LANGUAGES, *SUPPORT):
        (tree / name).write_bytes(SINKS.get(name, b"") + data)
    audit(tree, walk(tree).files, profile=Profile.DURABLE)


READERS: dict[str, Callable[[bytes], None]] = {
    "source": source,
    "comments": comments,
    "settings": settings,
    "known": known,
    "ignores": ignores,
    "models": models,
    "programs": programs,
    "whole": whole,
}
