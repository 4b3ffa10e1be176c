"""The status as Prometheus text, for a scraper or the textfile collector.

Format: Prometheus text exposition format 0.0.4 (prometheus.io, "Exposition formats").
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.ledger.reading import Partition
from tallystick.reconciliation.operations import Status

Samples = Mapping[str, int]  # by label value; '' for a metric without a label of its own


def prometheus(
    status: Status,
    doubts: Mapping[str, int],
    deadlines: Mapping[str, int],
    findings: Mapping[str, int],
    where: Partition,
) -> str:
    """All metrics; every sample carries tenant and mode, so that live and test never add up.

    `deadlines` counts customers and meters by level, `findings` are those of this process: a counter since it started.
    """
    doubtful = {"open": 0, "unclear": 0, **doubts}
    moving = {"ready": 0, "sending": 0, "unknown": 0, **status.in_delivery}
    families: list[tuple[str, str, str, str, Samples]] = [
        (
            "undelivered_entries",
            "gauge",
            "Entries that no dispatch carries yet.",
            "",
            {"": status.undelivered},
        ),
        (
            "oldest_undelivered_seconds",
            "gauge",
            "Age of the oldest of them.",
            "",
            {"": status.oldest_undelivered_seconds},
        ),
        ("entries_in_delivery", "gauge", "Entries in dispatches under way, by state.", "state", moving),
        (
            "parked_dispatches",
            "gauge",
            "Dispatches that wait for a person (tallystick redrive).",
            "",
            {"": len(status.parked)},
        ),
        ("doubts", "gauge", "Minutes the provider reported errors about, by state.", "state", doubtful),
        (
            "deadlines",
            "gauge",
            "Customers and meters whose undelivered usage is past 50 (half), 75 (most), 90 (urgent) or 100 % (missed).",
            "level",
            deadlines,
        ),
        ("open_holds", "gauge", "Actions begun and not ended.", "", {"": status.open_holds}),
        ("unsequenced_entries", "gauge", "Entries not yet in the hash chain.", "", {"": status.unsequenced}),
        ("spooled_postings", "gauge", "Postings kept while the ledger is away.", "", {"": status.spooled}),
        ("findings_total", "counter", "Findings of this process, by code.", "code", dict(findings)),
    ]
    return "".join(_family(*family, where=where) for family in families)


def _family(name: str, kind: str, about: str, label: str, samples: Samples, *, where: Partition) -> str:
    lines = [f"# HELP tallystick_{name} {about}", f"# TYPE tallystick_{name} {kind}"]
    for value, number in sorted(samples.items()):
        labels = {"tenant": where.tenant, "mode": where.mode} | ({label: value} if label else {})
        text = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        lines.append(f"tallystick_{name}{{{text}}} {number}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
