"""Pages of lists: cursors in v1, tokens in v2."""

from __future__ import annotations

from tallystick.sandbox.refusal import Refusal, missing, whole
from tallystick.sandbox.world import Object


def _limit(params: Object) -> int:
    limit = whole(params, "limit") if params.get("limit") else 10
    if not 1 <= limit <= 100:
        raise Refusal("This value must be between 1 and 100.", param="limit")
    return limit


def page(rows: list[Object], params: Object, path: str) -> Object:
    """One page of a list, newest first as Stripe has it."""
    limit = _limit(params)
    ids = [row["id"] for row in rows]
    start, end = 0, len(rows)
    if params.get("starting_after"):
        if params["starting_after"] not in ids:
            raise missing("object", params["starting_after"])
        start = ids.index(params["starting_after"]) + 1
    if params.get("ending_before") in ids:
        end = ids.index(params["ending_before"])
        start = max(0, end - limit)
    return {
        "object": "list",
        "data": rows[start : min(end, start + limit)],
        "has_more": start + limit < end,
        "url": path,
    }


def page_v2(rows: list[Object], params: Object, path: str) -> Object:
    """One page of a v2 list; the page token is the place where it starts."""
    limit, start = _limit(params), whole(params, "page") if params.get("page") else 0

    def at(place: int) -> str:
        return f"{path}?limit={limit}&page={place}"

    return {
        "data": rows[start : start + limit],
        "next_page_url": at(start + limit) if start + limit < len(rows) else None,
        "previous_page_url": at(max(0, start - limit)) if start else None,
    }
