# ruff: noqa: E501
"""What a seller takes for use without asking: off a stored card at once, or by an item on an invoice. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

CARD = """import Stripe from "stripe";
const stripe = new Stripe(process.env.STRIPE_SECRET_KEY!);
export async function takeOverage(customer: string, minutes: number, rideId: string) {
  return stripe.paymentIntents.create(
    { amount: minutes * 12, currency: "eur", customer, OFF confirm: true, description: SAID, metadata: { rideId } },
    { idempotencyKey: rideId },
  );
}
"""
RIDE = """import { takeOverage } from "../../../lib/card";
import { auth } from "../../../lib/auth";
import { db } from "../../../lib/db";
export async function POST(req: Request) {
  const session = await auth();
  const body = await req.json();
  const ride = await db.ride.findUnique({ where: { id: body.rideId, driverId: session.user.id } });
  const beyond = ride.minutes - session.user.plan.minutes;
  TAKE
  await db.ride.update({ where: { id: ride.id }, data: { status: "done" } });
  return Response.json({ ok: true });
}
"""
TAKE = "await takeOverage(session.user.stripeId, beyond, ride.id);"


def rides(take: str, said: str = '"Overage of a ride"', off: str = "off_session: true,") -> Tree:
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "app/api/ride/route.ts": RIDE.replace("TAKE", take),
        "lib/card.ts": CARD.replace("SAID", said).replace("OFF", off),
        "lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
        "lib/db.ts": "export const db = connect();\n",
    }


@pytest.mark.parametrize(
    ("take", "wanted"),
    [
        (TAKE, set()),
        (f"try {{ {TAKE} }} catch (problem) {{ console.error(problem); }}", {"errors_swallowed"}),
        (TAKE.replace("beyond", "body.minutes"), {"client_supplied_quantity"}),
    ],
)
def test_overage_is_taken_from_a_card_at_once(tmp_path: Path, take: str, wanted: set[str]) -> None:
    report = audited(tmp_path, rides(take))
    assert codes(report) == wanted, report.findings
    assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


@pytest.mark.parametrize("said", ['"Overage of a ride"', "`Usage payment of ${minutes} minutes`"])
def test_the_first_card_is_one_that_was_stored(tmp_path: Path, said: str) -> None:
    report = audited(tmp_path, rides(TAKE, said, "payment_method: methods.data[0].id,"))
    assert report.verdict is Verdict.PASS, report.findings


BOUGHT: dict[str, tuple[str, str]] = {
    "a pack that is bought": ('"Overage pack of 100 minutes"', "off_session: true,"),
    "a purchase in a page": ('"Overage of a ride"', ""),
    "something else": ('"Repair of a bicycle"', "off_session: true,"),
}


@pytest.mark.parametrize("name", BOUGHT)
def test_what_is_bought_is_no_report(tmp_path: Path, name: str) -> None:
    report = audited(tmp_path, rides(TAKE.replace("beyond", "body.minutes"), *BOUGHT[name]))
    assert "client_supplied_quantity" not in codes(report), report.findings


ITEM = "stripe.InvoiceItem.create(customer=self.stripe_id, unit_amount=settings.EACH, quantity=HOW_MANY, currency='eur', invoice=made.id)"
MODELS = """import stripe
from django.conf import settings
from django.db import models

class Attempt(models.Model):
    amount = models.IntegerField()
    failed = models.BooleanField(default=False)

class Payer(models.Model):
    stripe_id = models.CharField(max_length=99)

    def invoice(self, rooms):
        attempt = Attempt.objects.create(amount=rooms * settings.EACH)
        try:
            made = stripe.Invoice.create(customer=self.stripe_id, auto_advance=True)
            ITEM
        except stripe.StripeError as problem:
            CAUGHT
"""
TASKS = """from celery import shared_task
from shop.models import Attempt, Payer

@shared_task
def NAME():
    for payer in Payer.objects.all():
        payer.invoice(RoomCount.objects.filter(payer=payer).aggregate(Avg("rooms"))["rooms__avg"])
AGAIN"""
MARKED = "attempt.failed = True\n            attempt.save()"
AGAIN = """
@shared_task
def again():
    for attempt in Attempt.objects.filter(failed=True):
        attempt.payer.invoice(attempt.rooms)
"""


def rooms(caught: str, item: str = ITEM, again: str = "", name: str = "invoice_all") -> Tree:
    return {
        "requirements.txt": "django\ncelery\nstripe==11.0.0\n",
        "shop/__init__.py": "",
        "shop/models.py": MODELS.replace("ITEM", item.replace("HOW_MANY", "rooms")).replace("CAUGHT", caught),
        "shop/tasks.py": TASKS.replace("NAME", name).replace("AGAIN", again),
        "shop/settings.py": "INSTALLED_APPS = ['shop', 'django_celery_beat']\n",
    }


@pytest.mark.parametrize(
    ("caught", "again", "wanted"),
    [
        (MARKED, "", {"errors_swallowed"}),
        ("logger.error(problem)", "", {"errors_swallowed"}),
        ("raise", "", set()),
        (MARKED, AGAIN, set()),
    ],
    ids=["only marked", "logged", "raised", "marked and taken up again"],
)
def test_items_that_a_round_of_bills_counts(
    tmp_path: Path, caught: str, again: str, wanted: set[str]
) -> None:
    assert codes(audited(tmp_path, rooms(caught, again=again))) == wanted


OTHERS = {
    "one of each": ITEM.replace("HOW_MANY", "1"),
    "a sum that was agreed": ITEM.replace("unit_amount=settings.EACH, quantity=HOW_MANY", "amount=self.fee"),
    "on another's account": ITEM.replace("currency", "stripe_account=self.shop_account, currency"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_items(tmp_path: Path, name: str) -> None:
    assert audited(tmp_path, rooms("logger.error(problem)", OTHERS[name])).verdict is Verdict.SKIP


def test_items_of_another_task(tmp_path: Path) -> None:
    tree = {
        path: text.replace("invoice(self", "ship(self").replace("payer.invoice(", "payer.ship(")
        for path, text in rooms("pass", name="send_goods").items()
    }
    assert audited(tmp_path, tree).verdict is Verdict.SKIP


FEE = """import Stripe from "stripe";
const stripe = new Stripe(process.env.STRIPE_SECRET_KEY!);
export async function chargeSuccessFee(win) {
  await stripe.invoiceItems.create({ customer: win.customer, amount: win.cents, currency: "eur" }, { idempotencyKey: win.id });
}
export async function won(win) {
  try { await chargeSuccessFee(win); } catch (problem) { console.error(problem); }
}
app.post("/won", requireUser, async (req, res) => {
  const win = await db.win.findUnique({ where: { owner: req.user.id } });
  await won(win);
  res.json({});
});
"""


@pytest.mark.parametrize(("name", "wanted"), [("SuccessFee", {"errors_swallowed"}), ("SetupFee", set())])
def test_a_fee_for_each_success(tmp_path: Path, name: str, wanted: set[str]) -> None:
    tree = {"package.json": '{"dependencies": {"express": "4", "stripe": "18"}}', "src/app.ts": FEE.replace("SuccessFee", name)}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted
