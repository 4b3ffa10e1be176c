# ruff: noqa: E501
"""Jobs that would turn usage into what is charged: nothing makes them, or something may well do."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

STRIPE = "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n"
SERVER = "import express from 'express';\nconst app = express();\napp.post('/events', requireKey, async (req, res) => { res.json(await db.usageEvent.create({ data: { org: req.org.id } })); });\napp.listen(3000);\n"
RATER = """import { db } from '../db';

HEAD
export class UsageRater {
  async begin(boss) {
    await boss.work('rate', async () => this.rate());
    await boss.schedule('rate', '* * * * *');
  }

  async rate() {
    for (const one of await db.usageEvent.findMany({ where: { ratedAt: null } })) {
      await db.CHARGED.create({ data: { org: one.org, cents: one.amount * PRICE } });
    }
  }
}
"""
TREE: Tree = {"src/stripe.ts": STRIPE, "src/server.ts": SERVER}
MAKERS = {
    "nothing": ({}, True),
    "a test": ({"src/rater.test.ts": "import { UsageRater } from './workers/rater';\nnew UsageRater().begin(boss);\n"}, True),
    "a list that hands it on": ({"src/workers/index.ts": "export { UsageRater } from './rater';\n"}, True),
    "the program": ({"src/main.ts": "import { UsageRater } from './workers/rater';\nawait new UsageRater().begin(boss);\n"}, False),
    "a module": ({"src/app.module.ts": "import { UsageRater } from './workers/rater';\n@Module({ providers: [UsageRater] })\nexport class AppModule {}\n"}, False),
    "all of a folder": ({"src/main.ts": "for (const one of ['rater']) { const { UsageRater: made } = await import('./workers/rater'); new made().begin(boss); }\n"}, False),
    "a sandbox, by its path": ({"src/main.ts": "const file = './workers/rater.js';\nnew Worker('rate', file);\n"}, False),
    "what deploys it": ({"Procfile": "web: node dist/server.js\nrater: node dist/workers/rater.js\n"}, False),
    "everything of the file": ({"src/workers/index.ts": "export * from './rater';\n"}, False),
}  # fmt: skip


@pytest.mark.parametrize("how", MAKERS)
def test_who_makes_the_job_that_bills(tmp_path: Path, how: str) -> None:
    more, dead = MAKERS[how]
    job = RATER.replace("HEAD", "").replace("CHARGED", "billableItem")
    report = audited(tmp_path, {**TREE, "src/workers/rater.ts": job, **more})
    assert codes(report) == ({"never_reported"} if dead else set()), report.findings
    assert report.verdict is (Verdict.FAIL if dead else Verdict.SKIP)


@pytest.mark.parametrize(
    ("head", "charged"), [("@Injectable()", "billableItem"), ("", "notification"), ("", "dailySummary")]
)
def test_jobs_of_frameworks_and_of_other_work(tmp_path: Path, head: str, charged: str) -> None:
    """A framework makes what is decorated; what makes nothing to pay bills nothing."""
    job = RATER.replace("HEAD", head).replace("CHARGED", charged)
    assert codes(audited(tmp_path, {**TREE, "src/workers/rater.ts": job})) == set()


def test_a_job_where_nothing_is_paid(tmp_path: Path) -> None:
    tree = {"src/server.ts": SERVER, "src/workers/rater.ts": RATER.replace("CHARGED", "billableItem")}
    assert codes(audited(tmp_path, tree)) == set()
