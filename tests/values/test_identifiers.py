"""Identifiers sort in the order they were made, in every thread and after a fork; lanes are for ever."""

import os
import threading

import pytest

from tallystick.values.identifiers import SystemIds, from_public, lane_of, to_public


def test_uuid7_layout() -> None:
    """RFC 9562: version 7, variant 10."""
    made = SystemIds().next()
    assert len(made) == 16
    assert made[6] >> 4 == 7
    assert made[8] >> 6 == 0b10


def test_ids_of_one_process_sort() -> None:
    """A later id is greater, also within a millisecond."""
    ids = SystemIds()
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_threads_do_not_collide() -> None:
    """Threads share one source."""
    ids, made = SystemIds(), []
    threads = [
        threading.Thread(target=lambda: made.extend([ids.next() for _ in range(2000)])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16_000


def test_ids_after_a_fork_do_not_collide() -> None:
    """The child draws new random bits."""
    ids = SystemIds()
    ids.next()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"".join(ids.next() for _ in range(100)))
        os._exit(0)
    mine = {ids.next() for _ in range(100)}
    theirs = os.read(read, 1600)
    os.waitpid(child, 0)
    assert not mine & {theirs[i : i + 16] for i in range(0, 1600, 16)}


def test_lanes_never_move() -> None:
    """The lane of a customer is part of every key: these values may never change."""
    assert [lane_of("default", "test", name) for name in ("a", "org_1", "Zoë")] == [207, 126, 32]


def test_public_ids() -> None:
    """A public id embeds the lane; anything else is refused with the value named."""
    made = SystemIds().next()
    assert from_public(to_public(7, made)) == (7, made)
    with pytest.raises(ValueError, match="'e1'"):
        from_public("e1")
