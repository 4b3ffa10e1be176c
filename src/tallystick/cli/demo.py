"""`tallystick demo`: the main job, end to end, with a live progress bar and a table that must balance."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.demo.report import Report
from tallystick.demo.run import Plan, run


def demo(
    store: Annotated[str, typer.Option(help="Ledger URL; default a SQLite file that is removed.")] = "",
    calls: Annotated[int, typer.Option(help="How many calls of the hour (0: all).")] = 0,
    seed: Annotated[int, typer.Option(help="Which customers make which calls.")] = 1,
    from_hell: Annotated[
        bool, typer.Option("--provider-from-hell", help="Every fault the provider can have, all the time.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Replay one hour of real LLM traffic through a metered gateway; Stripe goes away, the gateway is killed thrice.

    Every fifth call is a stream; the client leaves one of twenty in its middle.

    Exit code 0 when everything balances, 1 when it does not.
    """
    console = Console(stderr=json)
    bar = Progress(
        TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    with bar:
        task = bar.add_task("replay", total=None)
        report = run(
            Plan(calls=calls, seed=seed, store=store, hell=from_hell),
            environ=dict(os.environ),
            tell=lambda text: bar.console.print(f"[dim]{text}[/dim]"),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        typer.echo(msgspec.json.encode({"balanced": report.balanced, **msgspec.to_builtins(report)}).decode())
    else:
        show(report, Console())
    raise typer.Exit(0 if report.balanced else 1)


def show(report: Report, console: Console) -> None:
    """Print the report."""
    table = Table(title="One hour of LLM traffic: does what is charged match what was consumed?")
    for name in (
        "meter",
        "calls answered 200",
        "entries",
        "recorded",
        "delivered",
        "provider's total",
        "differences",
    ):
        table.add_column(name, justify="left" if name == "meter" else "right")
    for line in report.lines:
        differences = " / ".join(str(number) for number in line.differences)
        colour = "red" if any(line.differences) else "green"
        numbers = (line.calls_answered, line.entries, line.recorded, line.delivered, line.provider)
        table.add_row(line.meter, *(f"{n:,}" for n in numbers), f"[{colour}]{differences}[/{colour}]")
    console.print(table)
    console.print(
        "differences: recorded - answered - abandoned - unanswered / recorded - delivered / "
        "delivered - provider's total",
        style="dim",
    )
    console.print(
        f"calls the client never got an answer to: {report.unanswered_recorded + report.unanswered_lost} "
        f"({report.unanswered_recorded} recorded, {report.unanswered_lost} not); other answers: "
        f"{report.other_answers or 'none'}; Stripe calls: {report.provider_calls:,}"
    )
    received, billed, whole = report.abandoned_tokens
    console.print(
        f"streams: {report.streams:,}, of them {report.abandoned} left by the client, which had received {received:,} "
        f"tokens; billed as delivered {billed:,}; the whole streams: {whole:,}"
    )
    (m50, m99), (u50, u99) = report.metered_ms, report.unmetered_ms
    console.print(
        f"latency metered {m50:.1f} ms median, {m99:.1f} ms p99; unmetered {u50:.1f} / {u99:.1f}; "
        f"added {m50 - u50:.1f} / {m99 - u99:.1f} ms"
    )
    invoices = Table(title="Three customers' invoices (cents)")
    for name in ("customer", "tokens", "calls", "Stripe would invoice", "our numbers priced", "difference"):
        invoices.add_column(name, justify="left" if name == "customer" else "right")
    for s in report.samples:
        row = (
            f"{s.tokens:,}",
            f"{s.calls:,}",
            f"{s.invoiced:,}",
            f"{s.expected:,}",
            str(s.invoiced - s.expected),
        )
        invoices.add_row(s.customer, *row)
    console.print(invoices)
    for problem in [*report.wrong_calls[:20], *report.chain_problems[:20]]:
        console.print(f"[red]{problem}[/red]")
    verdict = "[green]everything balances[/green]" if report.balanced else "[red]it does not balance[/red]"
    console.print(verdict)
