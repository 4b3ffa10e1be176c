# ruff: noqa: E501
"""Consumers that run what they are given: a message whose handler failed is not taken off its queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

LOOP = """import asyncio
import json
import logging
import boto3
import stripe
client = boto3.client("sqs")
async def consume(url, handle):
    while True:
        taken = await asyncio.to_thread(client.receive_message, QueueUrl=url)
        for message in taken.get("Messages", []):
            try:
                await handle(json.loads(message["Body"]))
                INSIDE
            except Exception as problem:
                logging.error("left on the queue: %s", problem)
            BEHIND
async def report(job):
    await stripe.billing.MeterEvent.create_async(event_name="pages", identifier=job["id"], payload={"stripe_customer_id": job["customer"], "value": job["pages"]})
async def main():
    await CALL
if __name__ == "__main__":
    asyncio.run(main())
"""
ACK = 'await asyncio.to_thread(client.delete_message, QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])'
PLAIN = 'client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])'
CALLS = ["consume(URL, report)", "consume(url=URL, handle=report)"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("ack", [ACK, PLAIN])
def test_what_failed_stays_on_the_queue(tmp_path: Path, call: str, ack: str) -> None:
    """The catch only logs, but the message is taken off where all went well; else it is lost."""
    text = LOOP.replace("CALL", call)
    good = text.replace("INSIDE", ack).replace("BEHIND", "await asyncio.sleep(0)")
    bad = text.replace("INSIDE", 'logging.info("told")').replace("BEHIND", ack)
    needs = {"requirements.txt": "boto3\nstripe\n"}
    assert audited(tmp_path / "good", {**needs, "worker.py": good}).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "bad", {**needs, "worker.py": bad})) == {"errors_swallowed"}


SCRIPT = """import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import Stripe from "stripe";
const stripe = new Stripe(process.env.STRIPE_KEY!);
const sqs = new SQSClient({});
export async function consume(url: string, handle: (job: Job) => Promise<void>) {
  while (true) {
    const taken = await sqs.send(new ReceiveMessageCommand({ QueueUrl: url }));
    for (const message of taken.Messages ?? []) {
      try {
        await handle(JSON.parse(message.Body!));
        INSIDE
      } catch (problem) {
        console.error("left on the queue", problem);
      }
      BEHIND
    }
  }
}
async function report(job: Job) {
  await stripe.billing.meterEvents.create({ event_name: "pages", identifier: job.id, payload: { stripe_customer_id: job.customer, value: String(job.pages) } });
}
await consume(process.env.QUEUE!, report);
"""
SCRIPT_ACK = (
    "await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message.ReceiptHandle }));"
)


def test_the_same_in_typescript(tmp_path: Path) -> None:
    """With the command that takes a message off."""
    needs = {"package.json": '{"dependencies": {"stripe": "18.0.0", "@aws-sdk/client-sqs": "3"}}'}
    good = SCRIPT.replace("INSIDE", SCRIPT_ACK).replace("BEHIND", "")
    bad = SCRIPT.replace("INSIDE", "").replace("BEHIND", SCRIPT_ACK)
    assert audited(tmp_path / "good", {**needs, "src/worker.ts": good}).verdict is Verdict.PASS
    assert codes(audited(tmp_path / "bad", {**needs, "src/worker.ts": bad})) == {"errors_swallowed"}
