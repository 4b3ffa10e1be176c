"""The kit where the application has a Tally of its own, and where each test rolls back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.integrations.fastapi import install
from tallystick.ledger.ledger import Ledger
from tallystick.meters import OnLedgerFailure
from tallystick.reconciliation.alarms import AlarmSettings
from tallystick.storage import open_store
from tallystick.testing.substitute import temporary


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Tally]:
    """What an application makes when it is imported."""
    store = open_store(f"sqlite:///{tmp_path / 'real.db'}")
    with Tally(store, Catalogue([Meter("calls", formula=Formula.COUNT)]), tenant="acme") as made:
        yield made


@pytest.fixture
def tally_of_app(own: Tally) -> Tally:
    return own


@pytest.fixture
def app(own: Tally) -> FastAPI:
    app = FastAPI()
    install(app, own)

    @app.get("/chat")
    @own.metered("calls", customer=Depends(lambda: "ada"))
    async def chat() -> None: ...

    return app


def test_the_applications_own_tally_writes_elsewhere(
    app: FastAPI, tally: Tally, own: Tally, tmp_path: Path
) -> None:
    """What was declared on it stays in force; its ledger stays as it was."""
    with TestClient(app) as client:
        assert client.get("/chat").status_code == 200
        assert len(tally.entries(customer="ada")) == 1
    assert own is tally
    assert tally.ledger.where.tenant == "acme"
    with sqlite3.connect(tmp_path / "real.db") as connection:
        assert connection.execute("select count(*) from tallystick_entries").fetchone() == (0,)


def test_no_part_of_the_real_one_is_reached(tmp_path: Path) -> None:
    """Not its ledger, not its spool, not its outbox of alarms; afterwards all is as before."""
    meters = Catalogue([Meter("calls", on_ledger_failure=OnLedgerFailure.ALLOW_AND_SPOOL)])
    real = open_store(f"sqlite:///{tmp_path / 'real.db'}")
    with Tally(real, meters, alarms=AlarmSettings("http://localhost/", ("c2VjcmV0",))) as own:
        before, ledger = dict(vars(own)), own.ledger
        with temporary(own, f"sqlite:///{tmp_path / 'test.db'}"):
            assert _reaching(own, ledger) == []
            assert own._recorder.spool is own.spool is not before["spool"]
            assert own.alarms is None
            own.find("key_conflict", "ada", "of the test")
        assert vars(own) == before
        assert own._recorder.spool is before["spool"]


def _reaching(tally: Tally, ledger: Ledger) -> list[str]:
    parts = {**vars(tally), "recorder": tally._recorder}
    return [
        n for n, part in parts.items() if part is ledger or ledger in getattr(part, "__dict__", {}).values()
    ]


@pytest.fixture
def connection(tally: Tally, tally_store_url: str) -> Iterator[sa.Connection]:
    """One transaction a test, rolled back at its end."""
    engine = sa.create_engine(tally_store_url, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _(raw: Any, _: Any) -> None:
        raw.isolation_level = None
        raw.execute("pragma synchronous=full")

    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()
    engine.dispose()


def put(app: FastAPI, tally: Tally, transaction: Any) -> int:
    @app.post("/books")
    @tally.records("calls")
    def handler(db: Any = Depends(transaction)) -> None:
        tally.record("calls", customer="ada", on=db)
        if isinstance(db, Session):
            db.commit()

    return TestClient(app, raise_server_exceptions=False).post("/books").status_code


def test_a_session_that_commits_into_a_savepoint(
    app: FastAPI, tally: Tally, connection: sa.Connection
) -> None:
    """SQLAlchemy's recipe: the application commits, the test's transaction stays open."""

    def session() -> Iterator[Session]:
        with Session(connection, join_transaction_mode="create_savepoint") as made:
            yield made

    assert put(app, tally, session) == 200
    assert len(tally.entries(customer="ada", on=connection)) == 1
    assert tally.entries(customer="ada") == []


def test_the_tests_own_transaction_passes_only_by_name(
    request: pytest.FixtureRequest, app: FastAPI, tally: Tally, connection: sa.Connection
) -> None:
    """Handing the test's connection to the application needs `tally_rolls_back`."""
    assert put(app, tally, lambda: connection) == 500
    request.getfixturevalue("tally_rolls_back")
    assert TestClient(app).post("/books").status_code == 200
    assert len(tally.entries(customer="ada", on=connection)) == 2
