"""Named places between a request and the close, where a proof ends the process.

TALLYSTICK_FAILPOINT="commit.queued:2:KILL" sends this process SIGKILL (or TERM, or STOP) when it comes to
that place the second time. The variable is read once, at import: without it a place is one call of an
empty function. `torture/` goes through all of them; a house test sees to it that each is placed once.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable

POINTS = {
    "gate.starting": "the application has answered; nothing of the answer has left",
    "gate.committed": "the entries of the request are durable; delivery has not begun",
    "gate.passed": "the answer may leave",
    "gate.sent": "the first bytes of the answer were given to the server",
    "action.opening": "an action begins; its hold is not yet posted",
    "action.held": "the hold is durable; the work has not begun",
    "action.ending": "the work is done; nothing of it is posted",
    "action.ended": "what it counted is durable",
    "recorder.committed": "a posting is durable; its request does not know yet",
    "ledger.posting": "a posting is about to be handed over",
    "ledger.carried": "an entry rides on the application's transaction, which is open",
    "commit.queued": "a posting waits for the writer",
    "commit.taken": "the writer has a batch, and no transaction",
    "commit.written": "the batch is durable; nobody was told",
    "commit.settled": "the results are there; the callers sleep",
    "posting.resolved": "in the transaction: holds resolved, no entry",
    "posting.claimed": "in the transaction: keys claimed, no entry",
    "posting.inserted": "in the transaction: entries without their obligations",
    "posting.owed": "in the transaction: entries with their obligations",
    "sqlite.turn": "it is this process's turn to write; no transaction",
    "sqlite.begun": "the transaction is open and empty",
    "sqlite.committing": "everything is written, COMMIT is next",
    "sqlite.committed": "COMMIT has returned",
    "postgres.begun": "the transaction is open and empty",
    "postgres.committing": "everything is written, COMMIT is next",
    "postgres.committed": "COMMIT has returned",
    "sequencer.read": "positions and hashes are computed, nothing is written",
    "sequencer.moved": "in the transaction: heads moved, no positions",
    "sequencer.placed": "in the transaction: positions, no totals",
    "sequencer.written": "positions and totals are durable",
    "courier.queued": "entries wait for a sender of this process",
    "courier.turn": "a sender has a place, and no slot",
    "courier.claimed": "dispatches are durable as `sending`; no byte has left",
    "courier.answered": "the provider has answered; the answer is not written",
    "courier.written": "the answer is durable",
    "delivery.slots": "in the transaction: slots taken, nothing claimed",
    "delivery.claimed": "in the transaction: obligations claimed, no dispatch",
    "delivery.frozen": "in the transaction: dispatches written",
    "delivery.retaken": "in the transaction: dispatches taken up again",
    "delivery.settled": "in the transaction: answers written, slots still taken",
    "sender.attempting": "right before a dispatch goes to the provider",
    "sender.answered": "right after its answer",
    "transport.connected": "the connection stands, no byte of the request has left",
    "transport.sent": "the request has left, the answer has not come",
    "transport.answered": "the answer was read",
    "spool.keeping": "the ledger cannot write; the spool's file is there, the posting is not in it",
    "spool.kept": "the posting is durable in the spool",
    "spool.replaying": "a dead process's spool was read, nothing of it is posted",
    "spool.replayed": "all of it is posted, its file is still there",
    "holds.expiring": "overdue holds are found, nothing is decided",
    "holds.expired": "what the policy makes of them is durable, they are not marked",
    "relay.leased": "the relay has its lease",
    "relay.sequenced": "a batch is sequenced, nothing is sent",
    "relay.retrying": "due dispatches are found, not taken up",
    "relay.owing": "what is owed is found, not claimed",
    "relay.claimed": "dispatches are durable as `sending`; no byte has left",
    "relay.answered": "the provider has answered; nothing is written",
    "relay.written": "the answers are durable",
    "relay.leaving": "the relay stops and still has its lease",
}


def reached(plan: str) -> Callable[[str], None]:
    """What runs at every place: nothing, or `plan`, "name:visit:signal"; ValueError for another plan."""
    if not plan:
        return _pass_by
    name, visit, number = plan.split(":")
    if name not in POINTS:
        raise ValueError(f"TALLYSTICK_FAILPOINT names {name!r}, which is no failpoint")
    return _Armed(name, int(visit), signal.Signals[f"SIG{number}"])


def _pass_by(name: str) -> None:
    return None


class _Armed:
    """Ends this process at the given visit of a place."""

    def __init__(self, name: str, visit: int, number: signal.Signals) -> None:
        self._name = name
        self._visit = visit
        self._number = number
        self._visits = itertools.count(1)

    def __call__(self, name: str) -> None:
        if name == self._name and next(self._visits) == self._visit:
            os.write(2, f"failpoint {name}\n".encode())
            os.kill(os.getpid(), self._number)


failpoint = reached(os.environ.get("TALLYSTICK_FAILPOINT", ""))
