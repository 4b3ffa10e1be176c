"""The whole auditor, engine and all, as a program: answers, safety, determinism."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [str(Path(sys.executable).parent / "tallystick"), "audit"]
SELF = sorted(path for path in (Path(__file__).parent / "fixtures/self").iterdir() if path.is_dir())
EXAMPLES = [ROOT / "examples/metered_api"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def audit(root: Path, *options: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    """Run the command on a tree."""
    return subprocess.run(
        [*COMMAND, *options, "."], cwd=root, capture_output=True, text=True, timeout=seconds, check=False
    )


def verdict(root: Path, *options: str) -> dict[str, object]:
    """The JSON report; fails when the audit itself did."""
    done = audit(root, "-f", "json", *options)
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("example", [*SELF, *EXAMPLES], ids=lambda path: path.name)
def test_our_own_examples_pass(example: Path, tmp_path: Path) -> None:
    """Who follows our examples bills what was used, and the auditor says so."""
    shutil.copytree(example, tmp_path / "project")
    report = verdict(tmp_path / "project", "--no-cache")
    assert report["verdict"] == "pass", (report["detail"], report["findings"])


def test_our_failing_example_fails(tmp_path: Path) -> None:
    """All four ways in which it loses money are named."""
    shutil.copytree(ROOT / "examples/leaking_api", tmp_path / "project")
    report = verdict(tmp_path / "project", "--no-cache")
    findings = report["findings"]
    assert isinstance(findings, list)
    assert {one["code"] for one in findings if one["decides"]} == {
        "client_supplied_customer",
        "client_supplied_quantity",
        "errors_swallowed",
        "fire_and_forget",
    }


RUN = """
from fastapi.testclient import TestClient
import app
with TestClient(app.app) as client:
    head = {"authorization": "Bearer ada-key"}
    assert client.post("/summaries", headers=head, json={"text": "one two three four"}).status_code == 200
    assert client.post("/documents", headers=head, json={"text": "one"}).json() == {"id": 1}
    assert client.post("/documents", headers={"authorization": "Bearer x"}, json={"text": "one"}).status_code == 401
    print(sorted((one.meter, one.quantity) for one in app.tally.entries(customer="ada")))
