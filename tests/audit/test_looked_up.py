# ruff: noqa: E501
"""A stored customer that is looked up by an id in the request: among all of them, or among those of who calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

ANOTHERS = {"client_supplied_customer"}
RAILS = """class RunsController < ApplicationController
  before_action :authenticate_user!

  def create
    answer = Client.chat(params[:prompt])
    ORG
    Stripe::Billing::MeterEvent.create(event_name: 'runs', identifier: answer.id, payload: { stripe_customer_id: CUSTOMER, value: answer.usage.total_tokens })
    render json: {}
  end
end
"""
OF_RAILS = {
    ("org = Org.find(params[:org_id])", "org.customer"): ANOTHERS,
    ("", "Org.find(params[:org_id]).customer"): ANOTHERS,
    ("org = Org.find_by!(id: params[:org_id])", "org.customer"): ANOTHERS,
    ("org = current_user.orgs.find(params[:org_id])", "org.customer"): set(),
    ("org = policy_scope(Org).find(params[:org_id])", "org.customer"): set(),
    ("org = Org.visible_to(current_user).find(params[:org_id])", "org.customer"): set(),
    ("org = Org.find(params[:org_id])\n    authorize org", "org.customer"): set(),
    ("org = Org.find(params[:org_id])\n    return head(:not_found) unless org.users.include?(current_user)", "org.customer"): set(),
    ("org = Org.find_by!(api_key: params[:key])", "org.customer"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_RAILS)
def test_whose_row_rails_finds(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {
        "app/controllers/runs_controller.rb": RAILS.replace("ORG", given[0]).replace("CUSTOMER", given[1])
    }
    assert codes(audited(tmp_path, tree)) == OF_RAILS[given]


def test_a_guard_that_rails_has_elsewhere(tmp_path: Path) -> None:
    made = RAILS.replace("ORG", "org = Org.find(params[:org_id])").replace("CUSTOMER", "org.customer")
    base = "class ApplicationController < ActionController::Base\n  before_action :require_membership\nend\n"
    tree = {
        "app/controllers/runs_controller.rb": made,
        "app/controllers/application_controller.rb": base,
    }
    assert codes(audited(tmp_path, tree)) == set()


LARAVEL = """<?php
namespace App\\Http\\Controllers;
use App\\Models\\Team;
class RunController extends Controller
{
    public function store(Request $request)
    {
        $answer = OpenAI::chat()->create(['messages' => $request->input('messages')]);
        TEAM
        RECEIVER->reportMeterEvent('tokens', quantity: $answer->usage->totalTokens);
        return $answer;
    }
}
"""
ROUTES = "<?php\nRoute::middleware(['GUARD'])->group(function () {\n    Route::post('/runs', [RunController::class, 'store']);\n});\n"
OF_LARAVEL = {
    ("$team = Team::findOrFail($request->input('team_id'));", "$team", "auth:sanctum"): ANOTHERS,
    ("$team = Team::find($request->team_id);", "$team", "auth"): ANOTHERS,
    ("", "Team::findOrFail($request->validated('team_id'))", "auth"): ANOTHERS,
    ("$team = Team::where('id', $request->input('team_id'))->firstOrFail();", "$team", "auth"): ANOTHERS,
    ("$team = $request->user()->teams()->findOrFail($request->input('team_id'));", "$team", "auth"): set(),
    ("$team = Team::where('user_id', $request->user()->id)->findOrFail($request->input('team_id'));", "$team", "auth"): set(),
    ("$team = Team::findOrFail($request->input('team_id')); $this->authorize('bill', $team);", "$team", "auth"): set(),
    ("$team = Team::findOrFail($request->input('team_id')); abort_unless($request->user()->is($team->owner), 403);", "$team", "auth"): set(),
    ("$team = Team::findOrFail($request->input('team_id'));", "$team", "service.key"): set(),
    ("$team = Team::findOrFail($request->input('team_id'));", "$request->user()", "auth"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_LARAVEL)
def test_whose_row_laravel_finds(tmp_path: Path, given: tuple[str, str, str]) -> None:
    made, receiver, guard = given
    tree = {
        "app/Http/Controllers/RunController.php": LARAVEL.replace("TEAM", made).replace("RECEIVER", receiver),
        "routes/api.php": ROUTES.replace("GUARD", guard),
    }
    assert codes(audited(tmp_path, tree)) == OF_LARAVEL[given]


DJANGO = """import stripe
from rest_framework.views import APIView

class RunView(APIView):
    permission_classes = [GUARD]

    def post(self, request):
        answer = client.responses.create(input=request.data["prompt"])
        org = FOUND
        stripe.billing.MeterEvent.create(event_name="runs", identifier=answer.id, payload={"stripe_customer_id": org.customer, "value": answer.usage.total_tokens})
        return Response({})
"""
OF_DJANGO = {
    ('Org.objects.get(pk=request.data["org"])', "IsAuthenticated"): ANOTHERS,
    ('get_object_or_404(Org, pk=request.data["org"])', "IsAuthenticated"): ANOTHERS,
    ('Org.objects.get(pk=request.data["org"])', "IsMember"): set(),
    ('Org.objects.get(pk=request.data["org"], members=request.user)', "IsAuthenticated"): set(),
    ('get_object_or_404(Org.objects.filter(members=request.user), pk=request.data["org"])', "IsAuthenticated"): set(),
    ('get_object_or_404(self.get_queryset(), pk=request.data["org"])', "IsAuthenticated"): set(),
    ('Org.objects.seen_by(request).get(pk=request.data["org"])', "IsAuthenticated"): set(),
}  # fmt: skip


@pytest.mark.parametrize("given", OF_DJANGO)
def test_whose_row_django_finds(tmp_path: Path, given: tuple[str, str]) -> None:
    tree = {"views.py": DJANGO.replace("FOUND", given[0]).replace("GUARD", given[1])}
    assert codes(audited(tmp_path, tree)) == OF_DJANGO[given]
