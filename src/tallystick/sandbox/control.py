"""The control plane: clock, faults, switches, outage, webhooks, bulk provisioning, totals. JSON in, JSON out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tallystick.sandbox import hell
from tallystick.sandbox.api import Reply, Request, encode
from tallystick.sandbox.billing import catalogue, invoices, subscriptions
from tallystick.sandbox.faults import Dice, Faults, Rule
from tallystick.sandbox.notices import destinations, events
from tallystick.sandbox.notices.webhooks import described
from tallystick.sandbox.passage import advance_all
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.settlement import settle
from tallystick.sandbox.usage import meters, summaries
from tallystick.sandbox.world import Object, World

if TYPE_CHECKING:
    from tallystick.sandbox.connection import Connection
    from tallystick.sandbox.server import Server


class Control:
    """Answers requests to the control port; `mode` in the body picks the partition (default test)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: dict[str, Callable[[World, Object], Any]] = {
            "ready": lambda world, body: {"ready": True},
            "clock": self._clock,
            "faults": self._faults,
            "fault": self._fault,
            "hell": self._hell,
            "outage": self._outage,
            "provision": self._provision,
            "settings": self._settings,
            "switches": self._settings,
            "webhooks": self._webhooks,
            "drain": self._drain,
            "roll_secret": self._roll_secret,
            "totals": lambda world, body: summaries.totals(world),
            "events": self._events,
            "invoices": self._invoices,
            "requests": self._requests,
            "statistics": self._statistics,
            **{
                name: lambda world, body, each=each: each.command(body)  # type: ignore[misc]
                for name, each in server.neighbours.items()
            },
        }

    def respond(self, connection: Connection, request: Request) -> None:
        """Answer one command, at once or when it is done."""
        name = request.path.strip("/")
        task = asyncio.get_running_loop().create_task(self._answer(connection, name, request.body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection: Connection, name: str, body: bytes) -> None:
        try:
            params = msgspec.json.decode(body) if body else {}
            command = self._commands.get(name)
            if command is None:
                raise Refusal(f"no command {name!r}; there are {', '.join(self._commands)}", status=404)
            answer = command(self._world(params), params)
            if inspect.isawaitable(answer):
                answer = await answer
            connection.send(Reply(200, encode(answer)))
        except Refusal as refusal:
            connection.send(Reply(refusal.status, encode(refusal.body)))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            connection.send(Reply(400, encode(Refusal(f"{name}: {type(error).__name__}: {error}").body)))

    def _world(self, params: Any) -> World:
        if not isinstance(params, dict):
            raise Refusal("the body must be a JSON object")
        mode = params.pop("mode", "test")
        if mode not in self._server.api.worlds:
            raise Refusal(f"no mode {mode!r}; there are test and live")
        return self._server.api.worlds[mode]

    async def _clock(self, world: World, body: Object) -> Object:
        """Move the clock; webhooks that fall due on the way are delivered before it goes on."""
        if "freeze" in body:
            world.clock.freeze(body["freeze"])
            for each in self._server.api.worlds.values():
                each.touch()
        await advance_all(
            self._server.api.worlds.values(), self._server.webhooks, int(body.get("advance_seconds", 0))
        )
        return {"now": world.clock.now()}

    def _faults(self, world: World, body: Object) -> Any:
        rules = tuple(
            Rule.parse(rule) if isinstance(rule, str) else msgspec.convert(rule, Rule)
            for rule in body.pop("rules", ())
        )
        faults = msgspec.structs.replace(msgspec.convert(body, Faults), rules=rules)
        self._server.dice = Dice(faults)
        return msgspec.to_builtins(faults)

    def _fault(self, world: World, body: Object) -> Any:
        """One more rule beside what is in force."""
        self._server.dice.add(Rule.parse(body["rule"]) if "rule" in body else msgspec.convert(body, Rule))
        return msgspec.to_builtins(self._server.dice.faults)

    def _hell(self, world: World, body: Object) -> Any:
        faults = hell.faults(int(body.get("seed", 0)), body.get("without", ()))
        self._server.dice = Dice(faults)
        world.switches = hell.switches(world.switches)
        return msgspec.to_builtins(faults)

    def _outage(self, world: World, body: Object) -> Object:
        if body.get("end"):
            self._server.end_outage()
        else:
            self._server.begin_outage(body.get("seconds"))
        return {"outage": not body.get("end")}

    def _settings(self, world: World, body: Object) -> Any:
        world.switches = world.switches.changed(**body)
        world.touch()
        return msgspec.to_builtins(world.switches)

    async def _drain(self, world: World, body: Object) -> list[Object]:
        settle(world)
        await self._server.webhooks.drain()
        return self._webhooks(world, {})

    def _webhooks(self, world: World, body: Object) -> list[Object]:
        return [described(d, events.find(world, d.event)) for d in world.deliveries.values()]

    def _roll_secret(self, world: World, body: Object) -> Object:
        return {"secret": destinations.roll_secret(world, body["id"], int(body.get("expire_seconds", 86400)))}

    def _provision(self, world: World, body: Object) -> Object:
        """Meters with a per-unit price each, and customers subscribed to all of them."""
        prices = []
        for name, meter in body.get("meters", {}).items():
            made = meters.create(
                world,
                {
                    "display_name": name,
                    "event_name": name,
                    "default_aggregation": {"formula": meter["formula"]},
                },
            )
            product = catalogue.create_product(world, {"name": name})
            price: Object = {
                "currency": meter.get("currency", "usd"),
                "product": product["id"],
                "unit_amount_decimal": meter["unit_amount_decimal"],
                "recurring": {"usage_type": "metered", "meter": made["id"], "interval": "month"},
            }
            prices.append(catalogue.create_price(world, price)["id"])
        customers = {}
        for name in body.get("customers", ()):
            customer = catalogue.create_customer(world, {"name": name})["id"]
            items = [{"price": price} for price in prices]
            if items:
                subscriptions.subscribe(
                    world, {"customer": customer, "items": items, **body.get("subscription", {})}
                )
            customers[name] = customer
        return {"customers": customers, "prices": prices}

    def _requests(self, world: World, body: Object) -> list[Object]:
        return [
            {"method": request.method, "path": request.path, "key": request.key, "fate": fate.value}
            for request, fate in self._server.journal
        ]

    def _statistics(self, world: World, body: Object) -> Object:
        return {
            "requests": self._server.requests,
            "meter_events": self._server.api.meter_events,
            "faults": self._server.dice.struck,
        }

    def _events(self, world: World, body: Object) -> list[Object]:
        return [
            msgspec.to_builtins(event, builtin_types=()) | {"value": str(event.value)}
            for kept in world.events.values()
            for event in kept
        ]

    def _invoices(self, world: World, body: Object) -> list[Object]:
        settle(world)
        found = []
        for invoice in world.all("invoice"):
            if invoice["status"] == "draft":
                invoices.refresh(world, invoice)
            found.append({name: value for name, value in invoice.items() if not name.startswith("_")})
        return found
