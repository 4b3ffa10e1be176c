"""The control plane: clock, faults, outage, bulk provisioning, totals. JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tallystick.sandbox import billing, catalogue, meters
from tallystick.sandbox.api import Reply, encode
from tallystick.sandbox.faults import Dice, Faults
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.world import Object, World

if TYPE_CHECKING:
    from tallystick.sandbox.server import Connection, Server


class Control:
    """Answers requests to the control port; `mode` in the body picks the partition (default test)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._commands: dict[str, Callable[[World, Object], Any]] = {
            "ready": lambda world, body: {"ready": True},
            "clock": self._clock,
            "faults": self._faults,
            "outage": self._outage,
            "provision": self._provision,
            "settings": self._settings,
            "totals": lambda world, body: meters.totals(world),
            "events": self._events,
            "invoices": self._invoices,
            "statistics": self._statistics,
            **{
                name: lambda world, body, each=each: each.command(body)  # type: ignore[misc]
                for name, each in server.neighbours.items()
            },
        }

    def respond(
        self, connection: Connection, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> None:
        """Answer one command."""
        name = target.partition("?")[0].strip("/")
        try:
            params = msgspec.json.decode(body) if body else {}
            command = self._commands.get(name)
            if command is None:
                raise Refusal(f"no command {name!r}; there are {', '.join(self._commands)}", status=404)
            world = self._server.api.worlds[params.pop("mode", "test")]
            connection.send(Reply(200, encode(command(world, params))))
        except Refusal as refusal:
            connection.send(Reply(refusal.status, encode(refusal.body)))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            connection.send(Reply(400, encode(Refusal(f"{name}: {type(error).__name__}: {error}").body)))

    def _clock(self, world: World, body: Object) -> Object:
        if "freeze" in body:
            world.clock.freeze(body["freeze"])
        world.clock.advance(int(body.get("advance_seconds", 0)))
        for each in self._server.api.worlds.values():
            billing.settle(each)
        return {"now": world.clock.now()}

    def _faults(self, world: World, body: Object) -> Any:
        self._server.dice = Dice(msgspec.convert(body, Faults))
        return msgspec.to_builtins(self._server.dice.faults)

    def _outage(self, world: World, body: Object) -> Object:
        if body.get("end"):
            self._server.end_outage()
        else:
            self._server.begin_outage(body.get("seconds"))
        return {"outage": not body.get("end")}

    def _settings(self, world: World, body: Object) -> Object:
        world.draft_seconds = int(body.get("draft_seconds", world.draft_seconds))
        world.summary_lag_seconds = int(body.get("summary_lag_seconds", world.summary_lag_seconds))
        return {"draft_seconds": world.draft_seconds, "summary_lag_seconds": world.summary_lag_seconds}

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
                billing.subscribe(
                    world, {"customer": customer, "items": items, **body.get("subscription", {})}
                )
            customers[name] = customer
        return {"customers": customers, "prices": prices}

    def _statistics(self, world: World, body: Object) -> Object:
        return {"requests": self._server.requests, "meter_events": self._server.api.meter_events}

    def _events(self, world: World, body: Object) -> list[Object]:
        return [
            msgspec.to_builtins(event, builtin_types=()) | {"value": str(event.value)}
            for events in world.events.values()
            for event in events
        ]

    def _invoices(self, world: World, body: Object) -> list[Object]:
        billing.settle(world)
        found = []
        for invoice in world.all("invoice"):
            if invoice["status"] == "draft":
                billing.refresh(world, invoice)
            found.append({name: value for name, value in invoice.items() if not name.startswith("_")})
        return found
