# ruff: noqa: E501
"""Every framework times every finding: the planted flaw turns the verdict, its look-alike does not.

The correct applications stand in applications.py; here is what is done to them. LOOK, MAKE and BILL are their three
statements, TOKENS and OWNER what the client could claim.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from applications import (
    APPS,
    ASYNC,
    BILLED,
    GO,
    JAVA,
    LOOKED,
    MADE,
    MANIFESTS,
    METERS,
    PHP,
    PLAIN,
    RUBY,
    SCRIPT,
    SHARED,
    App,
    application,
    sibling,
)
from trees import Tree, audited, codes

from tallystick.audit.handbook import catalogue
from tallystick.audit.model import Report, Verdict

FREE = "LOOK\nMAKE"
Twins = tuple[str, str]

# The statements of the way in: wrong, and what only looks like it.
STATED: dict[str, dict[str, Twins]] = {
    "client_supplied_quantity": {
        SCRIPT: ("LOOK\nMAKE\nawait bill(account.customer, TOKENS, answer.id);", "LOOK\nMAKE\nconst tokens = answer.usage.total_tokens;\nawait bill(account.customer, tokens, answer.id);"),
        ASYNC: ("LOOK\nMAKE\nawait bill(account.customer, TOKENS, answer.id)", "LOOK\nMAKE\nused = answer.usage.total_tokens\nawait bill(account.customer, used, answer.id)"),
        GO: ("LOOK\nMAKE\nif err := bill(account.Customer, TOKENS, answer.ID); err != nil {\n\tpanic(err)\n}", "LOOK\nMAKE\ntokens := answer.Tokens\nif err := bill(account.Customer, tokens, answer.ID); err != nil {\n\tpanic(err)\n}"),
        RUBY: ("LOOK\nMAKE\nBilling.bill(account.customer, TOKENS, answer.id)", "LOOK\nMAKE\ntokens = answer.total_tokens\nBilling.bill(account.customer, tokens, answer.id)"),
        PHP: ("LOOK\nMAKE\nBilling::bill($account->customer, TOKENS, $answer->id);", "LOOK\nMAKE\n$tokens = $answer->total_tokens;\nBilling::bill($account->customer, $tokens, $answer->id);"),
        JAVA: ("LOOK\nMAKE\nBilling.bill(account.customer, TOKENS, answer.id);", "LOOK\nMAKE\nlong tokens = answer.totalTokens;\nBilling.bill(account.customer, tokens, answer.id);"),
    },
    "client_supplied_customer": {
        SCRIPT: ("LOOK\nMAKE\nawait bill(OWNER, answer.usage.total_tokens, answer.id);", "LOOK\nMAKE\nconst customer = account.customer;\nawait bill(customer, answer.usage.total_tokens, answer.id);"),
        ASYNC: ("LOOK\nMAKE\nawait bill(OWNER, answer.usage.total_tokens, answer.id)", "LOOK\nMAKE\npayer = account.customer\nawait bill(payer, answer.usage.total_tokens, answer.id)"),
        GO: ("LOOK\nMAKE\nif err := bill(OWNER, answer.Tokens, answer.ID); err != nil {\n\tpanic(err)\n}", "LOOK\nMAKE\ncustomer := account.Customer\nif err := bill(customer, answer.Tokens, answer.ID); err != nil {\n\tpanic(err)\n}"),
        RUBY: ("LOOK\nMAKE\nBilling.bill(OWNER, answer.total_tokens, answer.id)", "LOOK\nMAKE\ncustomer = account.customer\nBilling.bill(customer, answer.total_tokens, answer.id)"),
        PHP: ("LOOK\nMAKE\nBilling::bill(OWNER, $answer->total_tokens, $answer->id);", "LOOK\nMAKE\n$customer = $account->customer;\nBilling::bill($customer, $answer->total_tokens, $answer->id);"),
        JAVA: ("LOOK\nMAKE\nBilling.bill(OWNER, answer.totalTokens, answer.id);", "LOOK\nMAKE\nString customer = account.customer;\nBilling.bill(customer, answer.totalTokens, answer.id);"),
    },
    "never_reported": {
        SCRIPT: ("LOOK\nMAKE\n// BILL", "LOOK\nMAKE\n// await bill(account.customer, 1, account.key);\nBILL"),
        ASYNC: ("LOOK\nMAKE\n# BILL", "LOOK\nMAKE\n# await bill(account.customer, 1, account.key)\nBILL"),
        GO: ("LOOK\nMAKE\n// bill(account.Customer, answer.Tokens, answer.ID)", "LOOK\nMAKE\n// bill(account.Customer, 1, account.Key)\nBILL"),
        RUBY: ("LOOK\nMAKE\n# BILL", "LOOK\nMAKE\n# Billing.bill(account.customer, 1, account.key)\nBILL"),
        PHP: ("LOOK\nMAKE\n// BILL", "LOOK\nMAKE\n// Billing::bill($account->customer, 1, $account->key);\nBILL"),
        JAVA: ("LOOK\nMAKE\n// BILL", "LOOK\nMAKE\n// Billing.bill(account.customer, 1, account.key);\nBILL"),
    },
    "fire_and_forget": {
        SCRIPT: ("LOOK\nMAKE\nbill(account.customer, answer.usage.total_tokens, answer.id);", "LOOK\nMAKE\nconst sent = bill(account.customer, answer.usage.total_tokens, answer.id);\nawait sent;"),
        ASYNC: ("LOOK\nMAKE\nasyncio.create_task(bill(account.customer, answer.usage.total_tokens, answer.id))", "LOOK\nMAKE\nawait asyncio.gather(bill(account.customer, answer.usage.total_tokens, answer.id))"),
        PLAIN: ("LOOK\nMAKE\nThread(target=bill, args=(account.customer, answer.usage.total_tokens, answer.id)).start()", "LOOK\nMAKE\nwith transaction.atomic():\n    bill(account.customer, answer.usage.total_tokens, answer.id)"),
        GO: ("LOOK\nMAKE\ngo bill(account.Customer, answer.Tokens, answer.ID)", "LOOK\nMAKE\nfunc() {\n\tif err := bill(account.Customer, answer.Tokens, answer.ID); err != nil {\n\t\tpanic(err)\n\t}\n}()"),
        RUBY: ("LOOK\nMAKE\nThread.new { BILL }", "LOOK\nMAKE\nAccount.transaction { BILL }"),
        PHP: ("LOOK\nMAKE\ndefer(fn () => Billing::bill($account->customer, $answer->total_tokens, $answer->id));", "LOOK\nMAKE\nDB::transaction(fn () => Billing::bill($account->customer, $answer->total_tokens, $answer->id));"),
        JAVA: ("LOOK\nMAKE\nCompletableFuture.runAsync(() -> Billing.bill(account.customer, answer.totalTokens, answer.id));", "LOOK\nMAKE\ntransactions.execute(() -> Billing.bill(account.customer, answer.totalTokens, answer.id));"),
    },
    "errors_swallowed": {
        SCRIPT: ("LOOK\nMAKE\ntry { BILL } catch (error) { console.error(error); }", "LOOK\nMAKE\ntry { BILL } catch (error) { console.error(error); throw error; }"),
        ASYNC: ("LOOK\nMAKE\ntry:\n    BILL\nexcept Exception as error:\n    logger.warning(error)", "LOOK\nMAKE\ntry:\n    BILL\nexcept Exception as error:\n    logger.warning(error)\n    raise"),
        GO: ("LOOK\nMAKE\nif err := bill(account.Customer, answer.Tokens, answer.ID); err != nil {\n\tlog.Println(err)\n}", "LOOK\nMAKE\nif err := bill(account.Customer, answer.Tokens, answer.ID); err != nil {\n\tlog.Println(err)\n\tpanic(err)\n}"),
        RUBY: ("LOOK\nMAKE\nbegin\n  BILL\nrescue => error\n  Rails.logger.warn(error)\nend", "LOOK\nMAKE\nbegin\n  BILL\nrescue => error\n  Rails.logger.warn(error)\n  raise\nend"),
        PHP: ("LOOK\nMAKE\ntry { BILL } catch (\\Exception $error) { Log::warning($error); }", "LOOK\nMAKE\ntry { BILL } catch (\\Exception $error) { Log::warning($error); throw $error; }"),
        JAVA: ("LOOK\nMAKE\ntry { BILL } catch (StripeException error) { log.warn(error); }", "LOOK\nMAKE\ntry { BILL } catch (StripeException error) { log.warn(error); throw error; }"),
    },
    "recorded_before_action": {
        SCRIPT: ("LOOK\nawait bill(account.customer, 1, account.key);\nconst answer = await openai.responses.create({ model: 'm' });", "LOOK\nconst answer = await openai.responses.create({ model: 'm' });\nawait bill(account.customer, 1, account.key);"),
        ASYNC: ("LOOK\nawait bill(account.customer, 1, account.key)\nanswer = await client.responses.create(model='m')", "LOOK\nanswer = await client.responses.create(model='m')\nawait bill(account.customer, 1, account.key)"),
        GO: ("LOOK\nif err := bill(account.Customer, 1, account.Key); err != nil {\n\tpanic(err)\n}\nanswer := client.responses.create(ask)", "LOOK\nanswer := client.responses.create(ask)\nif err := bill(account.Customer, 1, account.Key); err != nil {\n\tpanic(err)\n}"),
        RUBY: ("LOOK\nBilling.bill(account.customer, 1, account.key)\nanswer = client.responses.create(model: 'm')", "LOOK\nanswer = client.responses.create(model: 'm')\nBilling.bill(account.customer, 1, account.key)"),
        PHP: ("LOOK\nBilling::bill($account->customer, 1, $account->key);\n$answer = $client->responses->create(['model' => 'm']);", "LOOK\n$answer = $client->responses->create(['model' => 'm']);\nBilling::bill($account->customer, 1, $account->key);"),
        JAVA: ("LOOK\nBilling.bill(account.customer, 1, account.key);\nAnswer answer = client.responses.create(ask);", "LOOK\nAnswer answer = client.responses.create(ask);\nBilling.bill(account.customer, 1, account.key);"),
    },
}  # fmt: skip
for _pair in STATED.values():
    if ASYNC in _pair and PLAIN not in _pair:
        _wrong, _right = _pair[ASYNC]
        _pair[PLAIN] = (_wrong.replace("await ", ""), _right.replace("await ", ""))

# The meter's own file: wrong, and the same place done right.
METERED: dict[str, dict[str, Twins]] = {
    "no_idempotency": {
        SCRIPT: ("    identifier: id,\n", ""),
        ASYNC: ("        identifier=key,\n", ""),
        PLAIN: ("        identifier=key,\n", ""),
        GO: ("\t\tIdentifier: stripe.String(id),\n", ""),
        RUBY: (" identifier: id,", ""),
        PHP: ("            'identifier' => $id,\n", ""),
        JAVA: (".setIdentifier(id)", ""),
    }
}
OLD = {
    SCRIPT: ("import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.STRIPE_KEY!);\nexport async function report(customer: string, value: number, id: string) {\n  await stripe.subscriptionItems.createUsageRecord(customer, { quantity: value }, { idempotencyKey: id });\n}\n", "8.1.0"),
    ASYNC: ("import stripe\n\n\nasync def report(customer, value, key):\n    await stripe.SubscriptionItem.create_usage_record_async(customer, quantity=value, idempotency_key=key)\n", "8.1.0"),
    PLAIN: ("import stripe\n\n\ndef report(customer, value, key):\n    stripe.SubscriptionItem.create_usage_record(customer, quantity=value, idempotency_key=key)\n", "8.1.0"),
    PHP: ("<?php\nclass Meter\n{\n    public static function report($customer, $value, $id)\n    {\n        $stripe->subscriptionItems->createUsageRecord($customer, ['quantity' => $value], ['idempotency_key' => $id]);\n    }\n}\n", "^10.0"),
    GO: ("package main\n\nfunc report(customer string, value int64, id string) error {\n\t_, err := usagerecord.New(&stripe.UsageRecordParams{\n\t\tParams: stripe.Params{IdempotencyKey: stripe.String(id)},\n\t\tSubscriptionItem: stripe.String(customer),\n\t\tQuantity: stripe.Int64(value),\n\t})\n\treturn err\n}\n", "v74"),
    RUBY: ("class Meter\n  def self.report(customer, value, id)\n    Stripe::SubscriptionItem.create_usage_record(customer, { quantity: value }, { idempotency_key: id })\n  end\nend\n", "~> 10"),
    JAVA: ("class Meter {\n  static void report(String customer, long value, String id) {\n    UsageRecord.createOnSubscriptionItem(customer, UsageRecordCreateOnSubscriptionItemParams.builder().setQuantity(value).build(), RequestOptions.builder().setIdempotencyKey(id).build());\n  }\n}\n", "22.0.0"),
}  # fmt: skip
NEW = {
    SCRIPT: "18.0.0",
    ASYNC: "12.0.0",
    PLAIN: "12.0.0",
    PHP: "^17.0",
    GO: "v82",
    RUBY: "~> 15",
    JAVA: "29.0.0",
}

# The report by the clock: daily, and every five minutes.
CLOCKED: dict[str, tuple[str, str, str, str]] = {
    SCRIPT: ("jobs/send.ts", "import { report } from '../lib/meter';\ncron.schedule('WHEN', async () => {\n  const rows = await db.usage.findMany({ where: { sentAt: null } });\n  for (const row of rows) await report(row.customerId, row.quantity, row.id);\n});\n", "0 3 * * *", "*/5 * * * *"),
    ASYNC: ("jobs/send.py", "from shop.meter import report\n\n\n@scheduler.scheduled_job('interval', minutes=WHEN)\nasync def send():\n    for row in await Usage.filter(sent_at=None).all():\n        await report(row.customer_id, row.quantity, row.id)\n", "1440", "5"),
    PLAIN: ("jobs/send.py", "from shop.meter import report\n\n\n@scheduler.scheduled_job('interval', minutes=WHEN)\ndef send():\n    for row in Usage.objects.filter(sent_at=None):\n        report(row.customer_id, row.quantity, row.id)\n", "1440", "5"),
    GO: ("send.go", "package main\n\nfunc schedule() {\n\tc := cron.New()\n\tc.AddFunc(\"WHEN\", sendUsage)\n}\n\nfunc sendUsage() {\n\tfor _, row := range unsent() {\n\t\treport(row.Customer, row.Quantity, row.ID)\n\t}\n}\n", "0 3 * * *", "*/5 * * * *"),
    RUBY: ("config/schedule.rb", "every WHEN do\n  Usage.unsent.each { |row| Meter.report(row.customer, row.quantity, row.id) }\nend\n", "1.day", "5.minutes"),
    PHP: ("app/Console/Kernel.php", "<?php\nclass Kernel\n{\n    protected function schedule($schedule)\n    {\n        $schedule->call(function () {\n            foreach (Usage::unsent() as $row) { Meter::report($row->customer, $row->quantity, $row->id); }\n        })->WHEN();\n    }\n}\n", "daily", "everyFiveMinutes"),
    JAVA: ("src/main/java/Sender.java", "class Sender {\n  @Scheduled(cron = \"WHEN\")\n  public void send() {\n    for (Row row : rows.unsent()) { Meter.report(row.customer, row.quantity, row.id); }\n  }\n}\n", "0 0 3 * * *", "0 */5 * * * *"),
}  # fmt: skip
SETUP = {
    "setup/prices.ts": "await stripe.prices.create({ recurring: { usage_type: 'metered', interval: 'month' } });\n"
}
PAGE = {
    "web/page.tsx": "'use client';\nexport function Used({ used }) {\n  localStorage.setItem('usage', String(used));\n  return <b>{used}</b>;\n}\n"
}

FINDINGS = (
    *STATED, *METERED, "legacy_api_removed", "scheduled_reporting", "unmetered_endpoint", "client_side_only",
)  # fmt: skip
TEXTUAL = "found in the text of a file, whatever the framework: test_neighbours.py"
BESIDE = {
    "cancel_drops_usage": TEXTUAL, "check_then_act_quota": TEXTUAL, "client_only_limit": TEXTUAL, "client_set_price": TEXTUAL,
    "float_quantity": TEXTUAL, "meter_errors_unheard": TEXTUAL, "missing_timestamp": TEXTUAL,
    "webhook_not_idempotent": TEXTUAL, "webhook_unverified": TEXTUAL,
    "suppression_without_reason": "about comments, not frameworks: test_suppression.py",
    "unused_suppression": "about comments, not frameworks: test_suppression.py",
}  # fmt: skip


def spelled(app: App, text: str) -> str:
    """The statements of a twin in the words of the application."""
    bill = BILLED[app.kit]
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(line.replace("BILL", bill.replace("\n", "\n" + indent)))
    return "\n".join(lines).replace("LOOK", LOOKED[app.kit]).replace("MAKE", MADE[app.kit])


def twins(app: App, finding: str) -> tuple[Tree, Tree]:
    """The application with the flaw, and with what only looks like the flaw."""
    right = application(app)
    if finding in STATED:
        wrong, fine = (spelled(app, text) for text in STATED[finding][app.kit])
        return application(app, wrong), application(app, fine)
    meter, manifest = METERS[app.kit], MANIFESTS[app.kit][0]
    free = application(app, spelled(app, FREE))
    if finding in METERED:
        old, new = METERED[finding][app.kit]
        assert old in right[meter]
        return right | {meter: right[meter].replace(old, new)}, right
    if finding == "legacy_api_removed":
        text, pin = OLD[app.kit]
        wrong_tree = right | {meter: text}
        return wrong_tree, wrong_tree | {manifest: right[manifest].replace(NEW[app.kit], pin)}
    if finding == "scheduled_reporting":
        path, text, slow, quick = CLOCKED[app.kit]
        return free | {path: text.replace("WHEN", slow)}, free | {path: text.replace("WHEN", quick)}
    if finding == "unmetered_endpoint":
        return right | sibling(app, spelled(app, FREE)), right | sibling(app, spelled(app, "LOOK"))
    bare = {path: text for path, text in free.items() if path not in SHARED[app.kit]}
    return bare | SETUP | PAGE, right | SETUP | PAGE


def named(report: Report) -> set[str]:
    """The codes found with some certainty, deciding or not."""
    return {one.code for one in report.findings if one.confidence != "low"}


def test_no_cell_is_missing() -> None:
    """Every code of the catalogue is a column or has its reason."""
    assert {*FINDINGS, *BESIDE} == catalogue.codes()
    assert not set(FINDINGS) & set(BESIDE)


CELLS = [(name, finding) for name in APPS for finding in FINDINGS]


@pytest.mark.parametrize("name", APPS)
def test_the_correct_application_passes(tmp_path: Path, name: str) -> None:
    """And its way in is counted."""
    report = audited(tmp_path, application(APPS[name]))
    assert (report.verdict, codes(report)) == (Verdict.PASS, set())
    assert APPS[name].path in {one.place.path for one in report.endpoints}


@pytest.mark.parametrize(("name", "finding"), CELLS)
def test_a_cell(tmp_path: Path, name: str, finding: str) -> None:
    """The flaw is named, in the file that was changed; its look-alike is not, and passes."""
    wrong, right = twins(APPS[name], finding)
    flawed = audited(tmp_path / "wrong", wrong)
    assert finding in named(flawed), (flawed.verdict, flawed.findings, flawed.endpoints)
    decides = any(one.decides for one in flawed.findings if one.code == finding)
    assert (flawed.verdict is Verdict.FAIL) == decides
    fine = audited(tmp_path / "right", right)
    assert finding not in named(fine)
    assert fine.verdict is Verdict.PASS, fine.findings
