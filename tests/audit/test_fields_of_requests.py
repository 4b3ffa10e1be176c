# ruff: noqa: E501
"""How much was used as the client says it, by whatever road a framework takes it: each beside what the server knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

FORGED = {"client_supplied_quantity"}
LARAVEL = """<?php
namespace App\\Http\\Controllers;
use App\\Jobs\\MeterPages;
use App\\Models\\Scan;
use Illuminate\\Http\\Request;
class ScanController extends Controller
{
    public function store(Request $request)
    {
        $answer = OpenAI::chat()->create(['messages' => $request->input('messages')]);
        GIVEN
        $request->user()->reportMeterEvent('pages', quantity: NUMBER);
        return $answer;
    }
}
"""
OF_LARAVEL = {
    ("$data = $request->validate(['pages' => 'required|integer']);", "$data['pages']"): FORGED,
    ("$data = $request->validated();", "(int) $data['pages']"): FORGED,
    ("$data = $request->safe()->only(['pages']);", "$data['pages']"): FORGED,
    ("$rules = Validator::make($request->all(), ['pages' => 'integer']); $data = $rules->validated();", "$data['pages']"): FORGED,
    ("$scan = Scan::create($request->validated());", "$scan->pages"): FORGED,
    ("$scan = Scan::create(['pages' => $request->input('pages')]);", "$scan->pages"): FORGED,
    ("", "$request->validated('pages')"): FORGED,
    ("", "(int) $request->json('pages')"): FORGED,
    ("", "request('pages')"): FORGED,
    ("", "$request->pages"): FORGED,
    ("$data = $request->validate(['pages' => 'required|integer']);", "$answer->usage->totalTokens"): set(),
    ("$scan = Scan::create(['pages' => $answer->usage->totalTokens, 'title' => $request->input('title')]);", "$scan->pages"): set(),
    ("$data = ['pages' => (int) $answer->usage->totalTokens];", "$data['pages']"): set(),
    ("", "$request->user()->pages"): set(),
    ("", "$request->team->pages"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_LARAVEL)
def test_what_laravel_takes_out_of_a_request(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {
        "app/Http/Controllers/ScanController.php": LARAVEL.replace("GIVEN", given[0]).replace(
            "NUMBER", given[1]
        )
    }
    assert codes(audited(tmp_path, tree)) == OF_LARAVEL[given]


RAILS = """class ScansController < ApplicationController
  def create
    answer = Client.chat(params[:prompt])
    GIVEN
    Stripe::Billing::MeterEvent.create(event_name: 'pages', identifier: answer.id, payload: { stripe_customer_id: current_user.customer, value: NUMBER })
    render json: { text: answer.text }
  end

  private

  def scan_params
    params.require(:scan).permit(:pages, :title)
  end

  def measured
    Reader.read(params[:file])
  end
end
"""
OF_RAILS = {
    ("", "scan_params[:pages]"): FORGED,
    ("", "params.require(:scan)[:pages]"): FORGED,
    ("scan = current_user.scans.create!(scan_params)", "scan.pages"): FORGED,
    ("scan = Scan.create!(pages: params[:pages])", "scan.pages"): FORGED,
    ("usage = current_user.usages.create!(params.permit(:tokens))", "usage.tokens"): FORGED,
    ("scan = current_user.scans.create!(scan_params)", "answer.pages"): set(),
    ("scan = Scan.create!(pages: answer.pages, title: params[:title])", "scan.pages"): set(),
    ("scan = current_user.scans.create!(params.permit(:title))", "scan.pages"): set(),
    ("scan = measured", "scan.pages"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_RAILS)
def test_what_rails_lets_through(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {
        "app/controllers/scans_controller.rb": RAILS.replace("GIVEN", given[0]).replace("NUMBER", given[1])
    }
    assert codes(audited(tmp_path, tree)) == OF_RAILS[given]


DJANGO = """import json
import stripe
from rest_framework.views import APIView

class ScanView(APIView):
    def post(self, request):
        answer = client.responses.create(input=request.data["prompt"])
        GIVEN
        stripe.billing.MeterEvent.create(event_name="pages", identifier=answer.id, payload={"stripe_customer_id": request.user.customer, "value": NUMBER})
        return Response({"text": answer.text})
