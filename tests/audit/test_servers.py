# ruff: noqa: E501
"""Ways in that servers without pages have: tools, chains, handlers by type, queues, events, objects that wake. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

METER = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY);\nexport async function report(customer, n, id) { await stripe.billing.meterEvents.create({ event_name: 'c', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } }); }\n"
WORK = "const answer = await openai.responses.create({ input: 'x' });"
TOKENS = "answer.usage.total_tokens"
ASKED = {  # the way in, and the number that a caller of it sends
    "a tool": ("const server = new McpServer({ name: 'x' });\nserver.registerTool('run', { inputSchema: {} }, async (args, extra) => { WORK await report(extra.authInfo.customer, NUMBER, answer.id); return { content: [] }; });\n", "args.n"),
    "a tool of a function": ("export function make(user) { const server = new McpServer({ name: 'x' });\n server.tool('run', {}, async ({ n }) => { WORK await report(user.customer, NUMBER, answer.id); return { content: [] }; });\n return server; }\napp.post('/mcp', async (req, res) => { const user = await authenticate(req); await make(user).connect(transport); });\n", "n"),
    "a protocol's request": ("server.setRequestHandler(CallToolRequestSchema, async (request) => { const args = request.params.arguments; WORK await report(session.customer, NUMBER, answer.id); return { content: [] }; });\n", "args.n"),
    "a chain of Elysia": ("export const app = new Elysia().use(auth).get('/health', () => 'ok').post('/run', async ({ body, user }) => { WORK await report(user.customer, NUMBER, answer.id); return answer; });\n", "body.n"),
    "a chain of Hono": ("export const run = new Hono().get('/health', (c) => c.text('ok')).post('/run', async (c) => { const body = await c.req.json(); const user = c.get('user'); WORK await report(user.customer, NUMBER, answer.id); return c.json(answer); });\n", "body.n"),
    "a procedure of oRPC": ("export const run = protectedProcedure.input(z.object({ n: z.number() })).handler(async ({ input, context }) => { WORK await report(context.user.customer, NUMBER, answer.id); return answer; });\n", "input.n"),
    "a server function": ("export const run = createServerFn({ method: 'POST' }).validator((d) => d).handler(async ({ data }) => { const user = await getUser(); WORK await report(user.customer, NUMBER, answer.id); return answer; });\n", "data.n"),
    "a route of TanStack": ("export const Route = createFileRoute('/api/run')({ server: { handlers: { POST: async ({ request }) => { const body = await request.json(); const user = await getUser(request); WORK await report(user.customer, NUMBER, answer.id); return Response.json(answer); } } } });\n", "body.n"),
    "a wrapped lambda": ("const run = async (event) => { WORK await report(event.requestContext.authorizer.customer, NUMBER, answer.id); return { statusCode: 200 }; };\nexport const handler = middy(run).use(jsonBodyParser());\n", "event.body.n"),
    "a bound method": ("export class Runs { async run(req, res, next) { try { WORK await report(req.user.customer, NUMBER, answer.id); res.json(answer); } catch (e) { next(e); } } }\nconst runs = new Runs();\nrouter.post('/run', requireAuth, runs.run.bind(runs));\n", "req.body.n"),
    "a resolver": ("export const resolvers = { Query: {}, Mutation: { run: async (root, args, ctx) => { WORK await report(ctx.user.customer, NUMBER, answer.id); return answer; } } };\n", "args.n"),
    "a field of a builder": ("builder.mutationField('run', (t) => t.field({ type: Answer, resolve: async (root, args, ctx) => { WORK await report(ctx.user.customer, NUMBER, answer.id); return answer; } }));\n", "args.n"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ASKED))
def test_whoever_calls_it_is_a_client(tmp_path: Path, name: str) -> None:
    text, sent = ASKED[name]
    for folder, number, verdict, wanted in (
        ("right", TOKENS, Verdict.PASS, set()),
        ("wrong", sent, Verdict.FAIL, {"client_supplied_quantity"}),
    ):
        server = "import { report } from './meter';\n" + text.replace("WORK", WORK).replace("NUMBER", number)
        report = audited(tmp_path / folder, {"src/meter.ts": METER, "src/server.ts": server})
        assert (report.verdict, codes(report)) == (verdict, wanted), folder
        assert {one.grade for one in report.endpoints} == {"sync-reported"}


FOUND = {  # by the file it stands in, or by whom it is given to
    "api/run.ts": ("export async function POST(request) { const user = await authenticate(request); const body = await request.json(); WORK await report(user.customer, NUMBER, answer.id); return Response.json(answer); }\n", "body.n"),
    "functions/api/run.ts": ("export const onRequestPost = async ({ request, env }) => { const user = await authenticate(request); const body = await request.json(); WORK await report(user.customer, NUMBER, answer.id); return Response.json(answer); };\n", "body.n"),
    "src/run.remote.ts": ("export const run = command(schema, async (data) => { const { locals } = getRequestEvent(); WORK await report(locals.user.customer, NUMBER, answer.id); return answer; });\n", "data.n"),
    "src/actions/index.ts": ("export const server = { run: defineAction({ input: schema, handler: async (input, context) => { WORK await report(context.locals.user.customer, NUMBER, answer.id); return answer; } }) };\n", "input.n"),
    "src/hapi.js": ("server.route({ method: 'POST', path: '/run', handler: async (request, h) => { WORK await report(request.auth.credentials.customer, NUMBER, answer.id); return answer; } });\n", "request.payload.n"),
    "src/azure.ts": ("app.http('run', { methods: ['POST'], handler: async (request) => { const user = await authenticate(request); const body = await request.json(); WORK await report(user.customer, NUMBER, answer.id); return { jsonBody: answer }; } });\n", "body.n"),
    "src/contract.ts": ("export const router = s.router(contract, { run: async ({ body, req }) => { WORK await report(req.user.customer, NUMBER, answer.id); return { status: 200, body: answer }; } });\n", "body.n"),
    "src/sockets.ts": ("io.on('connection', (socket) => { socket.on('run', async (data, ack) => { WORK await report(socket.data.user.customer, NUMBER, answer.id); ack(answer); }); });\n", "data.n"),
    "src/bun.ts": ("Bun.serve({ routes: { '/run': { POST: async (req) => { const user = await authenticate(req); const body = await req.json(); WORK await report(user.customer, NUMBER, answer.id); return Response.json(answer); } } } });\n", "body.n"),
    "src/run.resolver.ts": ("@Resolver()\nexport class RunResolver {\n  @Mutation(() => Answer)\n  async run(@Args('n') n: number, @CurrentUser() user: User) { WORK await report(user.customer, NUMBER, answer.id); return answer; }\n}\n", "n"),
    "src/plugin.ts": ("export const plugin = () => ({ id: 'x', endpoints: { run: createAuthEndpoint('/run', { method: 'POST', use: [sessionMiddleware] }, async (ctx) => { WORK await report(ctx.context.session.user.customer, NUMBER, answer.id); return ctx.json(answer); }) } });\n", "ctx.body.n"),
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(FOUND))
def test_where_it_stands_or_to_whom_it_is_given(tmp_path: Path, path: str) -> None:
    text, sent = FOUND[path]
    for folder, number, verdict, wanted in (
        ("right", TOKENS, Verdict.PASS, set()),
        ("wrong", sent, Verdict.FAIL, {"client_supplied_quantity"}),
    ):
        server = f"import {{ report }} from '{'../' * path.count('/')}meter';\n" if "/" in path else ""
        server += text.replace("WORK", WORK).replace("NUMBER", number)
        report = audited(tmp_path / folder, {"meter.ts": METER, path: server})
        assert (report.verdict, codes(report)) == (verdict, wanted), folder


def test_what_a_provider_streams_is_no_client(tmp_path: Path) -> None:
    """A socket that the server itself opened brings the provider's own count."""
    text = "import { report } from './meter';\napp.post('/call', requireUser, async (req, res) => {\n  const upstream = new WebSocket(MODEL);\n  upstream.on('message', async (raw) => { const event = JSON.parse(raw); await report(req.user.customer, event.usage.total_tokens, event.id); });\n  res.json({});\n});\n"
    assert "client_supplied_quantity" not in codes(
        audited(tmp_path, {"src/meter.ts": METER, "src/server.ts": text})
    )


