# ruff: noqa: E501
"""Priced usage in tables that nothing bills, in whatever way they are declared; and twins that something does bill."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited

PAY = {"src/pay.ts": "import Stripe from 'stripe';\nexport const pay = () => stripe.checkout.sessions.create(plan);\n"}  # fmt: skip
PYTHON = """class UsageRecord(Base):
    \"\"\"One lookup, at its price.\"\"\"

    __tablename__ = "usage_records"
    subject_id = Column(
        String, index=True
    )  # whom it is about

    billed_amount_eur = Column(Float, nullable=False)
    invoiced = Column(Boolean, default=False)
"""
KEEPS = {"app/keep.py": "def keep(db, who):\n    db.add(UsageRecord(subject_id=who))\n"}
TABLES: dict[str, Tree] = {
    "sqlalchemy": {"app/models.py": PYTHON} | KEEPS,
    "laravel": {"app/Keep.php": "<?php\nMeteredUsage::create(['unit_amount' => 4]);\n", "database/migrations/1_usage.php": "<?php\nSchema::create('metered_usages', function (Blueprint $table) {\n    $table->id();\n    $table->unsignedInteger('unit_amount');\n    $table->timestamp('billed_at')->nullable();\n});\n"},
    "rails": {"app/models/run.rb": "UsageLine.create!(unit_price_cents: 4)\n", "db/schema.rb": "ActiveRecord::Schema.define do\n  create_table \"usage_lines\" do |t|\n    t.integer \"unit_price_cents\"\n    t.datetime \"invoiced_at\"\n  end\nend\n"},
    "compute": {"app/Keep.php": "<?php\nDB::table('compute_charges')->insert($row);\n", "database/migrations/2_charges.php": "<?php\nSchema::create('compute_charges', function (Blueprint $table) {\n    $table->integer('unit_amount');\n    $table->string('status')->default('pending');\n});\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_wherever_the_table_is_declared(tmp_path: Path, name: str) -> None:
    assert audited(tmp_path, PAY | TABLES[name]).verdict == "fail"


OTHERS: dict[str, Tree] = {
    "what comes after the class is not its own": {
        "app/models.py": PYTHON.replace("    billed_amount", "\nclass Order(Base):\n    billed_amount")
    },
    "charges of another kind": {
        "database/migrations/3.php": TABLES["compute"]["database/migrations/2_charges.php"].replace(
            "compute_charges", "rent_charges"
        )
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_tables(tmp_path: Path, name: str) -> None:
    assert audited(tmp_path, PAY | OTHERS[name]).verdict == "skip"


MARK = "def close_rows(rows, document):\n    for row in rows:\n        row.invoiced = True\n        row.document = document\n"
CALLED = (
    "from app.close import close_rows\n\ndef month_end():\n    close_rows(rows_of_month(), make_document())\n"
)


@pytest.mark.parametrize(
    ("files", "verdict"), [({}, "fail"), ({"app/month.py": CALLED}, "skip")], ids=["nothing calls it", "called"]
)  # fmt: skip
def test_code_that_marks_rows_as_billed(tmp_path: Path, files: Tree, verdict: str) -> None:
    """Whoever marks them as billed bills them, in whatever way."""
    tree = PAY | KEEPS | {"app/models.py": PYTHON, "app/close.py": MARK} | files
    assert audited(tmp_path, tree).verdict == verdict
