# ruff: noqa: E501
"""Laravel as applications write it: named arguments, listeners."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

ANSWERED = """<?php
class AnswerController extends Controller
{
    public function store(Request $request)
    {
        $answer = OpenAI::chat()->create(['messages' => $request->input('messages')]);
        $request->user()->reportMeterEvent('tokens', quantity: COUNT, options: ['identifier' => $answer->id]);
        return $answer;
    }
}
"""
LISTENER = "<?php\nclass MeterAnswer\n{\n    public function handle(Answered $event): void\n    {\n        $event->user->reportMeterEvent('tokens', quantity: $event->tokens);\n    }\n}\n"


def test_laravel_names_its_arguments_and_listens(tmp_path: Path) -> None:
    for count, wanted in (
        ("$request->input('tokens')", {"client_supplied_quantity"}),
        ("$answer->usage->totalTokens", set()),
    ):
        tree = {"app/Http/Controllers/AnswerController.php": ANSWERED.replace("COUNT", count)}
        assert codes(audited(tmp_path / str(len(count)), tree)) == wanted, count
    report = audited(tmp_path / "listener", {"app/Listeners/MeterAnswer.php": LISTENER})
    assert report.verdict is Verdict.PASS


JOB = """<?php
class MeterAnswerJob implements ShouldQueue
{
    public function __construct(private User $user, private int $tokens)
    {
    }

    public function handle(): void
    {
        $this->user->reportMeterEvent('tokens', quantity: $this->tokens, options: ['identifier' => $this->job->uuid()]);
    }
}
"""
ASKING = """<?php
class AnswerController extends Controller
{
    public function store(Request $request)
    {
        $answer = OpenAI::chat()->create(['messages' => $request->input('messages')]);
        SEND;
        return $answer;
    }
}
"""


@pytest.mark.parametrize(
    "send",
    [
        "MeterAnswerJob::dispatch($request->user(), $answer->usage->totalTokens)",
        "dispatch(new MeterAnswerJob($request->user(), $answer->usage->totalTokens))",
        "Queue::push(new MeterAnswerJob($request->user(), $answer->usage->totalTokens))",
    ],
)
def test_a_job_and_who_puts_it_on_its_queue(tmp_path: Path, send: str) -> None:
    tree = {
        "app/Jobs/MeterAnswerJob.php": JOB,
        "app/Http/Controllers/AnswerController.php": ASKING.replace("SEND", send),
    }
    report = audited(tmp_path, tree)
    assert "store app/Http/Controllers/AnswerController.php" in {one.route for one in report.endpoints}
