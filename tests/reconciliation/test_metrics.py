"""The Prometheus text: every line is of the format, numbers are the status's, labels are escaped."""

from __future__ import annotations

import re

from tallystick.ledger.reading import Partition
from tallystick.reconciliation.metrics import prometheus
from tallystick.reconciliation.operations import Status

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"(tallystick_[a-z_]+)\{{({LABEL}(?:,{LABEL})*)\}} (\d+)")
COMMENT = re.compile(r"# (HELP tallystick_[a-z_]+ .+|TYPE tallystick_[a-z_]+ (gauge|counter))")


def test_every_line_is_of_the_format() -> None:
    status = Status(3, 70, {"ready": 2}, [], 4, 5, 6)
    text = prometheus(
        status, {"unclear": 1}, {"missed": 7}, {"key_refused": 2}, Partition('a "b"\\\n', "live")
    )
    assert text.endswith("\n")
    found = {}
    for line in text.splitlines():
        sample = SAMPLE.fullmatch(line)
        assert sample or COMMENT.fullmatch(line), line
        if sample:
            assert r'tenant="a \"b\"\\\n",mode="live"' in sample[2]
            found[sample[1], sample[2].rpartition(",")[2]] = int(sample[3])
    assert found["tallystick_undelivered_entries", 'mode="live"'] == 3
    assert found["tallystick_oldest_undelivered_seconds", 'mode="live"'] == 70
    assert found["tallystick_entries_in_delivery", 'state="ready"'] == 2
    assert found["tallystick_entries_in_delivery", 'state="unknown"'] == 0
    assert found["tallystick_doubts", 'state="unclear"'] == 1
    assert found["tallystick_deadlines", 'level="missed"'] == 7
    assert found["tallystick_findings_total", 'code="key_refused"'] == 2


def test_a_family_is_told_once_and_in_one_piece() -> None:
    text = prometheus(Status(0, 0, {}, [], 0, 0), {}, {}, {}, Partition("default", "test"))
    kinds = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(kinds) == len(set(kinds))
    order = [
        re.split(r"[ {]", line.removeprefix("# HELP ").removeprefix("# TYPE "))[0]
        for line in text.splitlines()
    ]
    assert [name for n, name in enumerate(order) if n == 0 or order[n - 1] != name] == kinds
