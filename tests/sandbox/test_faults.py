"""Faults by share, by script, by route, by customer; each kind as the official client meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tallystick.errors import TallystickError
from tallystick.sandbox import Sandbox
from tallystick.sandbox.faults import SHARES, Asked, Dice, Fate, Faults, Rule
from tallystick.sandbox.hell import faults as hell_faults
from tests.sandbox.conftest import START
from tests.sandbox.receiver import Receiver
from tests.sandbox.test_contract import Check, provision, send
from tests.sandbox.test_notices import REPORT

EVENTS = "/v1/billing/meter_events"


def counted(sandbox: Sandbox) -> int:
    return sum(row["events"] for row in sandbox.totals())


@pytest.mark.parametrize(
    ("fate", "error", "status", "done"),
    [
        ("lose_reply", stripe.APIConnectionError, None, 1),
        ("half_answer", stripe.APIConnectionError, None, 1),
        ("garbage", stripe.APIError, 200, 1),
        ("gateway_done", stripe.APIError, 504, 1),
        ("drop", stripe.APIConnectionError, None, 0),
        ("gateway", stripe.APIError, 502, 0),
        ("fail", stripe.APIError, 500, 0),
        ("fail_done", stripe.APIError, 500, 1),
        ("unavailable", stripe.APIError, 503, 0),
        ("rate_limit", stripe.RateLimitError, 429, 0),
        ("lock_timeout", stripe.RateLimitError, 429, 0),
        ("key_in_use", stripe.StripeError, 409, 0),
        ("unauthorized", stripe.AuthenticationError, 401, 0),
    ],
)
def test_what_the_client_sees_and_what_was_done(
    client: stripe.StripeClient, sandbox: Sandbox, fate: str, error: Any, status: int | None, done: int
) -> None:
    """One fault, once; the next request is answered."""
    _, customer, _ = provision(client)
    sandbox.fault(f"{fate} times=1 route={EVENTS}")
    with pytest.raises(error) as caught:
        send(client, customer.id, "1", identifier="first")
    assert caught.value.http_status == status
    assert counted(sandbox) == done
    send(client, customer.id, "1", identifier="second")
    assert counted(sandbox) == done + 1
    assert sandbox.tell("statistics")["faults"] == {fate: 1}


@pytest.mark.parametrize(
    "fate", ["fail", "fail_done", "unavailable", "rate_limit", "lock_timeout", "key_in_use", "unauthorized"]
)
def test_every_refusal_is_shaped_as_described(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check, fate: str
) -> None:
    """The types of v1 errors are a closed list."""
    sandbox.fault(f"{fate} times=1")
    with pytest.raises(stripe.StripeError) as caught:
        client.v1.customers.create({"name": "Acme"})
    assert isinstance(caught.value.json_body, dict)
    matches(caught.value.json_body["error"], "api_errors")


def test_a_500_is_replayed_under_its_key(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Whether it was done or not: the same answer for ever; a new key finds out."""
    _, customer, _ = provision(client)
    params: Any = {
        "event_name": "tokens",
        "identifier": "one",
        "payload": {"stripe_customer_id": customer.id, "value": "1"},
    }
    sandbox.faults(f"fail_done times=1 route={EVENTS}")
    for _ in range(3):
        with pytest.raises(stripe.APIError) as caught:
            client.v1.billing.meter_events.create(params, {"idempotency_key": "kept"})
        assert caught.value.http_status == 500
    assert caught.value.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        client.v1.billing.meter_events.create(params, {"idempotency_key": "renewed"})
    assert counted(sandbox) == 1


