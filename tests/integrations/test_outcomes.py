"""The outcome table of docs/outcomes.md: a test a row, with its name, for `async def` and `def` handlers."""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from fastapi.testclient import TestClient

from tallystick.app import Tally
from tallystick.errors import DeclarationError, LedgerError
from tallystick.integrations.fastapi import install

Call = Callable[..., Any]
BILLED = Depends(lambda: "ada")


@pytest.fixture
def app(tally: Tally) -> FastAPI:
    app = FastAPI()
    install(app, tally)
    return app


@pytest.fixture(params=["async", "sync"])
def call(request: pytest.FixtureRequest, tally: Tally, app: FastAPI) -> Call:
    """Meter a plain function, as a coroutine function and as it is, and call it over HTTP."""

    def put(
        function: Any,
        meter: str = "tokens",
        *,
        customer: Any = BILLED,
        query: str = "",
        headers: Any = None,
        **metered: Any,
    ) -> Any:
        if request.param == "async":
            function = asynchronous(function)
        app.get("/x", response_model=metered.pop("response_model", None))(
            tally.metered(meter, customer=customer, **metered)(function)
        )
        return client.get("/x" + query, headers=headers, follow_redirects=False)

    client = TestClient(app, raise_server_exceptions=False)
    return put


def asynchronous(function: Any) -> Any:
    async def handler(**arguments: Any) -> Any:
        return function(**arguments)

    handler.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return handler


def rows_of_the_table() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text()
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert tests - {"every_row_has_its_test_and_every_test_its_row"} == set(rows_of_the_table())


# The handler returned


def test_returned(call: Call, counted: Any, resolutions: Any) -> None:
    assert call(lambda: {"used": 7}, quantity=lambda result: result["used"]).json() == {"used": 7}
    assert counted("ada") == [("tokens", 7)]
    assert resolutions() == [("settled", "")]


def test_mapping_returned(call: Call, counted: Any) -> None:
    call(lambda: 7, quantity=lambda result: {"tokens": result, "unheld": 1})
    assert sorted(counted("ada")) == [("tokens", 7), ("unheld", 1)]


def test_count_returned(call: Call, counted: Any, resolutions: Any) -> None:
    assert call(lambda: 7, "calls").status_code == 200
    assert counted("ada") == [("calls", 1)]
    assert resolutions() == [("settled", "")]


def test_zero_returned(call: Call, counted: Any, resolutions: Any) -> None:
    call(lambda: 0, quantity=lambda result: result)
    assert counted("ada") == [("tokens", 0)]
    assert resolutions() == [("settled", "")]


def test_empty_mapping(call: Call, counted: Any, resolutions: Any) -> None:
    call(lambda: 0, quantity=lambda result: {})
    assert counted("ada") == []
    assert resolutions() == [("voided", "nothing was counted")]


def test_error_returned(call: Call, counted: Any, resolutions: Any) -> None:
    assert call(lambda: JSONResponse({}, 402), quantity=lambda result: 7).status_code == 402
    assert counted("ada") == []
    assert resolutions() == [("voided", "the response does not count")]


def overloaded(response: Response) -> int:
    response.status_code = 503
    return 7


def test_error_injected(call: Call, counted: Any, resolutions: Any) -> None:
    assert call(overloaded, quantity=lambda result: result).status_code == 503
    assert counted("ada") == []
    assert resolutions() == [("voided", "the response does not count")]


def test_redirect_returned(call: Call, counted: Any) -> None:
    assert call(lambda: RedirectResponse("/elsewhere"), "calls").status_code == 307
    assert counted("ada") == [("calls", 1)]


def test_when_says_yes(call: Call, counted: Any) -> None:
    assert call(lambda: JSONResponse({}, 422), "calls", when=lambda result: True).status_code == 422
    assert counted("ada") == [("calls", 1)]


def test_when_says_no(call: Call, counted: Any, resolutions: Any) -> None:
    assert (
        call(lambda: {"cached": True}, "calls", when=lambda result: not result["cached"]).status_code == 200
    )
    assert counted("ada") == []
    assert resolutions() == [("voided", "the response does not count")]


def test_response_model_fails(call: Call, counted: Any, resolutions: Any) -> None:
    result = call(lambda: "not a number", quantity=lambda result: 7, response_model=int)
    assert result.status_code == 500
    assert counted("ada") == [("tokens", 7)]
    assert resolutions() == [("settled", "")]


def test_background_task(call: Call, counted: Any) -> None:
    ran = []

    def handler(tasks: BackgroundTasks) -> int:
        tasks.add_task(ran.append, 1)
        return 7

    assert call(handler, quantity=lambda result: result).status_code == 200
    assert ran == [1]
    assert counted("ada") == [("tokens", 7)]


