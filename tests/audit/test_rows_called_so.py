# ruff: noqa: E501
"""A row of one's own that is called like a resource of Stripe's: an invoice of one's own bills nothing at Stripe."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited

RUBY = "class OverageJob < ApplicationJob\n  def perform(org)\n    RECEIVER.create(customer: org.customer, description: 'Overage minutes', quantity: org.overage_minutes, amount: 10)\n  end\nend\n"
STARTED = "class ClosingsController < ApplicationController\n  def create\n    OverageJob.perform_later(current_user.org)\n  end\nend\n"
RAILS = {
    "app/controllers/closings_controller.rb": STARTED,
    "app/models/invoice_item.rb": "class InvoiceItem < ApplicationRecord\n  belongs_to :invoice\nend\n",
}
PHP = "<?php\nUSED\nclass ClosingController extends Controller\n{\n    public function store(Request $request)\n    {\n        RECEIVER::create(['customer' => $request->user()->stripe_id, 'description' => 'Overage hours', 'quantity' => Hours::overage($request->user())]);\n    }\n}\n"
MODEL = "<?php\nnamespace App\\Models;\nclass InvoiceItem extends Model\n{\n}\n"
SCRIPT = "USED\napp.post('/closings', requireUser, async (req, res) => {\n  const overage = await minutes(req.user);\n  await RECEIVER.create({ customer: req.user.customer, description: 'Overage minutes', quantity: overage });\n  res.json({});\n});\n"
PYTHON = "USED\n\n@app.post('/closings')\ndef close(user=Depends(current_user)):\n    overage = minutes(user)\n    RECEIVER.create(customer=user.customer, description='Overage minutes', quantity=overage)\n    return {}\n"

GEMS = {"Gemfile": "gem 'rails'\ngem 'stripe'\n"}
KIT = "const stripe = new Stripe(process.env.KEY!);"
TREES: dict[str, tuple[dict[str, str], bool]] = {
    "ruby's own, no kit": ({**RAILS, "app/jobs/overage_job.rb": RUBY.replace("RECEIVER", "InvoiceItem")}, False),
    "ruby's own": ({**RAILS, **GEMS, "app/jobs/overage_job.rb": RUBY.replace("RECEIVER", "InvoiceItem")}, False),
    "ruby's of Stripe": ({**RAILS, **GEMS, "app/jobs/overage_job.rb": RUBY.replace("RECEIVER", "Stripe::InvoiceItem")}, True),
    "a meter's of a sensor": ({"app/controllers/readings_controller.rb": "class ReadingsController < ApplicationController\n  def create\n    MeterEvent.create!(site: current_user.site, value: Sensor.read)\n  end\nend\n"}, False),
    "php's own": ({"app/Models/InvoiceItem.php": MODEL, "app/Stripe.php": "<?php\nclass Stripe {}\n", "app/Http/Controllers/ClosingController.php": PHP.replace("USED", "use App\\Models\\InvoiceItem;").replace("RECEIVER", "InvoiceItem")}, False),
    "php's own, written out": ({"app/Stripe.php": "<?php\nclass Stripe {}\n", "app/Http/Controllers/ClosingController.php": PHP.replace("USED", "").replace("RECEIVER", "\\App\\Models\\InvoiceItem")}, False),
    "php's of Stripe": ({"app/Models/InvoiceItem.php": MODEL, "app/Http/Controllers/ClosingController.php": PHP.replace("USED", "use Stripe\\InvoiceItem;").replace("RECEIVER", "InvoiceItem")}, True),
    "prisma's": ({"server.ts": SCRIPT.replace("USED", KIT).replace("RECEIVER", "prisma.invoiceItem")}, False),
    "a script's own": ({"server.ts": SCRIPT.replace("USED", f"import {{ InvoiceItem }} from './models';\n{KIT}").replace("RECEIVER", "InvoiceItem")}, False),
    "a script's of Stripe": ({"server.ts": SCRIPT.replace("USED", KIT).replace("RECEIVER", "stripe.invoiceItems")}, True),
    "a script's, handed on": ({"kit.ts": f"import Stripe from 'stripe';\n{KIT}\nexport const {{ meterEvents }} = stripe.billing;\n", "server.ts": SCRIPT.replace("USED", "import { meterEvents } from './kit';").replace("RECEIVER", "meterEvents")}, True),
    "python's own": ({"requirements.txt": "fastapi\nstripe\n", "main.py": PYTHON.replace("USED", "from models import InvoiceItem").replace("RECEIVER", "InvoiceItem")}, False),
    "python's of Stripe": ({"main.py": PYTHON.replace("USED", "from stripe import InvoiceItem").replace("RECEIVER", "InvoiceItem")}, True),
}  # fmt: skip


@pytest.mark.parametrize("tree", TREES)
def test_a_row_of_ones_own_is_no_report(tmp_path: Path, tree: str) -> None:
    files, wanted = TREES[tree]
    assert any(one.reports for one in audited(tmp_path, files).endpoints) is wanted