AWAITS = "await report(WHO.customer, WHO.n, WHO.id);"
CATCHES = f"try {{ {AWAITS} }} catch (error) {{ console.error(error); }}"
STARTED = {
    "a worker's host": ("@Processor('usage')\nexport class Usage extends WorkerHost {\n  async process(job) { SEND }\n}\n", "job.data"),
    "a process of a queue": ("@Processor('usage')\nexport class Usage {\n  @Process('report')\n  async handle(job) { SEND }\n}\n", "job.data"),
    "a message": ("@Controller()\nexport class Usage {\n  @EventPattern('usage')\n  async handle(event) { SEND }\n}\n", "event"),
    "an alarm": ("export class Usage {\n  async alarm() { const kept = await this.storage.get('kept'); SEND await this.storage.delete('kept'); }\n}\n", "kept"),
    "a workflow": ("export class Bill extends WorkflowEntrypoint {\n  async run(event, step) { await step.do('report', async () => { SEND }); }\n}\n", "event.payload"),
    "an activity": ("export async function billUsage(input) { SEND }\n", "input"),
}  # fmt: skip
ACTIVITIES = "import { Worker } from '@temporalio/worker';\nimport * as activities from './usage';\nawait Worker.create({ activities, taskQueue: 'q' });\n"
FILLS = "const queue = new Queue('usage');\nexport const fill = (one) => queue.add('report', one);\n"


