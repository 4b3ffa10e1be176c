"""The fix that is shown speaks of the framework that was found."""

from __future__ import annotations

from pathlib import Path

from trees import FASTAPI, NEXT, audited

from tallystick.audit.handbook.catalogue import codes
from tallystick.audit.handbook.remedies import REMEDIES
from tallystick.audit.models.knowledge import Knowledge


def test_names_are_known() -> None:
    """Codes are codes and frameworks are frameworks of the route models."""
    frameworks = {row.framework for row in Knowledge().routes} | {"next-action", "koa", "litestar", "flask"}
    assert REMEDIES.keys() <= codes()
    assert {name for table in REMEDIES.values() for names in table for name in names} <= frameworks


def test_the_fix_fits_the_framework(tmp_path: Path) -> None:
    """The same flaw in two frameworks, two fixes."""
    route = "src/app/api/generate/route.ts"
    node = NEXT | {route: NEXT[route].replace("session.user.customer", "body.customer")}
    python = FASTAPI | {"shop/main.py": FASTAPI["shop/main.py"].replace("account.customer", "ask.customer")}
    assert "await auth()" in audited(tmp_path / "a", node).remediation
    assert "Depends(current_user)" in audited(tmp_path / "b", python).remediation
