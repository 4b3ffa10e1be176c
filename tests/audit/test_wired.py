# ruff: noqa: E501
"""Reports behind interfaces, containers, events and servers of other kinds: the way in is found, and what becomes of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SENT = "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: key, payload: { stripe_customer_id: customer, value: String(count) } });"
TRACK = f"async track(customer: string, count: number, key: string) {{ {SENT} }}"
NEST = "import { RunService } from './run.service';\n@Controller('run')\n@UseGuards(AuthGuard)\nexport class RunController {\n  constructor(private readonly runs: RunService) {}\n  @Post()\n  run(@CurrentUser() user, @Body() dto: RunDto) { return this.runs.run(user, dto); }\n}\n"
RUNS = "import { UsageReporter } from './usage.reporter';\nexport class RunService {\n  constructor(@Inject(USAGE) private readonly usage: UsageReporter) {}\n  async run(user, dto) { const out = await llm(dto.p); await this.usage.track(user.customer, out.n, out.id); return out; }\n}\n"
HANDLER = "app.post('/run', requireUser, async (req, res) => { const out = await llm(req.body.p); await CALL(req.user.customer, out.n, out.id); res.json(out); });\n"
JAVA = 'package x;\n@Service\npublic class UsageServiceImpl implements UsageService {\n  public void track(String customer, long n, String key) throws StripeException {\n    MeterEvent.create(MeterEventCreateParams.builder().setEventName("x").setIdentifier(key).putPayload("stripe_customer_id", customer).putPayload("value", String.valueOf(n)).build());\n  }\n}\n'

WIRED: dict[str, Tree] = {
    "interface": {
        "src/usage.reporter.ts": "export interface UsageReporter { track(c: string, n: number, k: string): Promise<void>; }\n",
        "src/stripe.usage.ts": f"{HEAD}export class StripeUsage implements UsageReporter {{ {TRACK} }}\n",
        "src/run.service.ts": RUNS,
        "src/run.controller.ts": NEST,
        "src/app.module.ts": "import { StripeUsage } from './stripe.usage';\n@Module({ providers: [{ provide: USAGE, useClass: StripeUsage }] })\nexport class AppModule {}\n",
    },
    "short field": {
        "src/usage.service.ts": f"{HEAD}export class UsageService {{ {TRACK} }}\n",
        "src/run.service.ts": RUNS.replace("UsageReporter", "UsageService").replace("usage.reporter", "usage.service").replace("private readonly usage", "private readonly u").replace("this.usage", "this.u"),
        "src/run.controller.ts": NEST,
    },
    "emitted and awaited": {
        "src/usage.listener.ts": f"{HEAD}export class UsageListener {{\n  @OnEvent('run.finished')\n  async heard({{ customer, count, key }}) {{ {SENT} }}\n}}\n",
        "src/run.controller.ts": "@Controller('run')\n@UseGuards(AuthGuard)\nexport class RunController {\n  constructor(private readonly events: EventEmitter2) {}\n  @Post()\n  async run(@CurrentUser() user, @Body() dto: RunDto) { const out = await llm(dto.p); await this.events.emitAsync('run.finished', { customer: user.customer, count: out.n, key: out.id }); return out; }\n}\n",
    },
    "resolvers": {
        "src/resolvers.ts": f"{HEAD}const resolvers = {{ Mutation: {{ run: async (_, {{ prompt }}, ctx) => {{ if (!ctx.user) throw new Error('no'); const out = await llm(prompt); {SENT.replace('key,', 'out.id,').replace('customer, v', 'ctx.user.customer, v').replace('(count)', '(out.n)')} return out; }} }} }};\nexport default resolvers;\n",
        "src/index.ts": "import resolvers from './resolvers';\nconst server = new ApolloServer({ typeDefs, resolvers });\n",
    },
    "adonis": {"app/controllers/runs_controller.ts": f"{HEAD}export default class RunsController {{ async store({{ request, auth, response }}: HttpContext) {{ const out = await llm(request.input('p')); {SENT.replace('key,', 'out.id,').replace('customer, v', 'auth.user!.customer, v').replace('(count)', '(out.n)')} return response.json(out); }} }}\n"},
    "temporal": {
        "src/activities.ts": f"{HEAD}export async function reportUsage(customer: string, count: number, key: string) {{ {SENT} }}\n",
        "src/workflows.ts": "import type * as activities from './activities';\nconst { reportUsage, runJob } = proxyActivities<typeof activities>({ startToCloseTimeout: '1m' });\nexport async function jobWorkflow(input) { const out = await runJob(input); await reportUsage(input.customer, out.n, input.id); return out; }\n",
    },
    "shelved": {
        "src/usage.ts": f"{HEAD}export class UsageService {{ {TRACK} }}\n",
        "src/services.ts": "import { UsageService } from './usage';\nexport const services = { usage: new UsageService() };\n",
        "src/routes.ts": "import { services } from './services';\n" + HANDLER.replace("CALL", "services.usage.track"),
    },
    "module of a package": {
        "billing/__init__.py": "from . import usage\n",
        "billing/usage.py": "import stripe\n\n\ndef track(customer, count, key):\n    stripe.billing.MeterEvent.create(event_name='x', identifier=key, payload={'stripe_customer_id': customer, 'value': str(count)})\n",
        "app.py": "import billing\n\n\n@app.post('/run')\n@login_required\ndef run():\n    out = llm(request.json['p'])\n    billing.usage.track(current_user.customer, out.n, out.id)\n    return jsonify(out)\n",
    },
    "spring": {
        "src/x/UsageService.java": "package x;\npublic interface UsageService { void track(String customer, long n, String key) throws StripeException; }\n",
        "src/x/UsageServiceImpl.java": JAVA,
        "src/x/RunController.java": "package x;\n@RestController\npublic class RunController {\n  @Autowired private UsageService usageService;\n  @PostMapping(\"/run\")\n  public Out run(@RequestBody Ask body, Principal who) throws StripeException {\n    Out out = llm.run(body.p);\n    usageService.track(users.customer(who), out.n, out.id);\n    return out;\n  }\n}\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("tree", WIRED.values(), ids=list(WIRED))
def test_the_way_in_is_found(tmp_path: Path, tree: Tree) -> None:
    report = audited(tmp_path, tree)
    assert (report.verdict, codes(report)) == ("pass", set())


@pytest.mark.parametrize(
    "signature",
    [
        "ctx context.Context, req *pb.RunRequest) (*pb.RunResponse, error)",
        "ctx context.Context, req *connect.Request[pb.RunRequest]) (*connect.Response[pb.RunResponse], error)",
        "ctx context.Context, req api.PostRunRequestObject) (api.PostRunResponseObject, error)",
    ],
)
@pytest.mark.parametrize(
    ("fate", "wanted"), [("return nil, err", set()), ("log.Println(err)", {"errors_swallowed"})]
)
def test_a_server_of_grpc(tmp_path: Path, signature: str, fate: str, wanted: set[str]) -> None:
    text = f'package main\n\nfunc (s *Server) Run({signature} {{\n\tout, err := s.llm.Run(ctx, req)\n\tif err != nil {{\n\t\treturn nil, err\n\t}}\n\tif _, err := s.sc.BillingMeterEvents.New(&stripe.BillingMeterEventParams{{EventName: stripe.String("x"), Identifier: stripe.String(out.ID), Payload: map[string]string{{"stripe_customer_id": userFrom(ctx).Customer, "value": strconv.Itoa(out.N)}}}}); err != nil {{\n\t\t{fate}\n\t}}\n\treturn respond(out), nil\n}}\n'
    tree = {"go.mod": "module x\n\nrequire github.com/stripe/stripe-go/v81 v81.0.0\n", "server.go": text}
    assert codes(audited(tmp_path, tree)) == wanted


TOLD = {
    "socket.send(JSON.stringify({ error: error.message }));": set(),
    "callback(error);": set(),
    "metrics.failed += 1;": {"errors_swallowed"},
}


@pytest.mark.parametrize("told", TOLD)
def test_who_is_told_of_a_failure_over_a_socket(tmp_path: Path, told: str) -> None:
    sent = (
        SENT.replace("key,", "out.id,")
        .replace("customer, v", "request.user.customer, v")
        .replace("(count)", "(out.n)")
    )
    text = f"const stripe = require('stripe')(process.env.KEY);\nserver.on('connection', (socket, request) => {{ socket.on('message', async (said, callback) => {{ try {{ const out = await llm(said); {sent} socket.send(out.text); }} catch (error) {{ {told} }} }}); }});\n"
    assert codes(audited(tmp_path, {"server.js": text})) == TOLD[told]


CALLED = """const stripe = require('stripe')(process.env.KEY);
async function report(row) {
  SENT
  await db.minutes.update({ where: { id: row.id }, data: { reported: true } });
}
async function ended(call) {
  const row = await db.minutes.create({ data: { call: call.id, customer: call.customer, n: call.minutes(), reported: false } });
  await report(row);
}
STARTED
"""
ROW = "await stripe.billing.meterEvents.create({ event_name: 'minutes', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.n) } });"


@pytest.mark.parametrize(
    "started",
    [
        "server.on('connection', (socket) => { socket.on('close', async () => { try { await ended(socket.call); } catch (error) { console.error(error); } }); });",
        "async function main() { server.on('call', async (call) => { try { await ended(call); } catch (error) { console.error(error); } }); }\nmain();",
    ],
)
def test_what_happens_is_no_clock(tmp_path: Path, started: str) -> None:
    """A row left unreported is taken up by no later run where each run starts with an event of its own."""
    text = CALLED.replace("SENT", ROW).replace("STARTED", started)
    assert codes(audited(tmp_path, {"server.js": text})) == {"errors_swallowed"}
