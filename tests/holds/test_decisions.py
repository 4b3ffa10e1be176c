"""A person decides about a hold: settled or void, once, with a reason and a name."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest

from tallystick import Tally
from tallystick.errors import ActionError, QuantityError, TallystickError
from tallystick.ledger.model import Outcome
from tallystick.values.instant import FrozenClock


def test_settled_by_name(tally: Tally, abandon: Any, billed: Any) -> None:
    action = abandon("reviewed", key="job 7", attributes={"model": "big"})
    tally.holds.settle(action._hold.id, 42, reason="the provider's log says 42", by="Grace")
    assert billed() == {"reviewed": 42}
    assert tally.holds.open() == []
    (entry,) = tally.entries(customer="ada")
    assert (entry.key, entry.attributes) == ("job 7", '{"model":"big"}')
    action.add(50)
    action.__exit__(None)
    assert billed() == {"reviewed": 42}, "the decision stands"
    assert action.posted.resolved_before.by == "Grace"


def test_voided_by_name(tally: Tally, abandon: Any, billed: Any) -> None:
    action = abandon("reviewed")
    tally.holds.void(action._hold.id, reason="refunded", by="Grace")
    assert billed() == {}
    assert tally.holds.open() == []
    action.__exit__(None)


def test_a_second_decision_is_refused(tally: Tally, abandon: Any, pass_time: Any, billed: Any) -> None:
    action = abandon("reviewed")
    tally.holds.settle(action._hold.id, 1, reason="seen", by="Grace")
    with pytest.raises(ActionError, match="was settled by Grace before"):
        tally.holds.void(action._hold.id, reason="changed my mind", by="Ada")
    expired = abandon("estimated")
    pass_time(hours=2)
    with pytest.raises(ActionError, match="was expired by policy settle before"):
        tally.holds.settle(expired._hold.id, 7, reason="seen", by="Grace")
    assert billed() == {"reviewed": 1, "estimated": 100}
    action.__exit__(None)
    expired.set(100)
    expired.__exit__(None)


@pytest.mark.parametrize(
    ("hold", "quantity", "reason", "by", "said"),
    [
        ("nonsense", 1, "r", "b", "is not an entry's id"),
        ("e00-" + "0" * 32, 1, "r", "b", "is no hold"),
        ("HOLD", -1, "r", "b", "-1"),
        ("HOLD", 1, " ", "b", "reason"),
        ("HOLD", 1, "r", "", "by"),
    ],
)
def test_a_wrong_decision_is_told_and_changes_nothing(
    tally: Tally, abandon: Any, billed: Any, hold: str, quantity: int, reason: str, by: str, said: str
) -> None:
    action = abandon("reviewed")
    name = action._hold.id if hold == "HOLD" else hold
    with pytest.raises(TallystickError, match=said):
        tally.holds.settle(name, quantity, reason=reason, by=by)
    assert billed() == {}
    assert len(tally.holds.open()) == 1
    action.__exit__(None)


def test_a_quantity_without_exact_digits_is_refused(tally: Tally, abandon: Any) -> None:
    action = abandon("reviewed")
    with pytest.raises(QuantityError):
        tally.holds.settle(action._hold.id, 1.5, reason="r", by="b")
    action.__exit__(None)


def test_one_resolution_under_a_race_of_threads(
    tally: Tally, clock: FrozenClock, abandon: Any, billed: Any
) -> None:
    """Action, two people and the sweep at once, many times: one of them wins, the sum says which."""
    for turn in range(10):
        action = abandon("estimated")
        tally.ledger.sequencer.run()
        clock.advance(timedelta(hours=2))
        start = threading.Barrier(4)
        before = billed().get("estimated", 0)
        won: list[str] = []

        def decide(name: str, step: Any, *, start: Any = start, won: Any = won) -> None:
            start.wait()
            try:
                step()
                won.append(name)
            except ActionError:
                pass

        hold = action._hold.id
        action.add(1000)
        steps: dict[str, Any] = {
            "action": lambda action=action: action.__exit__(None),
            "settle": lambda hold=hold: tally.holds.settle(hold, 10_000, reason="r", by="Grace"),
            "void": lambda hold=hold: tally.holds.void(hold, reason="r", by="Ada"),
            "sweep": tally.expirer.run,
        }
        threads = [threading.Thread(target=decide, args=item) for item in steps.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        resolution = tally.ledger.read(_resolution(tally, hold))
        expected = {
            (Outcome.SETTLED, ""): 1000,
            (Outcome.SETTLED, "Grace"): 10_000,
            (Outcome.VOIDED, "Ada"): 0,
            (Outcome.EXPIRED, "policy settle"): 1000,  # the estimate and the action's difference
        }[resolution.outcome, resolution.by]
        assert billed().get("estimated", 0) - before == expected, (turn, resolution, won)


def _resolution(tally: Tally, hold: str) -> Any:
    from tallystick.ledger import reading
    from tallystick.values.identifiers import from_public

    entry = tally.ledger.find(from_public(hold))
    assert entry is not None
    return reading.resolution(entry)


RIVAL = """
import sys
from tallystick import Catalogue, Meter, Tally
from tallystick.errors import ActionError
from tallystick.storage import open_store

with Tally(open_store(sys.argv[1]), Catalogue([Meter("reviewed")])) as tally:
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    for hold in sys.argv[3:]:
        try:
            tally.holds.settle(hold, int(sys.argv[2]), reason="race", by=f"process {sys.argv[2]}")
            won += 1
        except ActionError:
            pass
    print(won)
"""


def test_one_resolution_under_a_race_of_processes(
    tally: Tally, store_url: str, abandon: Any, billed: Any
) -> None:
    actions = [abandon("reviewed") for _ in range(40)]
    holds = [action._hold.id for action in actions]
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL, store_url, str(10**index), *holds[:: 1 if index % 2 else -1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(3)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    won = [int(rival.communicate(timeout=60)[0]) for rival in rivals]
    assert sum(won) == 40
    assert billed() == {"reviewed": sum(count * 10**index for index, count in enumerate(won))}
    for action in actions:
        action.__exit__(None)
