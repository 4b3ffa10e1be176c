"""`python -m benchmarks.loss [page]`: run every scenario for every subject, print the table, write the page."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.loss.subjects import PEERS, Ours, Peer, Subject
from benchmarks.measure import disk, machine

CALLS = 40
PATIENCE = 45.0  # seconds that a subject has to get its usage to the provider after the last restart
STOPPING = 15.0
Scenario = Callable[[Subject, list[str]], set[str]]


def _calls(port: int, customers: list[str]) -> set[str]:
    """One call for each customer over one connection; those that were answered with success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    answered = set()
    for customer in customers:
        connection.request("POST", "/call", headers={"x-customer-id": customer})
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            answered.add(customer)
    connection.close()
    return answered


def _abandoned(port: int, customers: list[str]) -> set[str]:
    """One stream for each customer, left after the second of its ten parts."""
    begun = set()
    for customer in customers:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            head = f"POST /stream HTTP/1.1\r\nhost: app\r\nx-customer-id: {customer}\r\ncontent-length: 0\r\n\r\n"
            connection.sendall(head.encode())
            received = b""
            while b"part 1\n" not in received:
                received += connection.recv(65536) or _gone()
            begun.add(customer)
    return begun


def _gone() -> bytes:
    raise RuntimeError("the application ended the stream before its second part")


def stopped(number: signal.Signals) -> Scenario:
    """Calls, then at once a signal, then a new process."""

    def scenario(subject: Subject, customers: list[str]) -> set[str]:
        process, port = subject.start()
        answered = _calls(port, customers)
        process.send_signal(number)
        process.wait(STOPPING)
        return _until_known(subject, answered)

    return scenario


def undisturbed(subject: Subject, customers: list[str]) -> set[str]:
    """The control: nothing happens, so nothing may be missing."""
    process, port = subject.start()
    try:
        answered = _calls(port, customers)
        return answered - _wait(subject, answered)
    finally:
        process.kill()
        process.wait()


def disconnects(subject: Subject, customers: list[str]) -> set[str]:
    """Streams whose client leaves; the process lives on."""
    process, port = subject.start()
    try:
        begun = _abandoned(port, customers)
        return begun - _wait(subject, begun)
    finally:
        process.kill()
        process.wait()


def outage(subject: Subject, customers: list[str]) -> set[str]:
    """The provider is away while calls are answered and while the application is deployed anew; then it is back."""
    process, port = subject.start()
    subject.provider(up=False)
    answered = _calls(port, customers)
    process.terminate()
    try:
        process.wait(STOPPING)
    except Exception:
        process.kill()  # what an orchestrator does when the grace period is over
        process.wait()
    subject.provider(up=True)
    return _until_known(subject, answered)


def _until_known(subject: Subject, answered: set[str]) -> set[str]:
    """Start anew and wait; what is lost."""
    process, _ = subject.start()
    try:
        return answered - _wait(subject, answered)
    finally:
        process.kill()
        process.wait()


def _wait(subject: Subject, answered: set[str]) -> set[str]:
    until = time.monotonic() + PATIENCE
    while not answered <= subject.known() and time.monotonic() < until:
        time.sleep(0.25)
    return subject.known()


SCENARIOS: dict[str, Scenario] = {
    f"nothing: {CALLS} answered calls (the control)": undisturbed,
    f"SIGTERM after {CALLS} answered calls, restart": stopped(signal.SIGTERM),
    f"SIGKILL after {CALLS} answered calls, restart": stopped(signal.SIGKILL),
    f"{CALLS} streams, client leaves after the 2nd of 10 parts": disconnects,
    f"provider down during {CALLS} answered calls and a restart": outage,
}


def measure(subject: Subject, lost: dict[str, dict[str, int]]) -> None:
    """All scenarios of one subject."""
    for number, (what, scenario) in enumerate(SCENARIOS.items()):
        customers = [f"s{number}c{n}" for n in range(CALLS)]
        subject.customers(customers)
        lost[what][subject.name] = len(scenario(subject, customers))
        print(f"  {subject.name}: {what}: {lost[what][subject.name]} lost", file=sys.stderr, flush=True)
    subject.close()


def page(lost: dict[str, dict[str, int]], names: list[str]) -> str:
    """The table with how it came about."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    lines = [
        "# Answered, and lost",
        "",
        "How many of 40 answered calls the provider never hears of. `make loss-table` measures it anew; "
        f"last run on {day}: {machine()}.",
        "",
        f"| what happens | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for what, row in lost.items():
        cells = (f"{row[name]} of {CALLS} lost ({row[name] * 100 // CALLS} %)" for name in names)
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *NOTES, ""])


NOTES = [
    "- The same FastAPI application under uvicorn, one worker. The peers come from the registry into a throw-away "
    "environment and are used as their quick starts show, with their defaults: a middleware (aforo-metering), "
    "a call to `client.meter` in the handler, for a stream after its last part (amberflo-metering-python). "
    "Their provider is a local stub that takes whatever they send; tallystick's is the sandbox.",
    "- A call is lost when the provider has nothing of it 45 s after the last restart. Every call has a customer "
    "of its own, so nothing is guessed from totals.",
    "- The peers keep events in memory and send them in the background: quick, no database needed, and what is in "
    "memory goes with the process. A server that drains before each deploy would lose less on SIGTERM, and "
    "nothing helps it against SIGKILL. tallystick waits for its disk before each answer; that is the price.",
    "- aforo-metering counts an abandoned stream as one call and cannot say how much of it went out; tallystick "
    "counts the parts. With the peer's call elsewhere (a `finally` around the stream) amberflo would count them too.",
    "- On SIGTERM uvicorn ends by raising the signal again, so what a library registers with `atexit` does not run.",
]


def main() -> None:
    """Measure all subjects at the same time."""
    lost: dict[str, dict[str, int]] = {what: {} for what in SCENARIOS}
    with disk() as folder:
        subjects: list[Subject] = [Ours(folder), *(Peer(name, folder) for name in PEERS)]
        threads = [threading.Thread(target=measure, args=(subject, lost)) for subject in subjects]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    names = [subject.name for subject in subjects]
    if any(set(row) != set(names) for row in lost.values()):
        sys.exit("a subject did not finish; see above")
    text = page(lost, names)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    if any(row["tallystick"] for row in lost.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
