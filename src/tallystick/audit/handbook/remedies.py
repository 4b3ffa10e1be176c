"""What to write in the framework that was found, one sentence a code and framework."""

from __future__ import annotations

AWAIT = "Here: `await` the report before the response is sent"
OFTEN = "Here: drain unsent rows every few minutes"
WHO = "Here: take the customer from"
NEXT = ("next-app", "next-pages", "next-action")
REMEDIES: dict[str, dict[tuple[str, ...], str]] = {
    "fire_and_forget": {
        NEXT: f"{AWAIT}, not in `after()` or `waitUntil()`.",
        ("express", "koa", "nest", "middleware"): f"{AWAIT}, not in `res.on('finish')` or a floating promise.",
        ("workers", "supabase-edge", "netlify"): f"{AWAIT}, or put it on a queue; `waitUntil()` has no retry.",
        ("fastapi", "starlette", "litestar"): f"{AWAIT}, not in `BackgroundTasks` or `asyncio.create_task`.",
        ("django",): "Here: write an outbox row in the same `transaction.atomic` block and drain it with Celery beat.",
        ("convex",): "Here: write the row in the mutation and drain it with `crons.interval({ minutes: 5 })`.",
        ("firebase",): "Here: await it before the function returns; what runs after the return may never run.",
    },
    "scheduled_reporting": {
        NEXT: f'{OFTEN}: `"schedule": "*/5 * * * *"` in vercel.json.',
        ("celery", "django"): f"{OFTEN}: `crontab(minute='*/5')` in the beat schedule.",
        ("supabase-edge",): f"{OFTEN}: `cron.schedule('drain', '*/5 * * * *', …)`.",
        ("workers",): f'{OFTEN}: `crons = ["*/5 * * * *"]` in wrangler.toml.',
        ("convex",): f"{OFTEN}: `crons.interval('drain', {{ minutes: 5 }}, …)`.",
        ("inngest", "trigger.dev"): f"{OFTEN} (`cron: '*/5 * * * *'`), or send an event from the request instead.",
        ("bullmq",): f"{OFTEN} (`pattern: '*/5 * * * *'`), or add a job from the request instead.",
        ("lambda",): f"{OFTEN}: `Schedule: rate(5 minutes)`.",
    },
    "errors_swallowed": {
        ("bullmq", "inngest", "trigger.dev", "celery"): "Here: throw, so that the queue tries again; a caught error is a finished job.",
        (*NEXT, "express", "workers", "fastapi", "django"): "Here: insert the unsent row in the catch (or before the call) and drain it every few minutes.",
    },
    "client_supplied_customer": {
        NEXT: f"{WHO} `await auth()`, never from `await req.json()`.",
        ("express", "koa", "nest", "middleware"): f"{WHO} `req.user` that your own middleware set.",
        ("fastapi", "starlette", "litestar"): f"{WHO} a dependency: `user = Depends(current_user)`.",
        ("django",): f"{WHO} `request.user`.",
        ("flask",): f"{WHO} `current_user` or `g`.",
        ("trpc",): f"{WHO} `ctx.session`, not from `input`.",
        ("convex",): f"{WHO} `await ctx.auth.getUserIdentity()`.",
        ("firebase",): f"{WHO} `request.auth.uid`.",
        ("supabase-edge",): f"{WHO} `supabase.auth.getUser(jwt)`.",
    },
}  # fmt: skip


def fitting(code: str, framework: str) -> str:
    """The sentence for this framework, or an empty text."""
    return next((text for names, text in REMEDIES.get(code, {}).items() if framework in names), "")
