"""Text made to keep a reader busy: bounded time, an answer, and every loss named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from trees import ending

from tallystick.audit import engine
from tallystick.audit.cache import facts as cache
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.engine import audit
from tallystick.audit.entries.timetables import _yaml
from tallystick.audit.inventory import UnreadableError, read, walk
from tallystick.audit.model import Profile, Report
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.program.resolve import Resolver
from tallystick.errors import ConfigError

SINK = "await stripe.billing.meterEvents.create({ payload: { value: 1 } });\n"
BODY = "export async function POST(req) {\n" + SINK + "}\n"


def levels(count: int, step: str = " ") -> str:
    """Python text indented so many levels deep."""
    return "".join(step * level + "if n:\n" for level in range(count)) + step * count + "pass\n"


def continued(count: int) -> str:
    """The same with every indentation spread over continuation lines."""
    return "".join("\\\n".join([" "] * (level + 1)) + "if n:\n" for level in range(count)) + "pass\n"


def judged(root: Path, files: dict[str, str]) -> Report:
    """The engine's answer for a tree of these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return audit(root, walk(root).files, profile=Profile.DURABLE)


@pytest.mark.parametrize("text", [levels(900), levels(101), levels(120, "\t"), continued(120)])
def test_indentation_beyond_pythons_own_limit_is_refused(tmp_path: Path, text: str) -> None:
    """Python allows 100 levels; the grammar's buffer for them ends at some 500, and the process with it."""
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(UnreadableError, match="indented deeper than 100 levels"):
        read(tmp_path, "a.py")


@pytest.mark.parametrize(
    "text", [levels(99), levels(99, "\t"), "if a:\n" + "  b()\n" * 5_000, "x = '''\n" + " " * 300 + "a'''\n"]
)
def test_indentation_that_python_takes_is_read(tmp_path: Path, text: str) -> None:
    """Depth counts, not length or width."""
    (tmp_path / "a.py").write_text(text)
    assert read(tmp_path, "a.py")


COSTLY = {
    "comments that never end": "/* \n" * 60_000,
    "types that may be comparisons": "x = " + "a<\n" * 60_000 + "b" + ">\n" * 60_000 + "();\n",
}


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY.keys())
def test_a_parser_that_gets_nowhere_is_stopped(tmp_path: Path, text: str) -> None:
    """Lost coverage with a reason, and the next file is parsed as if nothing had been."""
    with ending():
        report = judged(tmp_path, {"app/api/a/route.ts": text + SINK, "app/api/x/route.ts": BODY})
    assert report.coverage.unread == (("app/api/a/route.ts", "costs the parser more than any program does"),)
    assert report.coverage.with_errors == ()
    assert [one.place.path for one in report.endpoints] == ["app/api/x/route.ts"]


