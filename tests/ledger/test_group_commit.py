"""Group commit: durable before it returns, shared by threads, tasks and processes; one bad entry fails alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tallystick.errors import EntryRefusedError, LedgerBusyError
from tallystick.ledger.commit import GroupCommit
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Posting
from tallystick.ledger.posting import Piece
from tallystick.storage import Statement
from tests.ledger.conftest import CATALOGUE

Make = Callable[..., Entry]

WRITER = """
import sys, threading
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.storage import open_store
from tallystick.values.identifiers import lane_of
from tests.ledger.conftest import CATALOGUE

ledger = Ledger(open_store(sys.argv[1]), CATALOGUE)
count = int(sys.argv[2])
lock = threading.Lock()

def work(number):
    for _ in range(count):
        customer = f"org_{number}"
        entry = Entry(lane_of("default", "test", customer), ledger.ids.next(), Kind.USAGE, "default", "test", "",
                      customer, "tokens", 1)
        ledger.post(Posting((entry,)))
        with lock:
            print(entry.entry.hex(), flush=True)

threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
"""


def test_tasks_and_threads_share_commits(ledger: Ledger, entry: Make) -> None:
    """Everything acknowledged is there, whoever asked."""

    async def tasks() -> None:
        async def one(number: int) -> None:
            for _ in range(20):
                await ledger.post_async(Posting((entry(f"task_{number}", 1),)))

        await asyncio.gather(*(one(n) for n in range(50)))

    def thread(number: int) -> None:
        for _ in range(20):
            ledger.post(Posting((entry(f"thread_{number}", 1),)))

    with ThreadPoolExecutor(10) as pool:
        pool.map(thread, range(10))
        asyncio.run(tasks())
    assert sum(count for count, _ in ledger.recomputed_totals().values()) == 50 * 20 + 10 * 20


def test_processes_take_turns(store_url: str, ledger: Ledger) -> None:
    """Four processes write to one database; nothing is lost, nobody fails."""
    command = [sys.executable, "-c", WRITER, store_url, "25"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    acknowledged = {line for w in writers for line in w.communicate()[0].split()}
    assert [w.returncode for w in writers] == [0] * 4
    assert len(acknowledged) == 4 * 8 * 25
    ledger.sequencer.run()
    assert sum(count for count, _ in ledger.totals().values()) == 800


def test_what_was_acknowledged_survives_a_kill(store_url: str, ledger: Ledger) -> None:
    """SIGKILL in the middle of the traffic: every id that was printed is in the ledger (T2)."""
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, store_url, "100000"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline().strip() for _ in range(500)]
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split("\n")[:-1]
        acknowledged = {bytes.fromhex(line) for line in [*lines, *rest]}
        recorded: set[bytes] = set()
        for number in range(8):
            recorded |= {e.entry for e in ledger.entries(f"org_{number}", ["tokens"], limit=1_000_000)}
        assert acknowledged <= recorded


def test_one_bad_entry_fails_alone(ledger: Ledger, entry: Make) -> None:
    """A batch with an entry that the database refuses: only that one's caller hears of it."""

    async def run() -> list[object]:
        postings = [Posting((entry(f"org_{n}", -1 if n == 37 else 1),)) for n in range(100)]
        return await asyncio.gather(*(ledger.post_async(p) for p in postings), return_exceptions=True)

    results = asyncio.run(run())
    bad = [index for index, result in enumerate(results) if isinstance(result, Exception)]
    assert bad == [37]
    assert isinstance(results[37], EntryRefusedError)


def test_a_locked_key_delays_only_its_own_entry(postgres_url: str) -> None:
    """An open transaction of the application holds a key: neighbours are done before it ends."""
    from tallystick.storage import open_store

    ledger = Ledger(open_store(postgres_url, auto_migrate=True), CATALOGUE)
    from tallystick.ledger.model import Kind
    from tallystick.values.identifiers import lane_of

    def make(customer: str, key: str | None = None) -> Posting:
        lane = lane_of("default", "test", customer)
        return Posting(
            (
                Entry(
                    lane, ledger.ids.next(), Kind.USAGE, "default", "test", "", customer, "tokens", 1, key=key
                ),
            )
        )

    with psycopg.connect(postgres_url) as application:
        ledger.post_on(application, make("org", "same"))
        with ThreadPoolExecutor(21) as pool:
            blocked = pool.submit(ledger.post, make("org", "same"))
            neighbours = [pool.submit(ledger.post, make(f"org_{n}")) for n in range(20)]
            for neighbour in neighbours:
                neighbour.result(timeout=30)
            assert not blocked.done()
            application.commit()
            assert blocked.result(timeout=30).repeated == (0,)
    ledger.close()


def test_a_full_queue_pushes_back(ledger: Ledger, entry: Make) -> None:
    """Beyond max_queue callers wait, and hear why when it lasts too long."""
    commit = GroupCommit(ledger.store, ledger.clock, max_queue=5, patience_seconds=0.05)
    running, go_on = threading.Event(), threading.Event()

    def stall():  # type: ignore[no-untyped-def]
        running.set()
        go_on.wait()
        yield Statement("identity")

    with ThreadPoolExecutor(8) as pool:
        stalled = pool.submit(commit.run, (), stall)
        running.wait()
        waiting = [pool.submit(commit.run, [Piece(Posting((entry("org", 1),)))]) for _ in range(5)]
        while commit._queued < 5:
            pass
        with pytest.raises(LedgerBusyError, match="max_queue=5"):
            commit.run([Piece(Posting((entry("org", 1),)))])
        go_on.set()
        stalled.result()
        for done in waiting:
            done.result()
    commit.close()


def test_a_cancelled_wait_does_not_cancel_the_entry(ledger: Ledger, entry: Make) -> None:
    """The task goes away; what it posted is durable all the same."""

    async def run() -> None:
        task = asyncio.create_task(ledger.post_async(Posting((entry("org", 3),))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    ledger.commit.close()
    assert [e.quantity for e in ledger.entries("org", ["tokens"])] == [3]


def test_a_forked_child_starts_its_own_writer(ledger: Ledger, entry: Make) -> None:
    """Threads and connections do not survive a fork; the child makes its own."""
    ledger.post(Posting((entry("org", 1),)))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ledger.post(Posting((entry("org", 2),)))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    ledger.post(Posting((entry("org", 4),)))
    assert sum(e.quantity for e in ledger.entries("org", ["tokens"])) == 7
