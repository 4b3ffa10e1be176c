"""What is compared: tallystick on its sandbox, and peers in throw-away environments."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from benchmarks.loss.collector import Collector
from tallystick import Tally
from tallystick.demo.processes import free_port
from tallystick.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
PEERS = {"aforo": ("aforo-metering", "1.1.2"), "amberflo": ("amberflo-metering-python", "3.3.1")}
CONFIG = """\
tenant = "loss"
mode = "test"
[meters.calls]
formula = "count"
[meters.parts]
"""


class Subject(Protocol):
    """One library with its application and its provider."""

    name: str

    def customers(self, names: list[str]) -> None:
        """Make these customers known, where that is needed."""
        ...

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start the application; its process and port."""
        ...

    def provider(self, *, up: bool) -> None:
        """Have the provider go away, or come back."""
        ...

    def known(self) -> set[str]:
        """The customers that the provider has usage of."""
        ...

    def close(self) -> None:
        """Stop the provider."""
        ...


def serve(
    python: str, factory: str, environ: dict[str, str], log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """An application under uvicorn, listening."""
    port = free_port()
    command = [python, "-m", "uvicorn", "--factory", factory, "--port", str(port), "--log-level", "critical"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdout=out, stderr=subprocess.STDOUT
        )
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, port
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise RuntimeError(f"{factory} did not start: {log.read_text()[-2000:]}")


class Peer:
    """A peer, installed from the registry into an environment of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        package, version = PEERS[name]
        self.name = f"{package} {version}"
        self._peer = name
        self._log = folder / f"{name}.log"
        environment = folder / name
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        self._python = str(environment / "bin" / "python")
        install = [self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"{package}=={version}", "fastapi", "uvicorn"], check=True)
        self._collector = Collector()

    def customers(self, names: list[str]) -> None:
        """The collector takes any."""

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start the application; its process and port."""
        environ = {"LOSS_PEER": self._peer, "LOSS_COLLECTOR": self._collector.url, "PYTHONPATH": ""}
        return serve(self._python, "benchmarks.loss.peer:create", environ, self._log)

    def provider(self, *, up: bool) -> None:
        """Have the collector go away, or come back."""
        if up:
            self._collector.up()
        else:
            self._collector.down()

    def known(self) -> set[str]:
        """The customers that the collector has heard of."""
        return set(self._collector.customers)

    def close(self) -> None:
        """Stop the collector."""
        self._collector.down()


class Ours:
    """tallystick with a SQLite ledger, inline delivery and the in-process relay: the defaults."""

    def __init__(self, folder: Path) -> None:
        self.name = "tallystick"
        self._log = folder / "tallystick.log"
        self._sandbox = Sandbox.start()
        config = folder / "tallystick.toml"
        config.write_text(CONFIG)
        self._environ = {
            "TALLYSTICK_CONFIG": str(config),
            "TALLYSTICK_STORE": f"sqlite:///{folder / 'ledger.db'}",
            "STRIPE_API_KEY": "sk_test_loss",
            "STRIPE_API_BASE": self._sandbox.url,
        }
        self._names: dict[str, str] = {}
        meters = {"calls": "sum", "parts": "sum"}
        self._sandbox.provision(
            meters={
                name: {"formula": formula, "unit_amount_decimal": "1"} for name, formula in meters.items()
            }
        )

    def customers(self, names: list[str]) -> None:
        """Make them customers of the sandbox, and link them."""
        links = self._sandbox.provision(customers=names)["customers"]
        self._names |= {provider: name for name, provider in links.items()}
        with Tally.from_config(environ=self._environ) as tally:
            tally.links.link(links)

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start the application; its process and port."""
        return serve(sys.executable, "benchmarks.loss.ours:create", self._environ, self._log)

    def provider(self, *, up: bool) -> None:
        """Have Stripe go away, or come back."""
        if up:
            self._sandbox.recover()
        else:
            self._sandbox.outage()

    def known(self) -> set[str]:
        """The customers that the sandbox has usage of."""
        return {self._names[row["customer"]] for row in self._sandbox.totals() if int(row["events"])}

    def close(self) -> None:
        """Stop the sandbox."""
        self._sandbox.stop()
