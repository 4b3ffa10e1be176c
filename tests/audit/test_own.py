"""What the settings say about the user's own code reaches the engine and the verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from samples import FORGED

from tallystick.audit.config import Models
from tallystick.audit.models import own

COMMAND = [str(Path(sys.executable).parent / "tallystick"), "audit", "--no-cache", "-f", "json"]
APPLICATION = """
from fastapi import FastAPI, Request
from vendor_metering import book
from accounts import who

app = FastAPI()


@app.post("/internal/render")
async def render(request: Request, body: dict):
    result = await paint(body["scene"])
    await book(who(request).id, QUANTITY, key=result.id)
    return result
"""


def audited(root: Path, quantity: str, settings: str) -> dict[str, object]:
    (root / "app.py").write_text(APPLICATION.replace("QUANTITY", quantity))
    (root / "tallystick.toml").write_text(settings)
    done = subprocess.run([*COMMAND, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_rows_are_models() -> None:
    """Short forms become rows in the language of the model files."""
    table = tomllib.loads(own.rows(Models(("lib/usage.ts:record",), ("currentOrg",), ("withOrg",))))
    assert table["sink"][0]["callee"] == r"(?:^|\.)record$"
    assert table["label"][0] == {"kind": "session", "call": r"(?:^|\.)currentOrg$"}
    assert table["route"][0]["via"] == r"(?:^|\.)withOrg$"
    assert own.rows(Models()) == ""


def test_a_meter_function_of_the_users_own(tmp_path: Path) -> None:
    """Unknown, there is nothing to bill; named in the settings, its call is a report and is judged."""
    assert audited(tmp_path, "result.seconds", "[audit]\n")["verdict"] == "skip"
    named = '[audit.models]\nmeter-functions = ["book"]\nsession-getters = ["who"]\n'
    assert audited(tmp_path, "result.seconds", named)["verdict"] == "pass"
    report = audited(tmp_path, 'body["seconds"]', named)
    assert report["verdict"] == "fail"
    assert report["reason"] == "client_supplied_quantity"


def test_a_trusted_caller_may_name_the_number(tmp_path: Path) -> None:
    """Set aside with a reason that the report shows, by route or by file."""
    named = '[audit.models]\nmeter-functions = ["book"]\nsession-getters = ["who"]\ntrusted-callers = ["/internal/*"]\n'
    report = audited(tmp_path, 'body["seconds"]', named)
    assert report["verdict"] == "pass"
    suppressed = report["suppressed"]
    assert isinstance(suppressed, list)
    assert suppressed[0]["reason"] == own.TRUSTED
    assert own.trusted(FORGED, ["app/api/chat/*"])
    assert not own.trusted(FORGED, ["/other"])


def test_a_model_file(tmp_path: Path) -> None:
    """Three lines beside the settings file are one more way to report usage."""
    rows = ["[[sink]]", 'provider = "own"', 'callee = "book$"', 'word = "book"', 'quantity = ["#1"]']
    (tmp_path / "own.toml").write_text("\n".join(rows))
    report = audited(tmp_path, 'body["seconds"]', '[audit.models]\nfiles = ["own.toml"]\n')
    assert report["verdict"] == "fail"
    assert report["providers"] == ["own"]