def test_idempotency_key_of_the_client(call: Call, counted: Any) -> None:
    answers = [call(lambda: 7, "calls", headers={"idempotency-key": "same"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert counted("ada") == [("calls", 1), ("calls", 1)]


def test_stream_counted(call: Call, counted: Any) -> None:
    assert call(lambda: StreamingResponse(iter(["a", "b"])), "calls").text == "ab"
    assert counted("ada") == [("calls", 1)]


# The handler raised


def fails(error: Exception) -> Any:
    def handler() -> None:
        raise error

    return handler


@pytest.mark.parametrize("status", [303, 404, 500])
def test_http_exception(call: Call, counted: Any, resolutions: Any, status: int) -> None:
    assert call(fails(HTTPException(status)), "calls").status_code == status
    assert counted("ada") == []
    assert resolutions() == [("voided", "the action failed before anything was counted")]


def test_exception(call: Call, counted: Any, resolutions: Any) -> None:
    assert call(fails(RuntimeError("away")), quantity=lambda result: 7).status_code == 500
    assert counted("ada") == []
    assert resolutions() == [("voided", "the action failed before anything was counted")]


def in_the_body(tally: Tally, app: FastAPI, meter: str, added: int | None) -> int:
    @app.get("/y")
    @tally.records(meter)
    async def handler() -> None:
        async with tally.action(meter, customer="ada") as action:
            if added is not None:
                action.add(added)
            raise RuntimeError("away")

    return TestClient(app, raise_server_exceptions=False).get("/y").status_code


def test_exception_after_add(tally: Tally, app: FastAPI, counted: Any, resolutions: Any) -> None:
    assert in_the_body(tally, app, "tokens", 7) == 500
    assert counted("ada") == [("tokens", 7)]
    assert resolutions() == [("settled", "")]


def test_count_exception(tally: Tally, app: FastAPI, counted: Any, resolutions: Any) -> None:
    assert in_the_body(tally, app, "calls", None) == 500
    assert counted("ada") == []
    assert resolutions() == [("voided", "the action failed before anything was counted")]


# The handler never ran


def never() -> None:
    pytest.fail("the handler must not run")


def refuse() -> None:
    raise HTTPException(401)


def holds(tally: Tally) -> int:
    tally.ledger.sequencer.run()
    return len(tally.ledger.open_holds())


def test_not_authenticated(call: Call, tally: Tally) -> None:
    assert call(never, "calls", customer=Depends(refuse)).status_code == 401
    assert holds(tally) == 0


def never_with(n: int) -> None:
    pytest.fail("the handler must not run")


def test_invalid_request(call: Call, tally: Tally) -> None:
    assert call(never_with, "calls", query="?n=x").status_code == 422
    assert holds(tally) == 0


def test_no_customer(call: Call, tally: Tally) -> None:
    assert call(never, "calls", customer=Depends(lambda: None)).status_code == 500
    assert holds(tally) == 0


def test_ledger_away(call: Call, tally: Tally) -> None:
    def write(**_: Any) -> Any:
        raise LedgerError("the disk is full")

    tally.ledger.store.write = write  # type: ignore[method-assign]
    assert call(never, "calls").status_code == 500
    assert not tally.findings


# The quantity is not known


def empty() -> dict[str, int]:
    return {}


def test_quantity_invalid(call: Call, tally: Tally, counted: Any, resolutions: Any) -> None:
    assert call(lambda: 1.5, quantity=lambda result: result).status_code == 500
    assert counted("ada") == []
    assert resolutions() == []
    assert holds(tally) == 1
    (finding,) = tally.findings
    assert finding.code == "unmeasured_action"
    assert "1.5 is a float" in finding.message


@pytest.mark.parametrize("what", ["quantity", "when"])
def test_quantity_fails(call: Call, tally: Tally, counted: Any, what: str) -> None:
    functions = {"quantity": lambda result: 1, what: lambda result: result["usage"]}
    assert call(empty, **functions).status_code == 500
    assert counted("ada") == []
    assert holds(tally) == 1
    (finding,) = tally.findings
    assert finding.code == "unmeasured_action"
    assert "KeyError: 'usage'" in finding.message


def test_attributes_fail(call: Call, tally: Tally, counted: Any) -> None:
    result = call(empty, "calls", attributes=lambda result: {"size": result["size"]})
    assert result.status_code == 200
    assert counted("ada") == [("calls", 1)]
    assert [finding.code for finding in tally.findings] == ["attributes_refused"]


def test_usage_unwritten(call: Call, tally: Tally, counted: Any) -> None:
    store = tally.ledger.store
    write = store.write

    def away(**_: Any) -> Any:
        raise LedgerError("the disk is full")

    def handler() -> int:
        store.write = away  # type: ignore[method-assign]
        return 7

    assert call(handler, quantity=lambda result: result).status_code == 500
    store.write = write  # type: ignore[method-assign]
    assert counted("ada") == []
    assert holds(tally) == 1
    (finding,) = tally.findings
    assert finding.code == "unwritten_usage"
    assert "7 steps of 'tokens' for customer 'ada'" in finding.message


def test_generator(tally: Tally) -> None:
    def handler() -> Iterator[int]:
        yield 1

    with pytest.raises(DeclarationError, match="is a generator"):
        tally.metered("calls", customer=BILLED)(handler)


def test_stream_quantity(call: Call, counted: Any, resolutions: Any) -> None:
    result = call(lambda: StreamingResponse(iter(["a"])), quantity=lambda result: 7)
    assert result.status_code == 500
    assert counted("ada") == []
    assert resolutions() == [("voided", "a streaming response, refused")]


# Records in the body


class Books:
    """The application's own rows, in the ledger's database."""

    def __init__(self, tally: Tally, ends: str) -> None:
        self._path = tally.ledger.store.url.removeprefix("sqlite:///")
        self._ends = ends
        with sqlite3.connect(self._path) as connection:
            connection.execute("create table if not exists books (title text)")

    def __call__(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("pragma synchronous=full")
        connection.execute("begin immediate")
        yield connection
        if connection.in_transaction:
            connection.execute(self._ends)
        connection.close()

    def titles(self) -> list[str]:
        with sqlite3.connect(self._path) as connection:
            return [row[0] for row in connection.execute("select title from books")]


def write_book(tally: Tally, app: FastAPI, books: Books, ends: str = "") -> Any:
    @app.post("/books")
    @tally.records("calls")
    def handler(db: Any = Depends(books)) -> dict[str, bool]:
        db.execute("insert into books values ('Dune')")
        tally.record("calls", customer="ada", key="book:1", on=db)
        if ends:
            db.execute(ends)
        return {"ok": True}

    return TestClient(app, raise_server_exceptions=False).post("/books")


def test_committed(tally: Tally, app: FastAPI, counted: Any) -> None:
    books = Books(tally, "commit")
    assert write_book(tally, app, books, "commit").json() == {"ok": True}
    assert books.titles() == ["Dune"]
    assert counted("ada") == [("calls", 1)]


def test_rolled_back(tally: Tally, app: FastAPI, counted: Any) -> None:
    books = Books(tally, "commit")
    assert write_book(tally, app, books, "rollback").json() == {"ok": True}
    assert books.titles() == []
    assert counted("ada") == []


def test_still_open(tally: Tally, app: FastAPI, counted: Any) -> None:
    books = Books(tally, "commit")
    answer = write_book(tally, app, books)
    assert answer.status_code == 500
    assert "a transaction (sqlite3.Connection) that is still open when the response starts" in answer.text
    assert 'scope=\\"function\\"' in answer.text
    assert counted("ada") == [("calls", 1)]


def test_never_awaited(tally: Tally, app: FastAPI, counted: Any) -> None:
    kept = []

    @app.get("/z")
    @tally.records("calls")
    async def handler() -> None:
        kept.append(tally.aio.record("calls", customer="ada"))

    answer = TestClient(app).get("/z")
    assert answer.status_code == 500
    assert "never awaited" in answer.text
    assert counted("ada") == []
    with pytest.warns(match="was never awaited"):
        kept.clear()


def test_recorded_nothing(tally: Tally, app: FastAPI) -> None:
    @app.get("/z/{item}")
    @tally.records("calls")
    async def handler(item: str) -> None: ...

    assert TestClient(app).get("/z/1").status_code == 200
    (finding,) = tally.findings
    assert finding.code == "unrecorded_success"
    assert finding.subject == "GET /z/1"
    assert "declared to record calls" in finding.message


def test_repeated_key(tally: Tally, app: FastAPI, counted: Any) -> None:
    @app.get("/z/{n}")
    @tally.records("tokens")
    async def handler(n: int) -> bool:
        posted = await tally.aio.record("tokens", n, customer="ada", key="same")
        return bool(posted.conflicting)

    client = TestClient(app)
    assert [client.get(path).json() for path in ("/z/1", "/z/1", "/z/2")] == [False, False, True]
    assert counted("ada") == [("tokens", 1)]
    assert [finding.code for finding in tally.findings] == ["key_conflict"]