"""


def test_our_example_runs(tmp_path: Path) -> None:
    """What the auditor passes is a program that really counts."""
    shutil.copytree(EXAMPLES[0], tmp_path / "project")
    store = f"sqlite:///{tmp_path}/usage.db"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN], cwd=tmp_path / "project", capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, "TALLYSTICK_STORE": store, "PYTHONPATH": os.pathsep.join(
            [str(tmp_path / "project"), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.stdout.strip() == "[('documents', 1), ('words', 4)]", done.stderr


def test_every_route_is_listed(tmp_path: Path) -> None:
    """Metered or not, with the decorated function as the place of a metered one."""
    shutil.copytree(EXAMPLES[0], tmp_path / "project")
    done = audit(tmp_path / "project", "--routes", "--no-cache")
    lines = (EXAMPLES[0] / "app.py").read_text().splitlines()
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [
        ("-", "/health"),
        ("reports", "/summaries"),
        ("reports", "/documents"),
    ]
    for row, name in zip(rows, ("health", "summarise", "store"), strict=True):
        assert lines[int(row[3].rpartition(":")[2]) - 1].startswith(f"def {name}(")


def forge(root: Path) -> None:
    """Let the client say how many documents it made, and for whom."""
    path = root / "app.py"
    text = path.read_text()
    text = text.replace(
        '"documents", 1, customer=org.id', '"documents", prompt.pages, customer=prompt.organisation'
    )
    path.write_text(text.replace("    text: str", "    text: str\n    pages: int\n    organisation: str"))


def test_our_own_example_with_a_forged_quantity_fails(tmp_path: Path) -> None:
    """The pass above is no courtesy: one edited line turns it, and is named."""
    shutil.copytree(SELF[0], tmp_path / "project")
    forge(tmp_path / "project")
    report = verdict(tmp_path / "project", "--no-cache")
    assert report["verdict"] == "fail"
    findings = report["findings"]
    assert isinstance(findings, list)
    forged = [one for one in findings if one["code"] == "client_supplied_quantity"]
    assert ["prompt.pages" in one["excerpt"] for one in forged] == [True]


FRESH = {
    "nextjs": {
        "package.json": '{"name": "a", "dependencies": {"next": "15.3.0", "react": "19.0.0"}}',
        "src/app/page.tsx": "export default function Home() {\n  return <main>Hello</main>;\n}\n",
        "node_modules/stripe/index.js": "exports.meterEvents = { create() {} };\n",
    },
    "fastapi": {
        "pyproject.toml": '[project]\nname = "a"\ndependencies = ["fastapi[standard]"]\n',
        "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/')\ndef root():\n    return {}\n",
    },
    "empty": {},
}


@pytest.mark.parametrize("name", FRESH)
def test_a_fresh_project_is_skipped(name: str, tmp_path: Path) -> None:
    """And the newcomer reads what was looked for; how soon, `make audit-fresh` says."""
    for path, text in FRESH[name].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    done = audit(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert " SKIP " in done.stdout
    assert audit(tmp_path, "--require-metering").returncode == 3


def test_two_runs_are_byte_identical(tmp_path: Path) -> None:
    """Cold, warm and without a cache; in every format; wherever the tree lies."""
    names = ("text", "json", "sarif", "github", "markdown", "html")
    seen: dict[str, set[str]] = {name: set() for name in names}
    for place in ("one", "two"):
        shutil.copytree(SELF[0], tmp_path / place / "project")
        forge(tmp_path / place / "project")
        for options in ([], [], ["--no-cache"]):
            pairs = [word for name in names for word in ("-f", name, "-o", str(tmp_path / name))]
            audit(tmp_path / place / "project", *pairs, *options)
            for name in names:
                seen[name].add((tmp_path / name).read_text())
    assert {name: len(texts) for name, texts in seen.items()} == dict.fromkeys(names, 1)


def hostile(root: Path, outside: Path) -> None:
    """A tree that attacks its reader."""
    shutil.copytree(SELF[0], root)
    outside.mkdir()
    (outside / "secret.py").write_text("STRIPE_SECRET = 'do not read'\n")
    (root / "leak.py").symlink_to(outside / "secret.py")
    (root / "loop").symlink_to(root)
    for name in (b"new\nline.py", b"esc\x1b[2J.ts", b"bad\xff.py", b"--exit-zero.py", b"\xe2\x80\xae.py"):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(b"import stripe\nstripe.billing.MeterEvent.create(payload={'value': 1})\n")
    with open(root / "huge.ts", "wb") as file:
        file.truncate(100 * 1024 * 1024)
    (root / "bomb.ts").write_text("(" * 500_000)
    (root / "bomb.py").write_text("x = " + "[" * 100_000 + "]" * 100_000)
    (root / "minus.js").write_text("a" + "-" * 200_000 + "b")
    (root / "chain.ts").write_text("a" + ".b()" * 60_000 + ";\n")
    (root / "plus.py").write_text("x = " + "1 + " * 60_000 + "1\n")
    (root / "ternary.ts").write_text("const x = " + "a ? b : " * 40_000 + "c;\n")
    (root / "else.py").write_text("if a:\n    b()\n" + "elif a:\n    b()\n" * 20_000)
    (root / "binary.py").write_bytes(bytes(range(256)) * 100)
    (root / "utf16.py").write_bytes("import stripe\n".encode("utf-16"))
    (root / "jsx.tsx").write_text("<a>" * 20_000)
    (root / "strings.ts").write_text("`${" * 290 + "}`" * 290)
    os.mkfifo(root / "pipe.py")
    (root / "deep").mkdir()
    (root / "deep" / "/".join(["d"] * 200)).mkdir(parents=True)
    (root / "package.json").write_text('{"workspaces": ["**/*", "../../../../**"], "name": ' + "[" * 50_000)
    (root / "vercel.json").write_text('{"crons": [{"path": "/x", "schedule": "' + "* " * 50_000 + '"}]}')
    (root / "work.yaml").write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" * 50)
    (root / "tsconfig.json").write_text('{"extends": "./tsconfig.json"}')
    (root / "setup.py").write_text(f"open({str(outside / 'ran')!r}, 'w')\n")
    (root / "sitecustomize.py").write_text(f"open({str(outside / 'ran')!r}, 'w')\n")


def test_a_hostile_tree_ends_in_clear_lines(tmp_path: Path) -> None:
    """An answer in the time that it has, every loss named, nothing run, nothing read outside, nothing unescaped."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    hostile(root, outside)
    done = audit(root, "--strict-coverage", "--no-cache", seconds=60)
    assert done.returncode == 4, done.stderr
    assert done.stderr == ""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
    report = verdict(root, "--no-cache")
    coverage = report["coverage"]
    assert isinstance(coverage, dict)
    lost = dict(coverage["unread"])
    for name in ("leak.py", "huge.ts", "bomb.ts", "bomb.py", "binary.py", "pipe.py"):
        assert name in lost
    assert "do not read" not in done.stdout
    assert not (outside / "ran").exists()


def test_memory_stays_bounded_on_a_hostile_tree(tmp_path: Path) -> None:
    """With half a gigabyte of address space for data it still answers."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    hostile(root, outside)
    script = (
        "import resource, subprocess, sys; limit = 1 << 30; "
        "sys.exit(subprocess.run(sys.argv[1:], preexec_fn=lambda: "
        "resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))).returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *COMMAND, "--no-cache", "-f", "json", str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize("options", [[], ["--no-cache"]])
def test_nothing_is_written_into_the_tree(options: list[str], tmp_path: Path) -> None:
    """The cache is the user's: a tree cannot bring false facts along, and stays as it was."""
    shutil.copytree(SELF[0], tmp_path / "project")
    before = sorted(tmp_path.rglob("*"))
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path.parent / f"{tmp_path.name}-cache")}
    command = [*COMMAND, *options, "-q", "."]
    assert subprocess.run(command, cwd=tmp_path / "project", env=environment, check=False).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path.parent / f"{tmp_path.name}-cache").exists() is not bool(options)
