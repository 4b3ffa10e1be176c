"""The SARIF report against the official schema, which a package of the npm registry ships; needs npm."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import jsonschema

ROOT = Path(__file__).parents[2]
PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"


def main() -> int:
    """Validate every sample outcome of the tests."""
    sys.path.insert(0, str(ROOT / "tests" / "audit"))
    import samples

    from tallystick.audit.report import render

    schema = official()
    validator = jsonschema.validators.validator_for(schema)(schema)
    wrong = 0
    for name in ("failing", "passing", "skipping", "hostile"):
        problems = list(validator.iter_errors(json.loads(render("sarif", getattr(samples, name)()))))
        print(f"{name:10} {'valid' if not problems else problems[0].message[:200]}")
        wrong += bool(problems)
    return 1 if wrong else 0


def official() -> Any:
    """The schema, taken out of the package."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            member = package.extractfile(MEMBER)
            assert member is not None
            return json.load(member)


if __name__ == "__main__":
    sys.exit(main())
