"""The person of the demo: where arithmetic cannot tell, somebody reads the provider's events and decides.

Only published commands are used: `tallystick doubts decide` and `tallystick redrive`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

from tallystick.app import Tally
from tallystick.sandbox import Sandbox


class Person:
    """Works off what waits for a decision; `tell` says each command."""

    def __init__(self, sandbox: Sandbox, environ: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._sandbox = sandbox
        self._environ = environ
        self._tell = tell

    def work_off(self, tally: Tally) -> int:
        """Decide every unclear doubt, send again what was rejected and never left anew; how many commands."""
        return self._decide(tally) + self._send_again(tally)

    def _decide(self, tally: Tally) -> int:
        assert tally.rejections is not None
        reports = list(dict.fromkeys(doubt.report for doubt in tally.rejections.unclear()))
        counted = {e["identifier"] for e in self._sandbox.tell("events") if not (e["void"] or e["cancelled"])}
        for report in reports:
            lost = sorted(
                {d.identifier for d in tally.rejections.in_doubt(report) if d.identifier not in counted}
            )
            names = [word for identifier in lost for word in ("--lost", identifier)]
            why = ("--reason", "read in the provider's list of events", "--by", "the demo")
            self._run("doubts", "decide", report, *names, *why)
        return len(reports)

    def _send_again(self, tally: Tally) -> int:
        never_left = [d.identifier for d in tally.status().parked if d.first_sent_at is None]
        for identifier in never_left:
            self._run("redrive", identifier)
        return len(never_left)

    def _run(self, *words: str) -> None:
        self._tell(f"a person: tallystick {' '.join(words)}")
        command = [sys.executable, "-m", "tallystick", *words]
        subprocess.run(command, env=dict(self._environ), check=True, capture_output=True, timeout=60)
