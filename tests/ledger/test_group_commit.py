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

from tallystick.errors import EntryRefusedError, LedgerBusyError, LedgerError
from tallystick.ledger.commit import GroupCommit
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Piece, Posting
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


def test_an_awaited_record_waits_for_its_locked_key(postgres_url: str) -> None:
    """An open transaction holds the key: the task is answered after the commit, not with its batch."""
    from tallystick.ledger.model import Kind
    from tallystick.storage import open_store
    from tallystick.values.identifiers import lane_of

    ledger = Ledger(open_store(postgres_url, auto_migrate=True), CATALOGUE)

    def make(customer: str, key: str | None = None) -> Posting:
        lane = lane_of("default", "test", customer)
        return Posting(
            (
                Entry(
                    lane, ledger.ids.next(), Kind.USAGE, "default", "test", "", customer, "tokens", 1, key=key
                ),
            )
        )

    async def run(application: psycopg.Connection) -> None:
        blocked = asyncio.create_task(ledger.post_async(make("org", "same")))
        await asyncio.gather(*(ledger.post_async(make(f"org_{n}")) for n in range(20)))
        await ledger.post_async(make("later"))
        assert not blocked.done()
        application.commit()
        assert (await asyncio.wait_for(blocked, 30)).repeated == (0,)

    with psycopg.connect(postgres_url) as application:
        ledger.post_on(application, make("org", "same"))
        asyncio.run(run(application))
    ledger.close()


@pytest.mark.parametrize("text", ["\ud83d", "\0"])
def test_text_that_no_database_takes_fails_alone(ledger: Ledger, entry: Make, text: str) -> None:
    """Half a surrogate pair, NUL: neighbours of the batch are recorded."""

    async def run() -> list[object]:
        postings = [Posting((entry(f"org_{n}", 1, attributes=text if n == 7 else ""),)) for n in range(50)]
        return await asyncio.gather(*(ledger.post_async(p) for p in postings), return_exceptions=True)

    bad = [index for index, result in enumerate(asyncio.run(run())) if isinstance(result, Exception)]
    assert set(bad) <= {7}
    assert sum(count for count, _ in ledger.recomputed_totals().values()) == 50 - len(bad)


def test_conflicts_within_one_batch_name_the_first(ledger: Ledger, entry: Make) -> None:
    """Two contents under one key in one commit: what stands is what the ledger holds."""
    first, second = ledger.post_many([Posting((entry("org", n, key="k"),)) for n in (5, 6)])
    assert second.conflicting == (0,)
    assert [e.quantity for e in second.entries] == [5] == [e.quantity for e in first.entries]
    assert [e.quantity for e in ledger.entries("org", ["tokens"])] == [5]


def test_connections_go_with_their_threads(ledger: Ledger, entry: Make) -> None:
    """Many short threads that read leave no connection behind."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ledger.open_holds).result()
    for _ in range(150):
        thread = threading.Thread(target=ledger.open_holds)
        thread.start()
        thread.join()
    assert len(ledger.store._connections._held) <= 3


def test_a_fork_inside_a_turn_does_not_keep_the_turn(sqlite_url: str) -> None:
    """The child shares the lock file; the parent's next commit does not wait for it to end."""
    from tallystick.storage import open_store

    store = open_store(sqlite_url)
    read, write = os.pipe()
    with store.write() as transaction:
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            os._exit(0)
        transaction.run(Statement("count_unsequenced"))
    done = threading.Event()

    def again() -> None:
        with store.write() as transaction:
            transaction.run(Statement("count_unsequenced"))
        done.set()

    threading.Thread(target=again, daemon=True).start()
    free = done.wait(20)
    os.write(write, b"x")
    os.waitpid(child, 0)
    assert free
    store.close()


def test_what_comes_while_closing_is_told_so(ledger: Ledger, entry: Make) -> None:
    """A post during close() fails clearly instead of waiting for a writer that has gone."""
    running, go_on = threading.Event(), threading.Event()

    def stall():  # type: ignore[no-untyped-def]
        running.set()
        go_on.wait()
        yield Statement("identity")

    with ThreadPoolExecutor(2) as pool:
        stalled = pool.submit(ledger.commit.run, (), stall)
        running.wait()
        closing = pool.submit(ledger.commit.close)
        while not ledger.commit._closing:
            pass
        with pytest.raises(LedgerError, match="being closed"):
            ledger.post(Posting((entry("org", 1),)))
        go_on.set()
        stalled.result()
        closing.result()
    ledger.post(Posting((entry("org", 2),)))
    assert [e.quantity for e in ledger.entries("org", ["tokens"])] == [2]
