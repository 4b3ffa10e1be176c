"""A Procrastinate application; the PostgreSQL of the tests is its queue."""

from __future__ import annotations

import procrastinate

from tests.jobs.work import QUEUE, render

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=QUEUE))


@app.task(name="render")
def render_task(number: int) -> None:
    render(number)
