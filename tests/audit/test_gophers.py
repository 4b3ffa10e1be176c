# ruff: noqa: E501
"""Go as it is written: methods behind fields, parameters built before the call, errors as values. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

MODULE = "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n"
MAIN = """package main

ABOVE

func run(c *gin.Context) {
	var body Ask
	if err := c.ShouldBindJSON(&body); err != nil {
		c.JSON(400, err)
		return
	}
	account := c.MustGet("account").(*Account)
	answer, err := client.CreateChatCompletion(c, body.Prompt)
	if err != nil {
		c.JSON(500, err)
		return
	}
BODY
	c.JSON(200, answer)
}

func main() {
	r := gin.Default()
	r.POST("/run", run)
	r.Run()
}
"""
REFUSED = "; err != nil {\n\t\tc.JSON(502, err)\n\t\treturn\n\t}"
REPORT = """func report(ctx context.Context, customer string, n int64) error {
	params := &stripe.BillingMeterEventParams{Payload: map[string]string{"value": strconv.FormatInt(n, 10), "stripe_customer_id": customer}}
	_, err := meterevent.New(params)
	return err
}"""
KEPT = """func report(ctx context.Context, customer string, n int64) error {
	var failed error
	_, err := meterevent.New(&stripe.BillingMeterEventParams{Payload: map[string]string{"value": strconv.FormatInt(n, 10), "stripe_customer_id": customer}})
	if err != nil {
		failed = fmt.Errorf("meter: %w", err)
		slog.Error("meter", "err", err)
	}
	return failed
}"""
RAW = """	form := url.Values{}
	req, _ := http.NewRequestWithContext(c, "POST", "https://api.stripe.com/v1/billing/meter_events", strings.NewReader(form.Encode()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.JSON(502, err)
		return
	}
	defer resp.Body.Close()"""


def go(body: str, above: str = REPORT, module: str = MODULE) -> Tree:
    return {"go.mod": module, "main.go": MAIN.replace("ABOVE", above).replace("BODY", body)}


def built(number: str, customer: str) -> str:
    payload = f'map[string]string{{"value": fmt.Sprintf("%d", {number}), "stripe_customer_id": {customer}}}'
    return f"\tparams := &stripe.BillingMeterEventParams{{Payload: {payload}}}\n\tif _, err := meterevent.New(params){REFUSED}"


WAYS = {
    "built before": built,
    "a helper": lambda number, customer: f"\tif err := report(c, {customer}, {number}){REFUSED}",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_servers_own_numbers_pass(tmp_path: Path, way: str) -> None:
    report = audited(tmp_path, go(WAYS[way]("answer.Usage.TotalTokens", "account.Customer")))
    assert report.verdict is Verdict.PASS, report.findings


@pytest.mark.parametrize("way", WAYS)
def test_the_clients_number_is_found(tmp_path: Path, way: str) -> None:
    report = audited(tmp_path, go(WAYS[way]("body.Tokens", "account.Customer")))
    assert "client_supplied_quantity" in codes(report), report.findings


@pytest.mark.parametrize("way", WAYS)
def test_the_clients_customer_is_found(tmp_path: Path, way: str) -> None:
    report = audited(tmp_path, go(WAYS[way]("answer.Usage.TotalTokens", "body.Customer")))
    assert "client_supplied_customer" in codes(report), report.findings


CALL = "report(c, account.Customer, answer.Usage.TotalTokens)"
LOST = {
    "a goroutine": (f"\tgo {CALL}", "fire_and_forget"),
    "dropped": (f"\t_ = {CALL}", "errors_swallowed"),
    "not looked at": (f"\t{CALL}", "errors_swallowed"),
    "logged": (f"\tif err := {CALL}; err != nil {{\n\t\tlog.Println(err)\n\t}}", "errors_swallowed"),
}


@pytest.mark.parametrize("how", LOST)
def test_an_error_that_is_lost(tmp_path: Path, how: str) -> None:
    body, code = LOST[how]
    assert code in codes(audited(tmp_path, go(body)))


@pytest.mark.parametrize(
    "tree",
    [go(f"\tif err := {CALL}{REFUSED}", KEPT), go(RAW, "")],
    ids=["kept and returned", "made, then sent"],
)
def test_an_error_that_comes_back(tmp_path: Path, tree: Tree) -> None:
    report = audited(tmp_path, tree)
    assert report.verdict is Verdict.PASS, report.findings


OLD = f"\tparams := &stripe.UsageRecordParams{{SubscriptionItem: stripe.String(account.Item), Quantity: stripe.Int64(1)}}\n\tif _, err := usagerecord.New(params){REFUSED}"


@pytest.mark.parametrize(("version", "is_right"), [("81", True), ("82", False)])
def test_usage_records_by_version(tmp_path: Path, version: str, is_right: bool) -> None:
    report = audited(tmp_path, go(OLD, "", MODULE.replace("82", version)))
    assert ("legacy_api_removed" not in codes(report)) is is_right, report.findings


SERVER: Tree = {
    "go.mod": MODULE,
    "api/server.go": """package api

type Server struct{ meter Meter }

func (s *Server) handleRun(w http.ResponseWriter, r *http.Request) {
	var body Ask
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, "bad", 400)
		return
	}
	answer, err := s.ai.CreateChatCompletion(r.Context(), body.Prompt)
	if err != nil {
		http.Error(w, "x", 500)
		return
	}
	if err := s.meter.Report(r.Context(), CUSTOMER, NUMBER); err != nil {
		http.Error(w, "x", 502)
	}
}

