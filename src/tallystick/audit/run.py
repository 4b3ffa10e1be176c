"""One run from a path to an outcome: settings, inventory, engine, and what narrows the findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tallystick.audit import config
from tallystick.audit.config import FailOn, Settings
from tallystick.audit.handbook import catalogue
from tallystick.audit.inventory import Selection, walk
from tallystick.audit.inventory.excerpts import Excerpts
from tallystick.audit.model import Profile, Report
from tallystick.audit.narrowing import baseline, suppression
from tallystick.audit.narrowing.changes import Changes
from tallystick.audit.outcome import Aside, Outcome, judged
from tallystick.errors import ConfigError

Progress = Callable[[str, int, int], None]
Engine = Callable[[Path, Sequence[str], Settings, Progress], Report]


class Request(msgspec.Struct, frozen=True):
    """What the user asked for, on top of the settings."""

    path: Path
    config: Path | None = None
    isolated: bool = False
    profile: Profile | None = None
    fail_on: FailOn | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    baseline: Path | None = None
    since: str = ""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def settle(request: Request) -> Settings:
    """The settings of the file with those of the request over them."""
    if not request.path.exists():
        raise ConfigError(f"{request.path}: there is no such file or folder; name the folder to audit")
    found = config.load(
        request.path, config=request.config, isolated=request.isolated, codes=catalogue.codes()
    )
    return msgspec.structs.replace(
        found,
        profile=request.profile or found.profile,
        fail_on=request.fail_on or found.fail_on,
        include=request.include or found.include,
        exclude=(*found.exclude, *request.exclude),
    )


def run(request: Request, engine: Engine, progress: Progress = silent) -> Outcome:
    """Audit the tree of the request with this engine."""
    settings = settle(request)
    path = request.path.resolve()
    root = path if path.is_dir() else path.parent
    progress("listing", 0, 0)
    inventory = walk(path, Selection(settings.include, settings.exclude))
    excerpts = Excerpts(root)
    changes = Changes(root, request.since, excerpts) if request.since else None
    known = baseline.load(request.baseline) if request.baseline else None
    report = engine(root, inventory.files, settings, progress)
    aside = Aside(suppression.collect(root, inventory.files), known, request.since)
    return judged(
        report,
        settings,
        inventory,
        excerpts,
        title=root.name,
        aside=aside,
        changes=changes,
        codes=catalogue.codes(),
    )
