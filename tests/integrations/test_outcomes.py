"""The outcome table of docs/outcomes.md, a test a row."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel

from tallystick import Tally
from tallystick.errors import DeclarationError
from tallystick.integrations.fastapi import install


class Answer(BaseModel):
    """A result with its quantity."""

    tokens: int


def org() -> str:
    return "org"


def call(tally: Tally, handler: Callable[..., Any], **metering: Any) -> int:
    """Put a handler behind a metered route, call it once; the status."""
    app = FastAPI()
    install(app, tally)
    options = {"customer": Depends(org), "quantity": lambda answer: answer.tokens, **metering}
    app.post("/work")(tally.metered(options.pop("meter", "tokens"), **options)(handler))
    with TestClient(app, raise_server_exceptions=False) as client:
        status: int = client.post("/work").status_code
    return status


def recorded(tally: Tally) -> list[int]:
    tally = Tally(tally.ledger.store, tally.meters)
    return [e.quantity for e in tally.entries(customer="org")]


def holds(tally: Tally) -> int:
    return len(tally.ledger.open_holds())


@pytest.mark.parametrize("meter", ["tokens", "unheld"])
def test_success_is_recorded(tally: Tally, meter: str) -> None:
    """Returned normally: recorded, held or not, sync or async."""

    async def handler() -> Answer:
        return Answer(tokens=5)

    def plain() -> Answer:
        return Answer(tokens=7)

    assert call(tally, handler, meter=meter) == 200
    assert call(tally, plain, meter=meter) == 200
    assert recorded(tally) == [5, 7]
    assert holds(tally) == 0


def test_a_returned_error_does_not_count(tally: Tally) -> None:
    """A Response with status >= 400: voided."""

    def handler() -> Any:
        return JSONResponse({}, 402)

    assert call(tally, handler) == 402
    assert recorded(tally) == []
    assert holds(tally) == 0


def test_an_injected_error_status_does_not_count(tally: Tally) -> None:
    """`response.status_code = 400` on the injected Response: voided."""

    def handler(response: Response) -> Answer:
        response.status_code = 409
        return Answer(tokens=5)

    assert call(tally, handler) == 409
    assert recorded(tally) == []


def test_when_decides_instead_of_the_status(tally: Tally) -> None:
    """`when=` overrules the status, both ways."""

    def error() -> Any:
        return JSONResponse({}, 402)

    def empty() -> Answer:
        return Answer(tokens=0)

    assert call(tally, error, when=lambda answer: True, quantity=3) == 402
    assert call(tally, empty, when=lambda answer: answer.tokens > 0) == 200
    assert recorded(tally) == [3]


def test_a_response_model_failure_counts(tally: Tally) -> None:
    """The work was done; that its answer could not be written does not make it free."""

    def handler() -> Answer:
        return {"wrong": 1}  # type: ignore[return-value]

    assert call(tally, handler, quantity=4) == 500
    assert recorded(tally) == [4]


@pytest.mark.parametrize("error", [HTTPException(404), ValueError("x")])
def test_an_exception_with_nothing_added_records_nothing(tally: Tally, error: Exception) -> None:
    """Raised before anything was counted: voided."""

    async def handler() -> Answer:
        raise error

    assert call(tally, handler) in (404, 500)
    assert recorded(tally) == []
    assert holds(tally) == 0


def test_an_exception_records_what_was_added_before(tally: Tally) -> None:
    """Work that was done before the exception is billed."""
    app = FastAPI()
    install(app, tally)

    @app.post("/work")
    @tally.records("tokens")
    async def handler() -> None:
        async with tally.action("tokens", customer="org") as action:
            action.add(3)
            raise HTTPException(502)

    with TestClient(app) as client:
        assert client.post("/work").status_code == 502
    assert recorded(tally) == [3]
    assert holds(tally) == 0


def test_a_mapping_counts_several_meters(tally: Tally) -> None:
    """`quantity=` may return meters with quantities; they are recorded in one piece."""

    def handler() -> Answer:
        return Answer(tokens=5)

    assert call(tally, handler, quantity=lambda a: {"tokens": a.tokens, "calls": 1}) == 200
    assert sorted(recorded(tally)) == [1, 5]


def test_a_count_meter_counts_one(tally: Tally) -> None:
    """No `quantity=` on a count meter: one per success."""

    def handler() -> Answer:
        return Answer(tokens=5)

    assert call(tally, handler, meter="calls", quantity=None) == 200
    assert recorded(tally) == [1]


def test_nonsense_after_success_keeps_the_hold_open(tally: Tally) -> None:
    """A quantity that is not exact: the answer is a 500 and the hold stays open, so that nobody forgets."""

    def handler() -> Answer:
        return Answer(tokens=5)

    assert call(tally, handler, quantity=lambda answer: answer.tokens / 2) == 500
    assert recorded(tally) == []
    assert holds(tally) == 1


def test_streams_are_pointed_to_stream(tally: Tally) -> None:
    """Generators are refused when declared, streaming responses when returned."""

    def generator() -> Any:
        yield 1

    def handler() -> StreamingResponse:
        return StreamingResponse(iter([b"x"]))

    with pytest.raises(DeclarationError, match=r"action\.stream"):
        tally.metered("tokens", customer=Depends(org), quantity=1)(generator)
    assert call(tally, handler, quantity=lambda answer: 1) == 500
    assert recorded(tally) == []


def test_the_clients_idempotency_key_is_nobodys_key(tally: Tally) -> None:
    """Two requests under one Idempotency-Key header are two actions: the client has no say."""
    app = FastAPI()
    install(app, tally)

    @app.post("/work")
    @tally.metered("tokens", customer=Depends(org), quantity=2)
    def handler() -> None: ...

    with TestClient(app) as client:
        for _ in range(2):
            client.post("/work", headers={"idempotency-key": "same"})
    assert recorded(tally) == [2, 2]
    assert Tally(tally.ledger.store, tally.meters).usage("org", "tokens")[0].quantity == Decimal(4)


def test_no_key_is_a_server_key(tally: Tally) -> None:
    """A key from the server makes a redelivery count once."""
    for _ in range(2):
        with tally.action("tokens", customer="org", key="render:7") as action:
            action.add(9)
    assert action.repeated
    assert recorded(tally) == [9]
