# ruff: noqa: E501
"""Work that is marked as done before its usage is told: a failure below the mark is never tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

GO = """package main

import (
	"fmt"
	"log"
	"time"

	"github.com/stripe/stripe-go/v81"
	"github.com/stripe/stripe-go/v81/billing/meterevent"
	"gorm.io/gorm"
)

type Handled struct {
	EventType string
	Name      string
}

func report(customer string, points int64, name string) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{
		EventName:  stripe.String("points"),
		Identifier: stripe.String(name),
		Payload:    map[string]string{"stripe_customer_id": customer, "value": fmt.Sprint(points)},
	})
	return err
}

func handle(db *gorm.DB, name string, customer string) error {
	points, err := pointsOf(name)
	if err != nil {
		return err
	}
	STEPS
	return nil
}

func fileProcessed(db *gorm.DB, name string) bool {
	var count int64
	db.Model(&Handled{}).Where("name = ?", name).Count(&count)
	return count > 0
}

func round(db *gorm.DB) {
	for _, one := range pendingFiles(db) {
		if fileProcessed(db, one.Name) {
			continue
		}
		if err := handle(db, one.Name, one.Customer); err != nil {
			log.Printf("left for the next round: %v", err)
		}
	}
}

func main() {
	db := open()
	ticker := time.NewTicker(10 * time.Minute)
	for range ticker.C {
		round(db)
	}
}
"""
GO_MARK = """row := Handled{EventType: "file_processed", Name: name}
	if err := db.Create(&row).Error; err != nil {
		return err
	}"""
GO_TELL = """if err := report(customer, points, name); err != nil {
		return fmt.Errorf("not told: %w", err)
	}"""


def _go(*steps: str) -> Tree:
    return {
        "go.mod": "module example.com/points\ngo 1.22\nrequire github.com/stripe/stripe-go/v81 v81.0.0\n",
        "main.go": GO.replace("STEPS", "\n\t".join(steps)),
    }


def test_a_row_says_done_before_the_report(tmp_path: Path) -> None:
    """The next round asks for such rows and leaves the file out; told first, it finds the file again."""
    assert codes(audited(tmp_path / "bad", _go(GO_MARK, GO_TELL))) == {"errors_swallowed"}
    assert audited(tmp_path / "good", _go(GO_TELL, GO_MARK)).verdict is Verdict.PASS


def test_what_is_rolled_back_together_is_not_done(tmp_path: Path) -> None:
    """The row goes with the report that failed."""
    whole = (
        "return db.Transaction(func(db *gorm.DB) error {\n\t"
        + GO_MARK
        + "\n\t"
        + GO_TELL
        + "\n\treturn nil\n\t})"
    )
    assert "errors_swallowed" not in codes(audited(tmp_path, _go(whole)))


PYTHON = """import logging
import stripe
from apscheduler.schedulers.blocking import BlockingScheduler
from db import db
clock = BlockingScheduler()
def tell(row):
    stripe.billing.MeterEvent.create(event_name="pages", identifier=row["id"], payload={"stripe_customer_id": row["customer"], "value": row["pages"]})
def settle(row):
    STEPS
@clock.scheduled_job("interval", minutes=10)
def drain():
    for row in db.usage.find({"reported": False}):
        try:
            settle(row)
        except Exception:
            logging.exception("usage %s", row["id"])
clock.start()
"""
MARK, TELL = 'db.usage.update_one({"_id": row["id"]}, {"$set": {"reported": True}})', "tell(row)"
CLAIM = 'db.usage.update_one({"_id": row["id"]}, {"$set": {"claimed": True}})'
UNDONE = f"""{MARK}
    try:
        {TELL}
    except Exception:
        db.usage.update_one({{"_id": row["id"]}}, {{"$set": {{"reported": False}}}})
        raise"""


@pytest.mark.parametrize(
    ("steps", "found"),
    [(f"{MARK}\n    {TELL}", {"errors_swallowed"}), (f"{TELL}\n    {MARK}", set()), (f"{CLAIM}\n    {TELL}\n    {MARK}", set()), (UNDONE, set())],
    ids=["marked first", "marked behind", "claimed", "undone"],
)  # fmt: skip
def test_the_mark_stands_a_call_below_the_catch(tmp_path: Path, steps: str, found: set[str]) -> None:
    """The loop around goes on; what is left says whether the row is found again."""
    tree = {"requirements.txt": "stripe\napscheduler\n", "main.py": PYTHON.replace("STEPS", steps)}
    assert codes(audited(tmp_path, tree)) == found


SCRIPT = """import Stripe from "stripe";
import cron from "node-cron";
import { prisma } from "./db";
const stripe = new Stripe(process.env.STRIPE_KEY!);
async function settle(row: Row) {
  STEPS
}
cron.schedule("*/10 * * * *", async () => {
  for (const row of await prisma.usage.findMany({ where: { reported: false } })) {
    try { await settle(row); } catch (problem) { console.error(problem); }
  }
});
"""
SCRIPT_MARK = "await prisma.usage.update({ where: { id: row.id }, data: { reported: true } });"
SCRIPT_TELL = 'await stripe.billing.meterEvents.create({ event_name: "pages", identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.pages) } });'
OTHER = 'await prisma.batch.update({ where: { id: batch.id }, data: { status: "done" } });'


@pytest.mark.parametrize(
    ("steps", "found"),
    [((SCRIPT_MARK, SCRIPT_TELL), {"errors_swallowed"}), ((SCRIPT_TELL, SCRIPT_MARK), set()), ((OTHER, SCRIPT_TELL, SCRIPT_MARK), set())],
    ids=["marked first", "marked behind", "another row"],
)  # fmt: skip
def test_the_same_in_typescript(tmp_path: Path, steps: tuple[str, ...], found: set[str]) -> None:
    """A mark of something else is none of this row."""
    tree = {"package.json": '{"dependencies": {"stripe": "18.0.0", "node-cron": "3"}}', "src/drain.ts": SCRIPT.replace("STEPS", "\n  ".join(steps))}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == found
