"""Settings: which file wins, and how a mistake is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.audit.config import FailOn, Models, Settings, load, parse
from tallystick.audit.model import Profile, Severity
from tallystick.errors import ConfigError

CODES = frozenset({"client_supplied_quantity", "float_quantity"})

FULL = """
[audit]
profile = "strict"
fail-on = "medium"
include = ["api"]
exclude = ["api/legacy"]

[audit.rules]
float_quantity = "off"
client_supplied_quantity = "medium"

[audit.models]
meter-functions = ["lib/usage.ts:recordUsage"]
session-getters = ["getOrg"]
wrappers = ["withOrg"]
trusted-callers = ["/ingest/*"]
files = ["models/own.toml"]
"""


def test_every_key_is_read(tmp_path: Path) -> None:
    """All keys of the documentation end up in the settings."""
    (tmp_path / "tallystick.toml").write_text(FULL)
    settings = load(tmp_path, codes=CODES)
    assert settings == Settings(
        profile=Profile.STRICT,
        fail_on=FailOn.MEDIUM,
        include=("api",),
        exclude=("api/legacy",),
        rules=(("client_supplied_quantity", "medium"), ("float_quantity", "off")),
        models=Models(
            meter_functions=("lib/usage.ts:recordUsage",),
            session_getters=("getOrg",),
            wrappers=("withOrg",),
            trusted_callers=("/ingest/*",),
            files=(str(tmp_path / "models/own.toml"),),
        ),
        source="tallystick.toml",
    )
    assert settings.off() == {"float_quantity"}
    assert settings.severities() == {"client_supplied_quantity": Severity.MEDIUM}


def test_the_nearest_file_wins_up_to_the_repository(tmp_path: Path) -> None:
    """A file outside the repository has no say; a nearer one hides the farther."""
    (tmp_path / "tallystick.toml").write_text('[audit]\nprofile = "strict"\n')
    repository = tmp_path / "repository"
    inner = repository / "apps" / "api"
    inner.mkdir(parents=True)
    (repository / ".git").mkdir()
    assert load(inner, codes=CODES) == Settings()
    (repository / "pyproject.toml").write_text('[tool.tallystick.audit]\nfail-on = "high"\n')
    assert load(inner, codes=CODES).fail_on is FailOn.HIGH
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(inner, codes=CODES).fail_on is FailOn.HIGH
    (inner / "tallystick.toml").write_text('[audit]\nfail-on = "low"\n')
    assert load(inner, codes=CODES).fail_on is FailOn.LOW
    assert load(inner, config=repository / "pyproject.toml", codes=CODES).fail_on is FailOn.HIGH
    assert load(inner, isolated=True, codes=CODES) == Settings()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"profil": "strict"}, ["'profil'", "'strict'", "did you mean 'profile'"]),
        ({"profile": "lenient"}, ["profile", "'lenient'", "durable, strict"]),
        ({"fail-on": 3}, ["fail-on", "3", "verdict"]),
        ({"include": "api"}, ["include", "'api'", "list of texts"]),
        ({"exclude": [1]}, ["exclude", "list of texts"]),
        ({"rules": []}, ["rules", "table"]),
        ({"rules": {"floatquantity": "off"}}, ["'floatquantity'", "did you mean 'float_quantity'"]),
        ({"rules": {"float_quantity": "none"}}, ["float_quantity", "'none'", "off, high"]),
        ({"models": {"wrapper": ["x"]}}, ["'wrapper'", "did you mean 'wrappers'"]),
        ({"models": {"wrappers": "x"}}, ["models.wrappers", "list of texts"]),
    ],
)
def test_a_mistake_is_refused_in_one_line(table: dict[str, object], words: list[str]) -> None:
    """The line names the key, the value, and what to write."""
    with pytest.raises(ConfigError) as caught:
        parse(table, "tallystick.toml: [audit]", CODES)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("tallystick.toml: [audit]")
    for word in words:
        assert word in message


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """Missing, broken or without a section: said, with the way out."""
    broken = tmp_path / "tallystick.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, config=broken, codes=CODES)
    broken.write_text("[audit\n")
    with pytest.raises(ConfigError, match=r"not valid TOML.*--isolated"):
        load(tmp_path, codes=CODES)
    broken.write_text("[meters]\n")
    with pytest.raises(ConfigError, match="no \\[audit\\] section"):
        load(tmp_path, config=broken, codes=CODES)
    broken.write_bytes(b"x=" + b"[" * 100_000)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path, codes=CODES)