"""
OF_DJANGO = {
    ("checked = ScanSerializer(data=request.data); checked.is_valid(raise_exception=True)", 'checked.validated_data["pages"]'): FORGED,
    ("form = ScanForm(request.POST)", 'form.cleaned_data["pages"]'): FORGED,
    ("body = json.loads(request.body)", 'body["pages"]'): FORGED,
    ("body = ScanSchema().load(request.data)", 'body["pages"]'): FORGED,
    ("body = Scan.model_validate(request.data)", "body.pages"): FORGED,
    ("body = Scan(**request.data)", "body.pages"): FORGED,
    ('scan = Scan.objects.create(pages=request.data["pages"])', "scan.pages"): FORGED,
    ('scan = Scan(pages=request.data["pages"]); scan.save()', "scan.pages"): FORGED,
    ("checked = ScanSerializer(data=request.data)", "answer.usage.total_tokens"): set(),
    ("kept = json.loads(redis.get(answer.id))", 'kept["pages"]'): set(),
    ('scan = Scan.objects.create(pages=answer.usage.total_tokens, title=request.data["title"])', "scan.pages"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_DJANGO)
def test_what_python_makes_of_a_body(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {"views.py": DJANGO.replace("GIVEN", given[0]).replace("NUMBER", given[1])}
    assert codes(audited(tmp_path, tree)) == OF_DJANGO[given]


GO = """package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/billing/meterevent"
)

func report(customer string, n string, key string) error {
	_, err := meterevent.New(&stripe.BillingMeterEventParams{
		EventName: stripe.String("pages"), Identifier: stripe.String(key),
		Payload: map[string]string{"stripe_customer_id": customer, "value": n},
	})
	return err
}

HANDLER
"""
ECHO = 'func scan(c echo.Context) error {\n\tbody := new(Scan)\n\tif err := c.Bind(body); err != nil {\n\t\treturn err\n\t}\n\tdone := read(body.File)\n\treturn report(customerOf(c), NUMBER, done.ID)\n}\n\nfunc main() {\n\te := echo.New()\n\te.POST("/scans", scan)\n}\n'
CHI = 'func scan(w http.ResponseWriter, r *http.Request) {\n\tvar body Scan\n\tif err := readJSON(w, r, &body); err != nil {\n\t\thttp.Error(w, "no", 400)\n\t\treturn\n\t}\n\tdone := read(body.File)\n\tif err := report(customerOf(r), NUMBER, done.ID); err != nil {\n\t\thttp.Error(w, "no", 500)\n\t}\n}\n\nfunc main() {\n\thttp.HandleFunc("/scans", scan)\n}\n'


@pytest.mark.parametrize("handler", [ECHO, CHI])
@pytest.mark.parametrize(("number", "wanted"), [("body.Pages", FORGED), ("done.Pages", set())])
def test_what_go_reads_a_body_into(tmp_path: Path, handler: str, number: str, wanted: set[str]) -> None:
    tree = {"main.go": GO.replace("HANDLER", handler.replace("NUMBER", number))}
    assert codes(audited(tmp_path, tree)) == wanted


EXPRESS = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\napp.post('/scans', requireUser, async (req, res) => {\n  const done = await read(req.body.file);\n  GIVEN\n  await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: done.id, payload: { stripe_customer_id: req.user.customer, value: NUMBER } });\n  res.json(done);\n});\n"
OF_EXPRESS = {
    ("const { value } = await schema.validateAsync(req.body);", "value.pages"): FORGED,
    ("const dto = plainToInstance(Scan, req.body);", "dto.pages"): FORGED,
    ("const data = matchedData(req);", "data.pages"): FORGED,
    ("", "Number(req.query.pages).toFixed()"): FORGED,
    ("const scan = await prisma.scan.create({ data: { pages: req.body.pages } });", "scan.pages"): FORGED,
    ("const scan = await prisma.scan.create({ data: { pages: done.pages, title: req.body.title } });", "scan.pages"): set(),
    ("const dto = plainToInstance(Scan, req.body);", "done.pages"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_EXPRESS)
def test_what_javascript_checks_first(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {"server.ts": EXPRESS.replace("GIVEN", given[0]).replace("NUMBER", given[1])}
    assert codes(audited(tmp_path, tree)) == OF_EXPRESS[given]