def test_a_key_is_in_use_while_its_request_is_worked_on(
    client: stripe.StripeClient, sandbox: Sandbox
) -> None:
    """A second request under the key is a 409; the first is done once."""
    _, customer, _ = provision(client)
    params: Any = {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "1"}}
    sandbox.fault(f"slow_work delay_ms=1500 times=1 route={EVENTS}")

    def call() -> Any:
        try:
            client.v1.billing.meter_events.create(params, {"idempotency_key": "same"})
        except stripe.StripeError as error:
            return error.http_status, error.error.code
        return 200

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call)
        while not any(request["fate"] == "slow_work" for request in sandbox.requests()):
            pass  # until it is under way
        assert call() == (409, "idempotency_key_in_use")
        assert first.result() == 200
    assert counted(sandbox) == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_one_in_flight_per_customer_and_meter(
    client: stripe.StripeClient, sandbox: Sandbox, version: str
) -> None:
    """A second call for them is refused while the first is worked on; another customer's is not."""
    _, customer, _ = provision(client)
    other = client.v1.customers.create({"name": "Other"}).id
    sandbox.switch(one_in_flight=True)
    sandbox.fault("slow_work delay_ms=1500 times=1 route=*/meter_events")
    create = getattr(client, version).billing.meter_events.create

    def call(who: str) -> Any:
        params: Any = {"event_name": "tokens", "payload": {"stripe_customer_id": who, "value": "1"}}
        try:
            return create(params).event_name
        except stripe.StripeError as error:
            return error.error.code

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, customer.id)
        while not any(request["fate"] == "slow_work" for request in sandbox.requests()):
            pass
        refused = "lock_timeout" if version == "v1" else "too_many_concurrent_requests"
        assert call(customer.id) == refused
        assert call(other) == "tokens"
        assert first.result() == "tokens"


