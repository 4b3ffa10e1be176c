"""The client: sends calls over kept-alive connections and keeps its own log of what was answered."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

ESTIMATE = 7  # what an expired hold of the meter `expiring` is billed


def quantity_of(job: str) -> int:
    """What a job uses; the application and the client's log work it out each by itself."""
    if "-expiring-" in job:
        return ESTIMATE
    return 1 + zlib.crc32(job.encode()) % 997


@dataclass
class Call:
    """One call: what was asked, and whether it was answered with success."""

    meter: str
    customer: str
    job: str
    status: int = 0  # no answer

    @property
    def answered(self) -> bool:
        """Whether the client was told that it worked."""
        return self.status == 200

    def request(self) -> bytes:
        """The bytes of the request."""
        head = f"POST /{self.meter} HTTP/1.1\r\nhost: app\r\nx-customer: {self.customer}\r\nx-job: {self.job}\r\n"
        return f"{head}content-length: 0\r\n\r\n".encode()


def calls_of(customers: Sequence[str], rounds: int = 2) -> list[list[Call]]:
    """The calls of one kill: a list for each connection."""
    lists = []
    for customer in customers:
        meters = ["held", "unheld"] * rounds + ["orders"] * rounds
        lists.append([Call(meter, customer, f"{customer}-{meter}-{n}") for n, meter in enumerate(meters)])
    return lists


class Client(threading.Thread):
    """One connection; stops at the first call that gets no answer."""

    def __init__(self, address: tuple[str, int], calls: Sequence[Call]) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._calls = calls

    def run(self) -> None:
        """Make the calls in turn."""
        try:
            with socket.create_connection(self._address, timeout=10) as connection:
                for call in self._calls:
                    connection.sendall(call.request())
                    call.status = _status(connection)
        except (OSError, EOFError):
            return


def _status(connection: socket.socket) -> int:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    return int(head.split()[1])


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise EOFError
    return data
