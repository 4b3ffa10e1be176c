"""The auditor's settings: `[tool.tallystick.audit]` in pyproject.toml or `[audit]` in tallystick.toml.

The nearest file wins, from the audited folder upwards to the root of its repository; beside each other
tallystick.toml wins. Nothing is guessed: an unknown key or value is refused with what to write instead.
"""

from __future__ import annotations

import difflib
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallystick.audit.model import Profile, Severity
from tallystick.errors import ConfigError

FILE_BYTES = 1024 * 1024
OFF = "off"


class FailOn(StrEnum):
    """What makes the command exit with 1."""

    VERDICT = "verdict"  # only the verdict
    HIGH = "high"  # the verdict, or any finding of this severity and at least medium confidence
    MEDIUM = "medium"
    LOW = "low"


class Models(msgspec.Struct, frozen=True):
    """What the auditor is told about this codebase; see docs/audit/README.md."""

    meter_functions: tuple[str, ...] = ()
    session_getters: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    trusted_callers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """All settings, with the file they came from ("" for none)."""

    profile: Profile = Profile.DURABLE
    fail_on: FailOn = FailOn.VERDICT
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    models: Models = Models()
    source: str = ""

    def off(self) -> frozenset[str]:
        """The codes that are switched off."""
        return frozenset(code for code, value in self.rules if value == OFF)

    def severities(self) -> dict[str, Severity]:
        """The codes whose severity is set here."""
        return {code: Severity(value) for code, value in self.rules if value != OFF}


KEYS = ("exclude", "fail-on", "include", "models", "profile", "rules")
MODEL_KEYS = ("files", "meter-functions", "session-getters", "trusted-callers", "wrappers")
RULE_VALUES = (OFF, *(severity.value for severity in Severity))
Choice = TypeVar("Choice", bound=StrEnum)


def load(
    start: Path, *, config: Path | None = None, isolated: bool = False, codes: frozenset[str]
) -> Settings:
    """The settings for an audit of `start`; `codes` are the finding codes that exist."""
    if isolated:
        return Settings()
    if config is not None:
        table = _section(config)
        if table is None:
            raise ConfigError(f"{config}: has no {_title(config)} section; add one, or leave --config out")
        return _placed(parse(table, f"{config}: {_title(config)}", codes, str(config)), config.parent)
    for folder in _upwards(start):
        for name in ("tallystick.toml", "pyproject.toml"):
            table = _section(folder / name) if (folder / name).is_file() else None
            if table is not None:
                return _placed(parse(table, f"{folder / name}: {_title(folder / name)}", codes, name), folder)
    return Settings()


def parse(table: dict[str, Any], where: str, codes: frozenset[str], source: str = "") -> Settings:
    """Settings from one table, or a ConfigError that says what, which value, and what to do."""
    _known(table, KEYS, where)
    models = _table(table.get("models", {}), f"{where} models")
    _known(models, MODEL_KEYS, f"{where} models")
    return Settings(
        profile=_choice(Profile, table.get("profile", Profile.DURABLE), f"{where} profile"),
        fail_on=_choice(FailOn, table.get("fail-on", FailOn.VERDICT), f"{where} fail-on"),
        include=_texts(table.get("include", []), f"{where} include"),
        exclude=_texts(table.get("exclude", []), f"{where} exclude"),
        rules=_rules(_table(table.get("rules", {}), f"{where} rules"), f"{where} rules", codes),
        models=Models(
            **{key.replace("-", "_"): _texts(models[key], f"{where} models.{key}") for key in models}
        ),
        source=source,
    )


def _placed(settings: Settings, folder: Path) -> Settings:
    """The settings with their model files found beside the settings file."""
    files = tuple(str(folder / file) for file in settings.models.files)
    return msgspec.structs.replace(settings, models=msgspec.structs.replace(settings.models, files=files))


def _upwards(start: Path) -> list[Path]:
    """The folders from `start` to the root of its repository."""
    folders: list[Path] = []
    start = start.resolve()
    for folder in [start if start.is_dir() else start.parent, *start.parents]:
        if folder not in folders:
            folders.append(folder)
        if (folder / ".git").exists():
            break
    return folders


def _title(path: Path) -> str:
    return "[tool.tallystick.audit]" if path.name == "pyproject.toml" else "[audit]"


def _section(path: Path) -> dict[str, Any] | None:
    """The auditor's table of one file; None when it has none."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ConfigError(
                f"{path}: larger than 1 MB, which is no configuration; name another file with --config"
            )
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(
            f"{path}: cannot be read ({problem.strerror}); check the path given to --config"
        ) from problem
    except (ValueError, RecursionError) as problem:  # also a number of five thousand digits
        raise ConfigError(
            f"{path}: is not valid TOML ({problem}); mend it, or run with --isolated"
        ) from problem
    names = ("tool", "tallystick", "audit") if path.name == "pyproject.toml" else ("audit",)
    table: Any = document
    for name in names:
        if not isinstance(table, dict) or name not in table:
            return None
        table = table[name]
    return _table(table, f"{path}: {_title(path)}")


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key, value in table.items():
        if key not in keys:
            raise ConfigError(f"{where} has no key {key!r} (value {value!r}){_advice(key, keys)}")


def _advice(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" The choices are: {', '.join(known)}"


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}; write a table")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigError(f'{where} is {value!r}; write a list of texts, for instance ["one", "two"]')
    return tuple(value)


def _choice(kind: type[Choice], value: Any, where: str) -> Choice:
    known = tuple(member.value for member in kind)
    if value not in known:
        raise ConfigError(f"{where} is {value!r}{_advice(str(value), known)}")
    return kind(value)


def _rules(table: dict[str, Any], where: str, codes: frozenset[str]) -> tuple[tuple[str, str], ...]:
    for code, value in table.items():
        if code not in codes:
            raise ConfigError(
                f"{where} names the code {code!r}, which does not exist{_advice(code, tuple(sorted(codes)))}"
            )
        if value not in RULE_VALUES:
            raise ConfigError(f"{where}.{code} is {value!r}{_advice(str(value), RULE_VALUES)}")
    return tuple(sorted(table.items()))