def test_slow_answers_are_done_at_once(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """The client gives up; the event counts; the repeat says so."""
    _, customer, _ = provision(client)
    sandbox.fault(f"slow_answer delay_ms=3000 times=1 route={EVENTS}")
    hasty = stripe.StripeClient(
        "sk_test_sandbox_tests",
        base_addresses={"api": sandbox.url},
        http_client=stripe.RequestsClient(timeout=0.2),
    )
    with pytest.raises(stripe.APIConnectionError):
        send(hasty, customer.id, "1", identifier="one")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        send(client, customer.id, "1", identifier="one")
    assert counted(sandbox) == 1


def test_an_outage_by_fault_ends_by_itself(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """The listener closes and opens again; the client's own repeats get through."""
    _, customer, _ = provision(client)
    sandbox.fault(f"outage delay_ms=300 times=1 route={EVENTS}")
    patient = stripe.StripeClient(
        "sk_test_sandbox_tests", base_addresses={"api": sandbox.url}, max_network_retries=4
    )
    send(patient, customer.id, "1")
    assert counted(sandbox) == 1


def test_storms_and_bursts(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """A rule's burst hits so many in a row; a limit per second refuses the rest of it."""
    _, customer, _ = provision(client)

    def codes(count: int) -> list[int]:
        found = []
        for _ in range(count):
            try:
                send(client, customer.id, "1")
                found.append(200)
            except stripe.RateLimitError as error:
                found.append(int(str(error.http_status)))
        return found

    sandbox.faults(f"rate_limit after=2 times=1 burst=3 route={EVENTS}")
    assert codes(7) == [200, 200, 429, 429, 429, 200, 200]
    sandbox.faults()
    sandbox.switch(calls_per_second=3)
    assert 429 in codes(20)


def test_a_sequence_gives_one_fate_to_each(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """In order, for the requests that match; then it is over."""
    _, customer, _ = provision(client)
    sandbox.faults(f"sequence=unavailable,answer,drop route={EVENTS} method=POST")
    seen = []
    for number in range(4):
        client.v1.customers.retrieve(customer.id)  # does not match
        try:
            send(client, customer.id, "1", identifier=str(number))
            seen.append("answer")
        except stripe.APIConnectionError:
            seen.append("drop")
        except stripe.APIError:
            seen.append("unavailable")
    assert seen == ["unavailable", "answer", "drop", "answer"]


def test_faults_of_one_customer(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Everybody else is left alone."""
    _, customer, _ = provision(client)
    other = client.v1.customers.create({"name": "Other"}).id
    sandbox.faults(f"unavailable customer={customer.id}")
    send(client, other, "1")
    with pytest.raises(stripe.APIError):
        send(client, customer.id, "1")


def test_faults_of_one_key(sandbox: Sandbox) -> None:
    """A key that was rotated is refused; the new one opens the same account."""
    old, new = (
        stripe.StripeClient(f"sk_test_{age}_key", base_addresses={"api": sandbox.url})
        for age in ("old", "new")
    )
    made = old.v1.customers.create({"name": "Acme"}).id
    sandbox.fault("unauthorized key=sk_test_old_key")
    with pytest.raises(stripe.AuthenticationError):
        old.v1.customers.retrieve(made)
    assert new.v1.customers.retrieve(made).name == "Acme"


def test_one_rule_more_leaves_the_others_as_they_are(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """A rule that has struck as often as it may does not begin again; what was struck stays counted."""
    seen = []
    for rule in ("unavailable times=1", "drop times=1"):
        sandbox.fault(rule)
        for _ in range(2):
            try:
                client.v1.customers.list()
                seen.append("answer")
            except stripe.StripeError as error:
                seen.append(type(error).__name__)
    assert seen == ["APIError", "answer", "APIConnectionError", "answer"]
    assert sandbox.tell("statistics")["faults"] == {"unavailable": 1, "drop": 1}


def test_a_limit_of_its_own_for_each_mode(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """What is set for the live side says nothing about the test side."""
    live = stripe.StripeClient("sk_live_sandbox_tests", base_addresses={"api": sandbox.url})
    sandbox.tell("switches", mode="live", calls_per_second=1)

    def refused(one: stripe.StripeClient) -> int:
        found = 0
        for _ in range(10):
            try:
                one.v1.customers.list()
            except stripe.RateLimitError:
                found += 1
        return found

    assert refused(client) == 0
    assert refused(live) > 0


def test_the_clock_jumps(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Before the request is worked on."""
    _, customer, _ = provision(client)
    sandbox.fault(f"clock_jump seconds=500 times=1 route={EVENTS}")
    params: Any = {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "1"}}
    assert client.v1.billing.meter_events.create(params).timestamp == START + 500


@pytest.mark.parametrize(("fate", "reports"), [("reject_later", 1), ("swallow", 0)])
def test_a_good_event_is_lost_after_its_2xx(
    client: stripe.StripeClient, sandbox: Sandbox, fate: str, reports: int
) -> None:
    """Reported as a sample, or never; its identifier is free for another try."""
    _, customer, _ = provision(client)
    sandbox.fault(f"{fate} times=1 route={EVENTS} code=archived_meter")
    assert send(client, customer.id, "1", identifier="one").identifier == "one"
    assert counted(sandbox) == 0
    sandbox.advance(10)
    found: Any = client.v2.core.events.list({"types": [REPORT]}).data
    assert len(found) == reports
    assert all(event.data.reason.error_types[0].code == "archived_meter" for event in found)
    send(client, customer.id, "1", identifier="one")
    assert counted(sandbox) == 1


def test_one_seed_gives_one_run() -> None:
    """Shares and rules draw from the seed alone."""
    faults = Faults(lose_reply=20, rate_limit=10, storm=3, seed=5, rules=(Rule.parse("drop percent=30"),))

    def run(seed: int) -> list[Fate]:
        dice = Dice(
            Faults(**{name: getattr(faults, name) for name in faults.__struct_fields__} | {"seed": seed})
        )
        return [dice.draw(Asked("POST", EVENTS)).fate for _ in range(300)]

    assert run(5) == run(5)
    assert run(5) != run(6)
    assert {Fate.DROP, Fate.LOSE_REPLY, Fate.RATE_LIMIT, Fate.ANSWER} <= set(run(5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("explode", "Invalid enum value 'explode'"),
        ("drop percent=x", "percent"),
        ("drop color=red", "color"),
        ("drop percent=101", "percent"),
        ("drop times=0", "times"),
        ("drop after=-1", "after"),
        ("percent=20", "a fate or a sequence"),
        ("drop sequence=fail,drop", "a fate or a sequence"),
    ],
)
def test_a_fault_that_there_is_not(sandbox: Sandbox, text: str, words: str) -> None:
    """Refused with the reason and the fates that there are."""
    with pytest.raises(TallystickError, match=words):
        sandbox.fault(text)


def test_shares_are_of_one_whole(sandbox: Sandbox) -> None:
    """Each request meets one fate."""
    with pytest.raises(TallystickError, match="more than 100 percent"):
        sandbox.faults(lose_reply=60, fail=60)
    with pytest.raises(TallystickError, match="lose_reply"):
        sandbox.faults(lose_reply=-1)


def test_hell_turns_everything_on(client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver) -> None:
    """Every fault is met, from one seed; with patience every event is counted exactly once or reported."""
    meter, customer, _ = provision(client)
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["billing.meter.updated"]})
    sandbox.hell(seed=3)
    known, refusals = set(), set()
    for number in range(400):
        name, key = f"event-{number}", f"key-{number}-0"
        for attempt in range(200):
            params: Any = {
                "event_name": "tokens",
                "identifier": name,
                "timestamp": START,
                "payload": {"stripe_customer_id": customer.id, "value": "1"},
            }
            try:
                client.v1.billing.meter_events.create(params, {"idempotency_key": key})
                break
            except stripe.InvalidRequestError as error:
                refusals.add(str(error.user_message).partition(" with ")[0])
                break
            except stripe.APIConnectionError:
                sandbox.recover()  # unknown: the same key again; an outage need not last
            except stripe.StripeError:
                key = f"key-{number}-{attempt + 1}"  # answered: a new key
        known.add(name)
    struck = set(sandbox.tell("statistics")["faults"])
    sandbox.faults()
    sandbox.advance(10)
    reported = sum(
        event.data.reason.error_count
        for event in client.v2.core.events.list({"types": [REPORT], "limit": 100}).data
    )
    assert counted(sandbox) + reported == len(known) == 400
    assert reported > 0
    assert refusals <= {"An event already exists"}
    assert struck >= {fate.value for fate in SHARES} - {"swallow", "stale"}
    assert meter.status == "active"


def test_hell_leaves_out_what_it_is_told_to() -> None:
    """`without` takes fates away, and refuses words that are none."""
    assert hell_faults(1, ["outage", "drop"]).outage == 0
    assert hell_faults(1).outage > 0
    with pytest.raises(ValueError, match="no such fault: nonsense"):
        hell_faults(1, ["nonsense"])


def test_faults_and_switches_on_the_command_line() -> None:
    """`tallystick sandbox --hell --fault … --switch …`; a mistake is one line and exit code 2."""
    command = [sys.executable, "-m", "tallystick", "sandbox", "--port", "0", "--control-port", "0"]
    options = ["--hell", "--without", "drop", "--seed", "9", "--switch", "last_by=receipt"]
    process = subprocess.Popen(
        [*command, *options, "--fault", "fail times=1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    urls = json.loads(process.stdout.readline())
    running = Sandbox(process, urls["api"], urls["control"])
    faults = running.tell("fault", rule="drop times=1")
    assert (faults["seed"], faults["drop"], faults["lose_reply"]) == (9, 0, 4)
    assert [rule["fate"] for rule in faults["rules"]] == ["fail", "drop"]
    switches = running.switch()
    assert (switches["last_by"], switches["asynchronous"]) == ("receipt", ["*"])
    running.stop()
    wrong = subprocess.run([*command, "--switch", "last_by=x"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode != 0
    assert "last_by" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_command_that_cannot_run_says_why(sandbox: Sandbox) -> None:
    """A port that is taken, and an option that would do nothing: one line, exit code 2."""
    command = [sys.executable, "-m", "tallystick", "sandbox", "--control-port", "0", "--port"]
    taken = sandbox.url.rpartition(":")[2]
    for options, words in (([taken], "already in use"), (["0", "--without", "drop"], "--hell")):
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_mode_that_there_is_not(sandbox: Sandbox) -> None:
    """Said in words."""
    with pytest.raises(TallystickError, match="no mode 'staging'; there are test and live"):
        sandbox.tell("totals", mode="staging")