@pytest.mark.parametrize("name", sorted(STARTED))
def test_a_platform_starts_it_and_tries_again(tmp_path: Path, name: str) -> None:
    text, who = STARTED[name]
    for folder, send, wanted in (("right", AWAITS, set()), ("wrong", CATCHES, {"errors_swallowed"})):
        tree = {"src/meter.ts": METER, "src/worker.ts": ACTIVITIES, "src/fill.ts": FILLS}
        tree["src/usage.ts"] = "import { report } from './meter';\n" + text.replace(
            "SEND", send.replace("WHO", who)
        )
        report = audited(tmp_path / folder, tree)
        assert codes(report) == wanted, folder
        assert len(report.endpoints) == 1


def test_a_name_alone_starts_nothing(tmp_path: Path) -> None:
    """`run` and `process` are words of everybody's; only what they extend makes them a platform's."""
    for number, text in enumerate((STARTED["a worker's host"][0], STARTED["a workflow"][0])):
        bare = text.replace(" extends WorkerHost", "").replace(" extends WorkflowEntrypoint", "").replace("SEND", AWAITS.replace("WHO", "job"))  # fmt: skip
        tree = {"src/meter.ts": METER, "src/usage.ts": "import { report } from './meter';\n" + bare}
        assert audited(tmp_path / str(number), tree).endpoints == ()


NEST: Tree = {
    "src/meter.service.ts": METER.replace("export async function report", "@Injectable()\nexport class MeterService {\n  async report") + "}\n",
    "src/run.service.ts": "@Injectable()\nexport class RunService {\n  constructor(private readonly bills: MeterService) {}\n  async run(user, dto) { " + WORK + " await this.bills.report(user.customer, NUMBER, answer.id); return answer; }\n}\n",
    "src/run.controller.ts": "@Controller('run')\nexport class RunController {\n  constructor(private readonly jobs: RunService) {}\n  @Post()\n  async run(@Body() dto: RunDto, @CurrentUser() user) { return await this.jobs.run(user, dto); }\n}\n",
}  # fmt: skip


@pytest.mark.parametrize(("number", "wanted"), [(TOKENS, set()), ("dto.n", {"client_supplied_quantity"})])
def test_a_field_is_of_the_class_its_constructor_names(tmp_path: Path, number: str, wanted: set[str]) -> None:
    imported = {"src/run.service.ts": "import { MeterService } from './meter.service';\n", "src/run.controller.ts": "import { RunService } from './run.service';\n"}  # fmt: skip
    tree = {name: imported.get(name, "") + text.replace("NUMBER", number) for name, text in NEST.items()}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert len(report.endpoints) == 1


QUEUED = "import { report } from './meter';\n" + STARTED["a worker's host"][0].replace("SEND", AWAITS.replace("WHO", "job.data"))  # fmt: skip
ADDS = "@Controller('run')\nexport class RunController {\n  constructor(@InjectQueue('usage') private readonly usage: Queue) {}\n  @Post()\n  async run(@Body() body: RunDto, @CurrentUser() user) { " + WORK + " await this.usage.add('report', { customer: user.customer, n: NUMBER }); return answer; }\n}\n"  # fmt: skip


@pytest.mark.parametrize(("number", "wanted"), [(TOKENS, set()), ("body.n", {"client_supplied_quantity"})])
def test_a_queue_that_a_constructor_is_given(tmp_path: Path, number: str, wanted: set[str]) -> None:
    tree = {"src/meter.ts": METER, "src/usage.ts": QUEUED, "src/run.ts": ADDS.replace("NUMBER", number)}
    report = audited(tmp_path, tree)
    assert codes(report) == wanted
    assert len(report.endpoints) == 2


HEARD = "import { report } from './meter';\nexport class Listener {\n  @OnEvent('usage.recorded')\n  async handle(event) { await report(event.customer, event.n, event.id); }\n}\n"
TELLS = "@Controller('run')\nexport class RunController {\n  @Post()\n  async run(@CurrentUser() user) { " + WORK + " TELL('usage.recorded', { customer: user.customer, n: answer.usage.total_tokens, id: answer.id }); return answer; }\n}\n"  # fmt: skip


@pytest.mark.parametrize(
    ("tell", "wanted"), [("await this.events.emitAsync", set()), ("this.events.emit", {"fire_and_forget"})]
)
def test_who_tells_an_event_waits_or_not(tmp_path: Path, tell: str, wanted: set[str]) -> None:
    tree = {"src/meter.ts": METER, "src/listener.ts": HEARD, "src/run.ts": TELLS.replace("TELL", tell)}
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(("step", "wanted"), [("mergeMap", set()), ("tap", {"fire_and_forget"})])
def test_a_step_of_a_stream_that_nobody_waits_for(tmp_path: Path, step: str, wanted: set[str]) -> None:
    text = f"import {{ report }} from './meter';\n@Injectable()\nexport class UsageInterceptor implements NestInterceptor {{\n  intercept(context, next) {{ const req = context.switchToHttp().getRequest(); return next.handle().pipe({step}(async () => {{ await report(req.user.customer, 1, req.id); }})); }}\n}}\n"
    assert codes(audited(tmp_path, {"src/meter.ts": METER, "src/usage.ts": text})) == wanted
