"""A metered endpoint against the same endpoint unmetered, and against what people write today.

Server (uvicorn, one worker), client and sandbox are processes of their own on the machine's cores. Each
figure is the median of several short runs, taken in turn.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks.measure import Results, disk
from tallystick import Tally
from tallystick.demo.processes import free_port
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store

SECONDS = 3.0
ROUNDS = 3
CUSTOMERS = [f"org_{n}" for n in range(64)]


async def load(port: int, path: str, connections: int, seconds: float, customers: int) -> list[float]:
    """Call a path over kept-alive connections for so long; each call's milliseconds."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def worker(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        name = CUSTOMERS[number % customers]
        request = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nx-customer: {name}\r\ncontent-length: 0\r\n\r\n".encode()
        )
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head:
                raise RuntimeError(head.decode())
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            times.append((time.perf_counter() - began) * 1000)
        writer.close()

    await asyncio.gather(*(worker(n) for n in range(connections)))
    return times


class Server:
    """One application under test."""

    def __init__(self, folder: Path, sandbox: Sandbox, links: dict[str, str], *, inline: bool) -> None:
        self.port = free_port()
        self.sandbox = sandbox
        self.store = f"sqlite:///{folder / ('inline.db' if inline else 'relay.db')}"
        from benchmarks.application import KEY, METERS
        from tallystick.providers.stripe import StripeProvider

        with Tally(open_store(self.store), METERS, provider=StripeProvider(KEY, base=sandbox.url)) as tally:
            tally.links.link(links)
        environ = {
            **os.environ,
            "BENCH_INLINE": "yes" if inline else "no",
            "BENCH_SANDBOX": sandbox.url,
            "BENCH_STORE": self.store,
            "BENCH_LINKS": ",".join(f"{a}={b}" for a, b in links.items()),
        }
        command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.application:create"]
        command += ["--port", str(self.port), "--log-level", "warning", "--no-access-log"]
        self.process = subprocess.Popen(command, env=environ)
        for _ in range(200):
            try:
                asyncio.run(load(self.port, "/unmetered", 1, 0.01, 1))
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not start")

    def run(
        self, path: str, connections: int, seconds: float = SECONDS, customers: int = 64
    ) -> tuple[float, float, float, float, int]:
        """(requests/s, p50 ms, p99 ms, server CPU ms per call, provider calls)."""
        calls, cpu = self._calls(), self._cpu()
        times = asyncio.run(load(self.port, path, connections, seconds, customers))
        spent = (self._cpu() - cpu) * 1000 / len(times)
        return (
            len(times) / seconds,
            median(times),
            quantiles(times, n=100)[98],
            spent,
            self._calls() - calls,
        )

    def _calls(self) -> int:
        found: int = self.sandbox.tell("statistics")["meter_events"]
        return found

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def serving(folder: Path, *, inline: bool) -> Iterator[Server]:
    """A server with its own sandbox."""
    with Sandbox.start() as sandbox:
        made = sandbox.provision(
            meters={"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}, customers=CUSTOMERS
        )
        server = Server(folder, sandbox, made["customers"], inline=inline)
        try:
            yield server
        finally:
            server.stop()


def rounds(
    server: Server, paths: list[str], connections: int, customers: int = 64
) -> dict[str, tuple[float, ...]]:
    """The median of each figure, the paths taken in turn."""
    found: dict[str, list[tuple[float, ...]]] = {path: [] for path in paths}
    for path in paths:
        server.run(path, connections, 0.5, customers)
    for _ in range(ROUNDS):
        for path in paths:
            found[path].append(server.run(path, connections, SECONDS, customers))
    return {path: tuple(median(column) for column in zip(*runs, strict=True)) for path, runs in found.items()}


def commit_ms(folder: Path) -> float:
    """One durable commit of the same kind of database: the median."""
    connection = sqlite3.connect(folder / "commit.db", isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table t (a integer)")
    times = []
    for n in range(500):
        began = time.perf_counter()
        connection.execute("begin immediate")
        connection.execute("insert into t values (?)", (n,))
        connection.execute("commit")
        times.append((time.perf_counter() - began) * 1000)
    connection.close()
    return median(times)


def against_unmetered(results: Results, folder: Path) -> None:
    with serving(folder, inline=False) as server:
        many = rounds(server, ["/unmetered", "/unheld", "/held"], 64)
        alone = rounds(server, ["/unmetered", "/unheld", "/held"], 1)
    base, commit = many["/unmetered"][0], commit_ms(folder)
    for path, ratio, commits in (("/unheld", "0.6", "2.5"), ("/held", "0.4", "4")):
        name = "hold=false" if path == "/unheld" else "with holds"
        rate = many[path][0]
        results.add(
            f"metered, {name}, 64 connections",
            f"{rate:,.0f}/s",
            f"unmetered {base:,.0f}/s",
            rate / base,
            f"at least {ratio}",
        )
        added = alone[path][1] - alone["/unmetered"][1]
        results.add(
            f"added p50, {name}, 1 connection",
            f"{added:.2f} ms",
            f"one commit {commit:.2f} ms",
            added / commit,
            f"at most {commits}",
        )


def against_naive(results: Results, folder: Path, customers: int) -> None:
    """Inline: entries of one customer that wait at the same time share a call, so their number matters."""
    with serving(folder, inline=True) as server:
        found = rounds(server, ["/naive", "/unheld"], 64, customers)
    naive, ours = found["/naive"], found["/unheld"]
    what = f"inline, 64 connections of {customers} customers"
    rates = (f"{ours[0]:,.0f}/s", f"naive {naive[0]:,.0f}/s")
    results.add(what, *rates, ours[0] / naive[0], "at least 2.5")
    results.add("  p99", f"{ours[2]:.0f} ms", f"naive {naive[2]:.0f} ms", ours[2] / naive[2], "at most 0.5")
    cpu = (f"{ours[3]:.2f} ms", f"naive {naive[3]:.2f} ms")
    results.add("  server CPU per call", *cpu, ours[3] / naive[3], "printed")
    per = [f[4] / (f[0] * SECONDS) for f in (ours, naive)]
    results.add(
        "  provider calls per entry", f"{per[0]:.2f}", f"naive {per[1]:.2f}", per[0] / per[1], "printed"
    )


def main() -> None:
    results = Results(
        "A metered endpoint on SQLite (first delivery by a relay that does not run, then inline, 300 ms)"
    )
    with disk() as folder:
        against_unmetered(results, folder)
        for customers in (8, 64):
            against_naive(results, folder, customers)
    results.show()


if __name__ == "__main__":
    main()
