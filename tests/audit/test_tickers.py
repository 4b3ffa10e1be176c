# ruff: noqa: E501
"""Go's own clocks: however a ticker's beats are waited for, and wherever it was made; dates of Go and Python are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks_elsewhere import GO_FLUSH
from trees import Tree, audited, codes

REPORT = """package main

func keep(ctx context.Context, org string, n int) error {
	_, err := db.ExecContext(ctx, `INSERT INTO usage_records (customer_id, quantity, at) VALUES ($1, $2, now())`, org, n)
	return err
}
"""
MAIN = """package main

func work(w http.ResponseWriter, r *http.Request) {
	org := r.Context().Value("org").(string)
	if err := keep(r.Context(), org, 1); err != nil {
		http.Error(w, "no", 500)
		return
	}
	w.WriteHeader(200)
}

LOOP

func main() {
	START
	http.HandleFunc("/work", work)
	http.ListenAndServe(":8080", nil)
}
"""
MODULE = "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"
SEND = "if err := flush(ctx); err != nil { slog.Error(`flush`, `err`, err) }"
PLAIN = "go loop(context.Background())"
STRUCT = "type Sender struct {\n\tbeat *time.Ticker\n}\n\nfunc newSender() *Sender {\n\treturn &Sender{beat: time.NewTicker(EVERY)}\n}\n\n"
LOOPS = {
    "beats by name": ("func loop(ctx context.Context) {\n\tt := time.NewTicker(EVERY)\n\tfor now := range t.C {\n\t\tslog.Info(`at`, `now`, now)\n\t\tSEND\n\t}\n}", PLAIN),
    "at once, then by beats": ("func loop(ctx context.Context) {\n\tt := time.NewTicker(EVERY)\n\tfor ; true; <-t.C {\n\t\tSEND\n\t}\n}", PLAIN),
    "until the context ends": ("func loop(ctx context.Context) {\n\tfor ctx.Err() == nil {\n\t\tSEND\n\t\ttime.Sleep(EVERY)\n\t}\n}", PLAIN),
    "a loop in a goroutine": ("func loop(ctx context.Context) {\n\tt := time.NewTicker(EVERY)\n\tgo func() {\n\t\tfor {\n\t\t\tselect {\n\t\t\tcase <-ctx.Done():\n\t\t\t\treturn\n\t\t\tcase <-t.C:\n\t\t\t\tSEND\n\t\t\t}\n\t\t}\n\t}()\n}", "loop(context.Background())"),
    "a ticker that is given": ("func loop(ctx context.Context, t *time.Ticker) {\n\tfor range t.C {\n\t\tSEND\n\t}\n}", "go loop(context.Background(), time.NewTicker(EVERY))"),
    "a ticker in a field": (STRUCT + "func (s *Sender) Run(ctx context.Context) {\n\tfor {\n\t\tselect {\n\t\tcase <-ctx.Done():\n\t\t\treturn\n\t\tcase <-s.beat.C:\n\t\t\tSEND\n\t\t}\n\t}\n}", "s := newSender()\n\tgo s.Run(context.Background())"),
    "a timer set anew": ("func loop(ctx context.Context) {\n\tSEND\n\ttime.AfterFunc(EVERY, func() { loop(ctx) })\n}", PLAIN),
    "of two the one waited for": ("func loop(ctx context.Context) {\n\tslow, quick := time.NewTicker(OTHER), 1\n\tquickly := time.NewTicker(EVERY)\n\tfor {\n\t\tselect {\n\t\tcase <-slow.C:\n\t\t\tclean(ctx, quick)\n\t\tcase <-quickly.C:\n\t\t\tSEND\n\t\t}\n\t}\n}", PLAIN),
    "beside a ticker that nobody waits for": ("func loop(ctx context.Context) {\n\taside := time.NewTicker(OTHER)\n\tfor {\n\t\tselect {\n\t\tcase <-ctx.Done():\n\t\t\treturn\n\t\tcase <-aside.C:\n\t\t\tclean(ctx)\n\t\tdefault:\n\t\t}\n\t\tSEND\n\t\ttime.Sleep(EVERY)\n\t}\n}", PLAIN),
}  # fmt: skip
OTHERS = {"time.Hour": "48 * time.Hour", "24 * time.Hour": "time.Minute"}


def tree(loop: str, start: str, every: str) -> Tree:
    text = MAIN.replace("LOOP", loop).replace("START", start).replace("SEND", SEND)
    return {
        "go.mod": MODULE,
        "report.go": f"{REPORT}\n{GO_FLUSH}",
        "main.go": text.replace("EVERY", every).replace("OTHER", OTHERS[every]),
    }


@pytest.mark.parametrize("how", LOOPS)
def test_a_quick_ticker_passes(tmp_path: Path, how: str) -> None:
    """What failed is found again at the next beat, and a loop that is started is no report put off."""
    assert codes(audited(tmp_path, tree(*LOOPS[how], "time.Hour"))) == set()


@pytest.mark.parametrize("how", LOOPS)
def test_a_slow_ticker_is_found(tmp_path: Path, how: str) -> None:
    assert "scheduled_reporting" in codes(audited(tmp_path, tree(*LOOPS[how], "24 * time.Hour")))


ONCE = "func loop(ctx context.Context) {\n\tfor _, org := range orgs(ctx) {\n\t\tslog.Info(`of`, `org`, org)\n\t\tSEND\n\t\ttime.Sleep(time.Second)\n\t}\n}"


def test_a_loop_over_customers_is_no_clock(tmp_path: Path) -> None:
    assert "fire_and_forget" in codes(audited(tmp_path, tree(ONCE, PLAIN, "time.Hour")))


DATES = {
    "go": ("main.go", "func monthStart(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }"),
    "go, in a row": ("main.go", "// 1 0 0 0 0 stands for the first of a month"),
}  # fmt: skip


@pytest.mark.parametrize("date", DATES)
def test_the_numbers_of_a_date_are_no_crontab(tmp_path: Path, date: str) -> None:
    name, line = DATES[date]
    found = tree(*LOOPS["beats by name"], "time.Hour")
    found[name] = found[name].replace("package main\n", f"package main\n\n{line}\n")
    assert codes(audited(tmp_path, found)) == set()


SCRIPT = "# usage since the month began\nfrom shop.drain import report_usage\nSTART = datetime(2026, 1, 1, 0, 0, 0, 0)\nONE = [1, 0, 0, 0, 0, 1]\nreport_usage()\n"


def test_the_numbers_of_a_date_in_python(tmp_path: Path) -> None:
    """A program that nothing starts says nothing of how often it runs, whatever dates it names."""
    drain = "import stripe\n\ndef report_usage():\n    for row in UsageEvent.objects.filter(reported=False):\n        stripe.billing.MeterEvent.create(event_name='calls', identifier=row.id, payload={'stripe_customer_id': row.customer, 'value': row.count})\n        row.update(reported=True)\n"
    report = audited(tmp_path, {"shop/__init__.py": "", "shop/drain.py": drain, "report.py": SCRIPT})
    assert not any("30 days" in one.message or "0, 0" in one.message for one in report.findings)
