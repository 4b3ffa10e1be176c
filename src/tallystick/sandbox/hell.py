"""Every documented fault at once, from one seed; and every switch set to its harder side."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tallystick.sandbox.faults import SHARES, Faults
from tallystick.sandbox.switches import Switches

# `swallow` stays out: Stripe promises a report for an event that it accepted and could not process.
_SHARES = {
    "lose_reply": 4,
    "half_answer": 3,
    "garbage": 1,
    "gateway_done": 1,
    "slow_answer": 2,
    "slow_work": 2,
    "drop": 2,
    "fail": 3,
    "fail_done": 3,
    "unavailable": 2,
    "gateway": 2,
    "rate_limit": 1,
    "lock_timeout": 2,
    "key_in_use": 2,
    "unauthorized": 1,
    "outage": 1,
    "stale": 3,
    "reject_later": 1,
    "clock_jump": 1,
}


def faults(seed: int, without: Iterable[str] = ()) -> Faults:
    """About a third of all requests goes wrong; `without` names fates to leave out. ValueError for others."""
    left_out = set(without)
    unknown = left_out - {fate.value for fate in SHARES}
    if unknown:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(SHARES)}")
    shares = {name: share for name, share in _SHARES.items() if name not in left_out}
    details = {"storm": 10, "slow_ms": 400, "outage_ms": 700, "jump_seconds": 45, "stale_seconds": 30}
    return msgspec.convert({**shares, **details, "seed": seed}, Faults)


def switches(before: Switches) -> Switches:
    """Late reports with one sample, late and uneven summaries, webhooks lost, doubled and overtaken.

    What `before` says of billing and of open questions stays.
    """
    return before.changed(
        asynchronous=("*",),
        report_samples=1,
        window_jitter_seconds=20 * 3600,
        summary_lag_seconds=2,
        summary_jitter_seconds=5,
        one_in_flight=True,
        webhook_retry_seconds=(1, 2, 4, 8),
        webhook_duplicate=20,
        webhook_drop=20,
        webhook_shuffle=20,
    )
