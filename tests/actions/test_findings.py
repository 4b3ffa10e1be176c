"""Every finding of the running application is documented, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_codes_and_their_page_agree() -> None:
    sources = [
        path.read_text()
        for name in ("actions", "delivery", "holds", "integrations", "ledger", "reconciliation", "restore")
        for path in (ROOT / "src/tallystick" / name).glob("*.py")
    ]
    raised = {
        code for text in sources for code in re.findall(r"(?:find|tell_once)\(\s*(?:\w+,)?\s*\"(\w+)\"", text)
    }
    written = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/findings.md").read_text(), re.MULTILINE))
    assert raised == written