func (s *Server) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /run", s.handleRun)
	return mux
}
""",
    "billing/stripe.go": """package billing

type StripeMeter struct{}

func (m *StripeMeter) Report(ctx context.Context, customer string, n int) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{Payload: map[string]string{"value": strconv.Itoa(n), "stripe_customer_id": customer}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
""",
}
OWN = "accountOf(r.Context()).Customer"
BEHIND = [
    (OWN, "answer.Tokens", ""),
    (OWN, "body.Tokens", "client_supplied_quantity"),
    ('r.Header.Get("X-Customer")', "answer.Tokens", "client_supplied_customer"),
]


@pytest.mark.parametrize(("customer", "number", "code"), BEHIND)
def test_a_method_behind_a_field(tmp_path: Path, customer: str, number: str, code: str) -> None:
    said = SERVER["api/server.go"].replace("CUSTOMER", customer).replace("NUMBER", number)
    report = audited(tmp_path, {**SERVER, "api/server.go": said})
    assert codes(report) == ({code} if code else set()), report.findings
    assert [one.reports for one in report.endpoints] == [True]


POLAR = """type Polar struct{ base string }

func (p *Polar) do(ctx context.Context, method, path string, body any) error {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, encoded(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return errors.New(answer.Status)
	}
	return nil
}

func (p *Polar) Ingest(ctx context.Context, customer string, tokens int64) error {
	event := map[string]any{"name": "tokens", "external_customer_id": customer, "metadata": map[string]any{"tokens": tokens}}
	return p.do(ctx, http.MethodPost, "/v1/events/ingest", map[string]any{"events": []any{event}})
}"""
TOLD = "\tif err := polar.Ingest(c, account.ID, answer.Usage.TotalTokens)"
LOGGED = "; err != nil {\n\t\tslog.Error(`polar`, `err`, err)\n\t}"


@pytest.mark.parametrize(("then", "wanted"), [(REFUSED, set()), (LOGGED, {"errors_swallowed"})])
def test_a_helper_of_ones_own_that_does_requests(tmp_path: Path, then: str, wanted: set[str]) -> None:
    """Its name says nothing; the address among what it is given does."""
    text = MAIN.replace("ABOVE", POLAR).replace("BODY", TOLD + then)
    report = audited(tmp_path, {"go.mod": "module shop\n", "main.go": text})
    assert codes(report) == wanted
    assert [one.reports for one in report.endpoints] == [True]
