"""Every question that Stripe's published pages leave open, as a switch: test both sides.

The defaults are the sandbox's own rules; docs/sandbox.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from tallystick.sandbox.faults import Amount, Count, Percent

Seconds = Amount


class Switches(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How this Stripe behaves. Times are in seconds of the sandbox's clock.

    Reports and samples
        asynchronous: codes of bad events that are answered 2xx and reported later (`*`: all of them).
        swallowed_identifier: whether an event that was rejected later keeps its identifier taken.
        report_window_seconds, report_samples: the window of one error report, and samples per error type.
        sample_key: what `request.identifier` of a sample holds.
        sample_style: the sample's shape: `identifier`, or the older `id` with `idempotency_key`.
    Repeats
        window_seconds, window_jitter_seconds: how long an identifier is remembered ("at least 24 hours"), and
            so much longer, each by its own share.
        repeat_after_window: an identifier seen again after that counts, is refused or is dropped silently.
        repeat_scope: whether identifiers are unique in the account or per customer.
    Values and payloads
        unknown_customer: the v1 call's answer for a customer that does not exist.
        values: decimals and negatives, or positive whole numbers only (as older pages say).
        max_payload_keys: null for no maximum.
        last_by: which event is the last one for the formula `last`.
    Reading back
        summary_lag_seconds, summary_jitter_seconds: summaries lag behind receipt, each event by its own share.
    Billing
        draft_seconds: from draft to final. drafts_wait_for_webhooks: an unanswered `invoice.created` puts it off.
        negative_half: how half a cent below zero is rounded. late_usage_on_test_clocks: reaches the draft.
        test_clock_limits: whether the 35-day and 5-minute rules read the customer's test clock.
        upcoming_days: how long before a renewal `invoice.upcoming` fires; 0 never.
    Traffic
        one_in_flight: one call at a time per customer and meter. calls_per_second: of real time; null for no limit.
        session_seconds: validity of a stream token.
    Webhooks
        webhook_retry_seconds: pauses before each repeat. signature_time: `t` is real time or the sandbox's clock.
        webhook_duplicate, webhook_drop, webhook_shuffle: percent of deliveries sent twice, lost at first, held back.
    """

    asynchronous: tuple[str, ...] = ()
    swallowed_identifier: Literal["free", "taken"] = "free"
    report_window_seconds: Count = 10
    report_samples: Amount = 3
    sample_key: Literal["identifier", "idempotency_key"] = "identifier"
    sample_style: Literal["identifier", "id_and_idempotency_key"] = "identifier"
    window_seconds: Seconds = 86400
    window_jitter_seconds: Seconds = 0
    repeat_after_window: Literal["counts", "refused", "dropped"] = "counts"
    repeat_scope: Literal["account", "customer"] = "account"
    unknown_customer: Literal["refused", "asynchronous"] = "refused"
    values: Literal["decimal", "whole"] = "decimal"
    max_payload_keys: Count | None = None
    last_by: Literal["timestamp", "receipt"] = "timestamp"
    summary_lag_seconds: Seconds = 0
    summary_jitter_seconds: Seconds = 0
    draft_seconds: Seconds = 3600
    drafts_wait_for_webhooks: bool = True
    negative_half: Literal["up", "away", "even"] = "up"
    late_usage_on_test_clocks: bool = True
    test_clock_limits: Literal["test_clock", "sandbox"] = "test_clock"
    upcoming_days: Amount = 7
    one_in_flight: bool = False
    calls_per_second: Count | None = None
    session_seconds: Seconds = 900
    webhook_retry_seconds: tuple[Seconds, ...] = (300, 1800, 7200)
    signature_time: Literal["real", "clock"] = "real"
    webhook_duplicate: Percent = 0
    webhook_drop: Percent = 0
    webhook_shuffle: Percent = 0

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Switches:
        """`name=value` as on the command line; lists with commas, `none` for null. ValueError names the bad one."""
        given: dict[str, object] = {}
        for text in texts:
            name, _, value = text.partition("=")
            listed = name in ("asynchronous", "webhook_retry_seconds")
            given[name] = value.split(",") if listed else None if value == "none" else value
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"switch {' '.join(given)}: {error}") from None

    def changed(self, **values: object) -> Switches:
        """A copy with other values; ValidationError names a switch or value that there is not."""
        return msgspec.convert({**msgspec.to_builtins(self), **values}, Switches)
