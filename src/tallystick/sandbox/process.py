"""The sandbox as a process of its own, for tests and demonstrations."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.errors import TallystickError
from tallystick.sandbox.serving import Settings

_PATIENCE_SECONDS = 600  # a jump over years delivers every webhook on the way


class Sandbox:
    """A running sandbox: `with Sandbox.start() as sandbox: …`; `url` is what a Stripe client is pointed at."""

    def __init__(self, process: subprocess.Popen[str], url: str, control_url: str) -> None:
        self._process = process
        self.url = url
        self.control_url = control_url

    @classmethod
    def start(cls, settings: Settings | None = None) -> Sandbox:
        """Start a sandbox on free loopback ports and wait until it listens."""
        text = msgspec.json.encode(settings or Settings()).decode()
        process = subprocess.Popen(
            [sys.executable, "-m", "tallystick.sandbox", text], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise TallystickError(f"the sandbox did not start (exit code {process.wait()})")
        urls = json.loads(line)
        return cls(process, urls["api"], urls["control"])

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def tell(self, command: str, **body: Any) -> Any:
        """Send a command to the control plane and give back its answer."""
        request = urllib.request.Request(
            f"{self.control_url}/{command}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise TallystickError(f"sandbox: {error.read().decode()}") from error

    def provision(self, **body: Any) -> Any:
        """Create meters with per-unit prices and customers subscribed to them; ids by name."""
        return self.tell("provision", **body)

    def outage(self, seconds: float | None = None) -> None:
        """Stripe goes away: connections drop and new ones are refused, for so long or until `recover`."""
        self.tell("outage", seconds=seconds)

    def recover(self) -> None:
        """Stripe is back."""
        self.tell("outage", end=True)

    def advance(self, seconds: int) -> int:
        """Move the sandbox's clock forward; the instant it shows then."""
        now: int = self.tell("clock", advance_seconds=seconds)["now"]
        return now

    def faults(self, *rules: str, **shares: int) -> None:
        """Set what goes wrong from now on, instead of what was set: rules as `Rule.parse` takes them, shares of
        requests in percent; no argument: nothing."""
        self.tell("faults", rules=list(rules), **shares)

    def fault(self, rule: str) -> None:
        """Add one rule to what is in force, such as `"lose_reply route=/v1/billing/* times=1"`."""
        self.tell("fault", rule=rule)

    def hell(self, seed: int = 0, without: Sequence[str] = ()) -> None:
        """Turn every fault on, and every switch to its harder side."""
        self.tell("hell", seed=seed, without=list(without))

    def switch(self, **switches: Any) -> Any:
        """Set switches; all of them as they are then."""
        return self.tell("switches", **switches)

    def drain(self) -> list[dict[str, Any]]:
        """Wait until every webhook that is due has been tried; all deliveries so far with their answers."""
        found: list[dict[str, Any]] = self.tell("drain")
        return found

    def roll_secret(self, destination: str, expire_seconds: int = 86400) -> str:
        """Give a webhook endpoint or event destination a new secret; the old one signs too for so long."""
        secret: str = self.tell("roll_secret", id=destination, expire_seconds=expire_seconds)["secret"]
        return secret

    def requests(self) -> list[dict[str, Any]]:
        """The last thousand requests: method, path, idempotency key, and the fate each met."""
        found: list[dict[str, Any]] = self.tell("requests")
        return found

    def totals(self) -> list[dict[str, Any]]:
        """Accepted usage per customer and meter, added up from the raw events."""
        found: list[dict[str, Any]] = self.tell("totals")
        return found
