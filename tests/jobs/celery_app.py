"""A Celery application as docs/jobs.md says: acknowledged late, and again when its process is lost."""

from __future__ import annotations

from celery import Celery, Task

from tests.jobs.work import QUEUE, render

app = Celery(broker=QUEUE)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task(name="render", bind=True)
def render_task(self: Task, number: int) -> None:
    render(number)
