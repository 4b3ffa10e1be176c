"""What a handler may declare, and what is refused while the application is being written."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Body, Depends, Header, Query, Request, Security
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tallystick.actions.declaration import declared
from tallystick.app import Tally
from tallystick.errors import ActionError, DeclarationError, UnknownMeterError


class Org:
    id = "org_1"


class Prompt(BaseModel):
    org: str = "liar"


def current_org() -> Org:
    return Org()


CurrentOrg = Annotated[Org, Depends(current_org)]


def by_path(org_id: str) -> None: ...
def by_query(org_id: Annotated[str, Query()]) -> None: ...
def by_old_query(org_id: str = Query()) -> None: ...
def by_header(org_id: Annotated[str, Header()]) -> None: ...
def by_body(org_id: Annotated[str, Body()]) -> None: ...
def by_model(org_id: Prompt) -> None: ...
def by_default(org_id: str = "x") -> None: ...
def unannotated(org_id) -> None: ...  # type: ignore[no-untyped-def]


UNTRUSTED = [by_path, by_query, by_old_query, by_header, by_body, by_model, by_default, unannotated]


@pytest.mark.parametrize("handler", UNTRUSTED, ids=lambda handler: handler.__name__)
def test_a_customer_from_the_client_is_refused(tally: Tally, handler: Any) -> None:
    with pytest.raises(DeclarationError, match="customer from 'org_id', which the client fills"):
        tally.metered("calls", customer=lambda org_id: org_id)(handler)


@pytest.mark.parametrize("what", ["quantity", "key"])
def test_so_are_quantity_and_key(tally: Tally, what: str) -> None:
    getter = {"quantity": lambda result, org_id: 1, "key": lambda org_id: "k"}[what]
    with pytest.raises(DeclarationError, match=f"{what} from 'org_id'"):
        tally.metered("calls", customer=Depends(current_org), **{what: getter})(by_path)


def test_trusted_with_a_reason_is_listed(tally: Tally) -> None:
    tally.metered("calls", customer=lambda org_id: org_id, untrusted_ok="internal network only")(by_path)
    assert list(tally.untrusted()) == ["by_path: customer from 'org_id' (internal network only)"]


def test_a_model_called_request_is_still_the_client(tally: Tally) -> None:
    model = type("Request", (BaseModel,), {"__module__": "app"})

    def handler(request: Any) -> None: ...

    handler.__annotations__["request"] = model
    with pytest.raises(DeclarationError, match="'request', which the client fills"):
        tally.metered("calls", customer=lambda request: request.org)(handler)


def dependency(org: Org = Depends(current_org)) -> None: ...
def annotated(org: Annotated[Org, Depends(current_org)]) -> None: ...
def alias(org: CurrentOrg) -> None: ...
def security(org: Org = Security(current_org, scopes=["bill"])) -> None: ...
def request_(org: Request) -> None: ...
def tasks(org: BackgroundTasks) -> None: ...


@pytest.mark.parametrize("handler", [dependency, annotated, alias, security, request_, tasks])
def test_what_the_server_fills_is_trusted(tally: Tally, handler: Any) -> None:
    tally.metered("calls", customer=lambda org: org.id)(handler)


def test_the_hidden_dependency(tally: Tally) -> None:
    asked = Depends(current_org)

    @tally.metered("calls", customer=asked)
    def handler(prompt: Prompt, **rest: Any) -> Prompt:
        return prompt

    parameters = inspect.signature(handler).parameters
    assert list(parameters) == ["prompt", "tallystick_customer", "rest"]
    assert parameters["tallystick_customer"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["tallystick_customer"].default is asked
    assert parameters["prompt"].annotation is Prompt
    assert handler.__name__ == "handler"


def test_two_meters_on_one_handler(tally: Tally, counted: Any) -> None:
    @tally.metered("calls", customer=Depends(current_org))
    @tally.metered("tokens", customer=Depends(current_org), quantity=lambda result: result)
    def handler() -> int:
        return 7

    mark = declared(handler)
    assert mark is not None
    assert set(mark.meters) == {"calls", "tokens"}
    assert handler(tallystick_customer="ada", tallystick_customer_1="ada") == 7
    assert sorted(counted("ada")) == [("calls", 1), ("tokens", 7)]


def test_called_without_its_customer(tally: Tally) -> None:
    handler = tally.metered("calls", customer=Depends(current_org))(lambda: None)
    with pytest.raises(ActionError, match="without its customer"):
        handler()


def test_an_unknown_meter(tally: Tally) -> None:
    with pytest.raises(UnknownMeterError, match="no meter 'tokns'; declared are: calls, "):
        tally.metered("tokns", customer=Depends(current_org))(by_path)
    with pytest.raises(UnknownMeterError):
        tally.records("tokns")


def test_a_sum_needs_its_quantity(tally: Tally) -> None:
    with pytest.raises(DeclarationError, match="say where they come"):
        tally.metered("tokens", customer=Depends(current_org))(by_path)


def test_arguments_that_do_not_exist(tally: Tally) -> None:
    with pytest.raises(
        DeclarationError, match="customer= names the argument 'user', which the handler does not"
    ):
        tally.metered("calls", customer=lambda user: user)(by_path)
    with pytest.raises(DeclarationError, match="customer='ada' is not usable"):
        tally.metered("calls", customer="ada")(by_path)


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize("handler", [generator, async_generator])
def test_generators_are_refused(tally: Tally, handler: Any) -> None:
    with pytest.raises(DeclarationError, match=r"is a generator: .* action\.stream"):
        tally.metered("calls", customer=Depends(current_org))(handler)


def streaming() -> StreamingResponse:
    return StreamingResponse(iter(()))


def test_quantities_of_streams_are_refused(tally: Tally) -> None:
    with pytest.raises(DeclarationError, match=r"streaming response .* action\.stream"):
        tally.metered("tokens", customer=Depends(current_org), quantity=lambda result: 1)(streaming)
    tally.metered("calls", customer=Depends(current_org))(streaming)


def test_a_callable_object_and_a_partial(tally: Tally, counted: Any) -> None:
    class Handler:
        async def __call__(self, n: int) -> int:
            return n

    for handler in (Handler(), functools.partial(Handler(), n=2)):
        wrapped = tally.metered("calls", customer=Depends(current_org))(handler)
        assert asyncio.run(wrapped(n=2, tallystick_customer="ada")) == 2
    assert counted("ada") == [("calls", 1), ("calls", 1)]


def test_positional_arguments_and_defaults(tally: Tally, counted: Any) -> None:
    @tally.metered(
        "tokens", customer=lambda org: org.id, quantity=lambda result, org, n: n, untrusted_ok="a test"
    )
    def handler(org: CurrentOrg, n: int = 3) -> None: ...

    handler(Org())
    handler(Org(), 4)
    handler(org=Org(), n=5)
    assert counted("org_1") == [("tokens", 3), ("tokens", 4), ("tokens", 5)]


def test_records_only_declares(tally: Tally) -> None:
    handler = tally.records("calls", "tokens")(by_path)
    assert handler is by_path
    mark = declared(handler)
    assert mark is not None
    assert mark.meters == ("calls", "tokens")
