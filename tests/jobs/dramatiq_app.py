"""A Dramatiq broker and actor; messages of dead workers come back soon."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.jobs.work import QUEUE, render

broker = RedisBroker(url=QUEUE, heartbeat_timeout=500, maintenance_chance=1_000_000)
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="render")
def render_actor(number: int) -> None:
    render(number)