SLOW = {
    "many reports in one function": "export async function POST(req) {\n" + SINK * 6_000 + "}\n",
    "many routes and reports": "const report = async (n) => {\n" + SINK * 100 + "};\n"
    + "".join(f"app.post('/r{number}', async (req) => {{ await report(req.body.n) }});\n" for number in range(800)),
    "functions in functions": BODY + "x = " + "a \n=> " * 60_000 + "a;\n",
    "a white page": BODY + "\n" * 500_000,
    "comments about comments": BODY + "// tallystick: ignore[no_idempotency] why\n" * 15_000,
    "tags": "<script>\n" * 60_000,
    "settings in settings": '{"a": /*' * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_what_grows_faster_than_the_text_is_bounded(tmp_path: Path, name: str) -> None:
    """Each once took more than a minute, or would have."""
    path = {"tags": "a.vue", "settings in settings": "tsconfig.json"}.get(name, "app/api/x/route.ts")
    head = "import express from 'express'; const app = express();\n" if "routes" in name else ""
    with ending():
        judged(tmp_path, {path: head + SLOW[name], "app/api/y/route.ts": BODY})


def test_ways_beyond_the_limit_are_lost_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said, not dropped."""
    monkeypatch.setattr(engine, "WAYS", 3)
    report = judged(
        tmp_path, {"app/api/x/route.ts": "export async function POST(req) {\n" + SINK * 9 + "}\n"}
    )
    assert report.coverage.unread == (
        ("app/api/x/route.ts", "more than 3 ways to usage reports: the rest is not followed"),
    )


def test_many_schedules_in_one_document_share_its_text() -> None:
    """Each once kept a copy: 600 MB for a document of one."""
    found = _yaml("a.yaml", b"schedule: '* * * * *'\n" * 300 + b"x: " + b"y" * 30_000)
    assert [one.line for one in found] == list(range(1, 301))
    assert len({id(one.target) for one in found}) == 1


def test_what_the_text_tells_apart_is_counted(tmp_path: Path) -> None:
    """A packed, a generated and a test file are left out on purpose, and the report says how many."""
    report = judged(
        tmp_path,
        {
            "a.js": "var a=function(b){return b};" * 2_000,
            "b.ts": "// Code generated by a tool. DO NOT EDIT.\n" + SINK,
            "tests/c.ts": SINK,
        },
    )
    assert report.coverage.left_out == (("generated", 1), ("minified", 1), ("test", 1))


def test_a_tree_is_read_up_to_a_limit_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the sum, too; what comes after is named."""
    monkeypatch.setattr("tallystick.audit.corpus.lexical.LIMITS", engine_limits(3_000_000))
    files = {f"m{number}.ts": "const a = 1;\n" * 70_000 for number in range(6)}
    report = judged(tmp_path, files)
    assert [path for path, _ in report.coverage.unread] == ["m4.ts", "m5.ts"]
    assert "in all" in report.coverage.unread[0][1]


def engine_limits(total: int) -> object:
    """The limits with another sum."""
    from tallystick.audit.inventory.model import Limits

    return Limits(total_bytes=total)


def test_a_comment_in_tsconfig_leaves_its_patterns_alone(tmp_path: Path) -> None:
    """`@/*` opens no comment and `**/` closes none."""
    config = '{\n  // ours\n  "compilerOptions": { "paths": { "@/*": ["./code/*"], } },\n  "include": ["**/*.ts"],\n}\n'
    (tmp_path / "code").mkdir()
    (tmp_path / "tsconfig.json").write_text(config)
    (tmp_path / "code/meter.ts").write_text(BODY)
    corpus = Corpus(tmp_path, Knowledge())
    corpus.load(walk(tmp_path).files, lambda *_: None)
    assert Resolver(corpus).resolve("app/x.ts", "@/meter") == "code/meter.ts"


def test_facts_of_another_auditor_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer grammar or a mended reader lowers every file again."""
    mine = cache.Cache(str(tmp_path))
    key = mine.key("a.py", b"x = 1\n")
    assert key == cache.Cache(str(tmp_path)).key("a.py", b"x = 1\n")
    monkeypatch.setattr(cache, "maker", lambda: b"a newer one")
    assert cache.Cache(str(tmp_path)).key("a.py", b"x = 1\n") != key


BROKEN = {
    "no such table": ("[[sinks]]\nprovider = 'x'\n", "no such table"),
    "no such key": ("[[sink]]\nprovider = 'x'\ncallee = 'y'\nword = 'y'\nquantty = ['#0']\n", "quantty"),
    "no such kind": ('[[word]]\nkind = "units"\nwords = "parcel"\n', "units"),
    "a key is missing": ("[[sink]]\nprovider = 'x'\n", "callee"),
    "not a table": ("sink = 3\n", "Expected"),
    "not a pattern": ("[[sink]]\nprovider = 'x'\ncallee = '('\nword = 'y'\n", "model pattern"),
    "a pattern nobody shares": ("[[sink]]\nprovider = 'x'\ncallee = '@post'\nword = 'y'\n", "are: @beyond, @request"),
    "a shared pattern without end": ("[shared]\npost = '(?:a+)+$'\n", "repeats what repeats"),
    "a pattern without end": ("[[sink]]\nprovider = 'x'\ncallee = '(?:a+)+$'\nword = 'y'\n", "repeats what repeats"),
    "not TOML": ("[[", "is no model file"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_model_file_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    """It names the file, and what is wrong with it."""
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        Knowledge([tmp_path / "own.toml"]).sinks  # noqa: B018
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_file_that_is_no_file_blocks_nothing(tmp_path: Path) -> None:
    """A pipe and a device would be read for ever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"models\.files"):
            Knowledge([path])


def test_our_own_model_files_pass_our_own_check() -> None:
    """What users are told to imitate is sound."""
    from tallystick.audit.models.knowledge import _sound

    for table in Knowledge().tables:
        for name, rows in table.items():
            if isinstance(rows, list):
                for row in rows:
                    _sound(name, name, row)


def test_a_promisors_address_is_never_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing object of a partial clone would be fetched by a program that the tree's own settings name."""
    from tallystick.audit.inventory import listing

    proof = tmp_path / "proof"
    root = tmp_path / "root"
    root.mkdir()

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)

    git("init", "-q")
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::sh -c touch% {proof}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
    }.items():
        git("config", key, value)
    older = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / "bin").mkdir()  # a git that knows nothing of GIT_NO_LAZY_FETCH, as many do
    shim = tmp_path / "bin" / "git"
    real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    shim.write_text(f'#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", older["PATH"])
    assert listing.git(root, "cat-file", "blob", "1" * 40) is None
    assert not proof.exists()
