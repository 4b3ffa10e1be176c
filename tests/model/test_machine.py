"""The ledger against its model, step by step, on both databases."""

from __future__ import annotations

import uuid
from pathlib import Path

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import LedgerMachine

CALM = settings(
    deadline=None, derandomize=True, print_blob=True, suppress_health_check=list(HealthCheck), database=None
)


def test_on_sqlite(tmp_path: Path) -> None:
    """80 runs of up to 40 steps, the same ones each time."""

    class OnSqlite(LedgerMachine):
        new_url = staticmethod(lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex}.db")

    run_state_machine_as_test(OnSqlite, settings=settings(CALM, max_examples=80, stateful_step_count=40))


def test_on_postgres(postgres_server: str) -> None:
    """A shorter run on PostgreSQL, each on a database of its own."""
    made: list[str] = []

    def new_url() -> str:
        name = f"model_{uuid.uuid4().hex}"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            for old in made:
                connection.execute(f"drop database {old} with (force)".encode())
            made[:] = [name]
            connection.execute(f"create database {name}".encode())
            info = connection.info
            return f"postgresql://{info.user}@/{name}?host={info.host}&port={info.port}"

    class OnPostgres(LedgerMachine):
        pass

    OnPostgres.new_url = staticmethod(new_url)  # type: ignore[assignment]
    run_state_machine_as_test(OnPostgres, settings=settings(CALM, max_examples=8, stateful_step_count=25))
