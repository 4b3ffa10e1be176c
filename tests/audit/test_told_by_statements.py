# ruff: noqa: E501
"""Stigg without its client of old: by a statement of GraphQL, by an address, by a client under a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SERVER = """import express from "express";
HEAD
const app = express();
app.post("/pages", requireUser, async (req, res) => {
  const pages = await readPages(req.user);
  TELL
  res.json({ pages });
});
app.listen(3000);
"""
STATEMENT = (
    "const REPORT = `mutation Report($input: ReportUsageInput!) { reportUsage(input: $input) { id } }`;\nconst stigg = new GraphQLClient('https://api.stigg.io/graphql');",
    "await stigg.request(REPORT, { input: { customerId: req.user.customer, featureId: 'pages', value: pages.length, idempotencyKey: req.user.job } });",
)
ADDRESS = (
    "const KEY = process.env.STIGG_KEY;",
    "await axios.post('https://api.stigg.io/api/v1/usage', { usages: [{ customerId: req.user.customer, value: pages.length, idempotencyKey: req.user.job }] }, { headers: { 'X-API-KEY': KEY } });",
)
CLIENT = (
    "import Stigg from '@stigg/node-server-sdk';\nconst kit = Stigg.initialize({ apiKey: process.env.STIGG_KEY });",
    "await kit.reportUsage({ customerId: req.user.customer, featureId: 'pages', value: pages.length, idempotencyKey: req.user.job });",
)
ASKING = (
    "const ASK = `query Ask($query: Q!) { usage(query: $query) { currentUsage } }`;\nconst stigg = new GraphQLClient('https://api.stigg.io/graphql');",
    "await stigg.request(ASK, { query: { customerId: req.user.customer } });",
)


def _tree(head: str, tell: str) -> Tree:
    return {
        "package.json": '{"dependencies": {"express": "4"}}',
        "src/server.ts": SERVER.replace("HEAD", head).replace("TELL", tell),
    }


@pytest.mark.parametrize("way", [STATEMENT, ADDRESS, CLIENT], ids=["statement", "address", "client"])
def test_each_way_reports(tmp_path: Path, way: tuple[str, str]) -> None:
    """Awaited it is right; a catch that logs loses it."""
    head, tell = way
    assert audited(tmp_path / "good", _tree(head, tell)).verdict is Verdict.PASS
    lost = f"try {{ {tell} }} catch (problem) {{ console.error(problem); }}"
    assert codes(audited(tmp_path / "bad", _tree(head, lost))) == {"errors_swallowed"}


def test_a_question_reports_nothing(tmp_path: Path) -> None:
    """How much was used so far is asked, not told."""
    head, tell = ASKING
    report = audited(tmp_path, _tree(head, f"try {{ {tell} }} catch (problem) {{ console.error(problem); }}"))
    assert "stigg" not in report.providers
