# ruff: noqa: E501
"""Python's threads, tasks, injected services and jobs by name; each right way beside a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import stripe\n\n\n"
CREATE = "stripe.billing.MeterEvent.create"
EVENT = "event_name='x', identifier=out.id, payload={'stripe_customer_id': user.customer, 'value': str(out.tokens)}"
ROUTE = "@app.post('/run')\nasync def run(body: Ask, user=Depends(current_user)):\n    out = await llm(body.p)\n    SEND\n    return out\n"
REPORT = f"def report(customer, count, id):\n    {CREATE}(event_name='x', identifier=id, payload={{'stripe_customer_id': customer, 'value': count}})\n"

THREADS = {
    f"await asyncio.to_thread({CREATE}, {EVENT})": set(),
    f"await run_in_threadpool({CREATE}, {EVENT})": set(),
    f"await sync_to_async({CREATE})({EVENT})": set(),
    f"await loop.run_in_executor(None, lambda: {CREATE}({EVENT}))": set(),
    f"await loop.run_in_executor(None, functools.partial({CREATE}, {EVENT}))": set(),
    f"async with asyncio.TaskGroup() as group:\n        group.create_task({CREATE}_async({EVENT}))": set(),
    f"task = asyncio.create_task({CREATE}_async({EVENT}))\n    await task": set(),
    f"tasks = []\n    tasks.append(asyncio.create_task({CREATE}_async({EVENT})))\n    await asyncio.gather(*tasks)": set(),
    f"asyncio.create_task(asyncio.to_thread({CREATE}, {EVENT}))": {"fire_and_forget"},
    f"loop.run_in_executor(None, lambda: {CREATE}({EVENT}))": {"fire_and_forget"},
    f"task = asyncio.create_task({CREATE}_async({EVENT}))\n    kept.add(task)": {"fire_and_forget"},
    f"await asyncio.gather({CREATE}_async({EVENT}), return_exceptions=True)": {"errors_swallowed"},
}


@pytest.mark.parametrize("sent", THREADS)
def test_a_thread_or_a_task_that_is_waited_for(tmp_path: Path, sent: str) -> None:
    assert codes(audited(tmp_path, {"main.py": HEAD + ROUTE.replace("SEND", sent)})) == THREADS[sent]


SERVICE = f"{HEAD}class BillingService:\n    async def record(self, customer, count, id):\n        await {CREATE}_async(event_name='x', identifier=id, payload={{'stripe_customer_id': customer, 'value': str(count)}})\n\n\ndef get_billing(db=Depends(get_db)):\n    return BillingService()\n"


@pytest.mark.parametrize(
    "given",
    ["svc: BillingService = Depends(get_billing)", "svc=Depends(get_billing)", "svc: BillingService = Depends()", "svc: Annotated[BillingService, Depends(get_billing)]"],
)  # fmt: skip
def test_an_injected_service(tmp_path: Path, given: str) -> None:
    route = ROUTE.replace("user=Depends(current_user)", f"user=Depends(current_user), {given}")
    text = "from billing import BillingService, get_billing\n" + route.replace(
        "SEND", "await svc.record(user.customer, out.tokens, out.id)"
    )
    assert audited(tmp_path, {"billing.py": SERVICE, "main.py": text}).reason == "ok_synchronous"


@pytest.mark.parametrize("sent", ["async_task('work.tasks.report', ", "queue.enqueue('work.tasks.report', "])
def test_a_job_by_the_path_of_its_function(tmp_path: Path, sent: str) -> None:
    tree = {
        "work/tasks.py": HEAD + REPORT,
        "main.py": ROUTE.replace("SEND", f"{sent}user.customer, out.tokens, out.id)"),
    }
    assert audited(tmp_path, tree).verdict == "pass"


EXCEPTS = {
    "logger.error(error)\n        return jsonify({'error': 'billing'}), 502": set(),
    "raise HTTPException(502, detail={'error': str(error)})": set(),
    "retry_usage.apply_async(args=[user.customer, out.tokens, out.id], countdown=60)": set(),
    "logger.error({'error': str(error)})": {"errors_swallowed"},
}


@pytest.mark.parametrize("caught", EXCEPTS)
def test_what_a_clause_does_before_and_after_a_dictionary(tmp_path: Path, caught: str) -> None:
    tried = f"try:\n        {CREATE}({EVENT})\n    except stripe.StripeError as error:\n        {caught}"
    assert codes(audited(tmp_path, {"main.py": HEAD + ROUTE.replace("SEND", tried)})) == EXCEPTS[caught]


LOOPS = {
    f"for attempt in range(3):\n        try:\n            {CREATE}({EVENT})\n            break\n        except stripe.StripeError:\n            await asyncio.sleep(1)\n    else:\n        raise HTTPException(502)": set(),
    f"for attempt in range(3):\n        try:\n            {CREATE}({EVENT})\n            break\n        except stripe.StripeError:\n            await asyncio.sleep(1)": {"errors_swallowed"},
    f"with contextlib.suppress(stripe.StripeError):\n        {CREATE}({EVENT})": {"errors_swallowed"},
    f"with metered(user):\n        {CREATE}({EVENT})": set(),
}  # fmt: skip


@pytest.mark.parametrize("sent", LOOPS)
def test_what_a_loop_does_when_it_has_run_out(tmp_path: Path, sent: str) -> None:
    assert codes(audited(tmp_path, {"main.py": HEAD + ROUTE.replace("SEND", sent)})) == LOOPS[sent]


ANSWERS = {
    "if not report(user.customer, out.tokens, out.id):\n        abort(502)": set(),
    "sent = report(user.customer, out.tokens, out.id)\n    if not sent:\n        abort(502)": set(),
    "report(user.customer, out.tokens, out.id)": {"errors_swallowed"},
    "sent = report(user.customer, out.tokens, out.id)": {"errors_swallowed"},
}


@pytest.mark.parametrize("asked", ANSWERS)
def test_an_answer_that_is_asked_for(tmp_path: Path, asked: str) -> None:
    text = (
        REPORT.replace(f"    {CREATE}", f"    try:\n        {CREATE}")
        + "        return True\n    except stripe.StripeError as error:\n        logger.error(error)\n        return False\n\n\n"
    )
    assert codes(audited(tmp_path, {"main.py": HEAD + text + ROUTE.replace("SEND", asked)})) == ANSWERS[asked]
