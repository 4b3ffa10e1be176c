# ruff: noqa: E501
"""What Django runs when a row is saved is called by every write of that row."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SIGNAL = """import stripe
from django.db.models.signals import post_save
from django.dispatch import Signal, receiver
from billing.models import Usage

refused = Signal()

DECORATOR
def report(sender, instance, created, **kwargs):
    if created:
        stripe.billing.MeterEvent.create(event_name="docs", identifier=str(instance.id), payload={"stripe_customer_id": instance.account.customer_id, "value": "1"})
AFTER
"""
MODELS = "from django.db import models\n\nclass Usage(models.Model):\n    account = models.ForeignKey('Account', on_delete=models.CASCADE)\n"
VIEWS = """from django.contrib.auth.decorators import login_required
from billing.models import Usage

@login_required
def write(request):
    text = generate(request.POST["topic"])
    BODY
    return render(request, "done.html", {"text": text})
"""
URLS = "from django.urls import path\nfrom shop.views import write\nurlpatterns = [path('write/', write)]\n"
PRICES = {"templates/pricing.html": "<p>$0.05 per document after the first 100 documents</p>\n"}


def shop(
    decorator: str, after: str = "", body: str = "Usage.objects.create(account=request.user.account)"
) -> Tree:
    return PRICES | {
        "billing/models.py": MODELS,
        "billing/signals.py": SIGNAL.replace("DECORATOR", decorator).replace("AFTER", after),
        "shop/views.py": VIEWS.replace("BODY", body),
        "shop/urls.py": URLS,
    }


@pytest.mark.parametrize(
    ("decorator", "after"),
    [
        ("@receiver(post_save, sender=Usage)", ""),
        ("@receiver([post_save], sender='billing.Usage')", ""),
        ("@receiver(post_save)", ""),
        ("", "post_save.connect(report, sender=Usage)"),
    ],
)
def test_what_a_saved_row_runs_is_alive(tmp_path: Path, decorator: str, after: str) -> None:
    report = audited(tmp_path, shop(decorator, after))
    assert report.verdict == "pass"
    assert codes(report) == set()


@pytest.mark.parametrize("decorator", ["", "@receiver(refused)"])
def test_what_nothing_subscribes_or_sends_is_dead(tmp_path: Path, decorator: str) -> None:
    assert codes(audited(tmp_path, shop(decorator))) == {"never_reported"}


TRIED = "try:\n        WRITE\n    except Exception as problem:\n        log.warning('%s', problem)"


@pytest.mark.parametrize(
    "write",
    [
        "Usage.objects.create(account=request.user.account)",
        "Usage(account=request.user.account).save()",
        "used = Usage(account=request.user.account); used.save()",
    ],
)
def test_a_write_is_the_way_to_its_signal(tmp_path: Path, write: str) -> None:
    """What the signal raises comes up where the row is written, and is lost there."""
    lost = shop("@receiver(post_save, sender=Usage)", body=TRIED.replace("WRITE", write))
    assert codes(audited(tmp_path, lost)) == {"errors_swallowed"}


def test_a_write_of_another_model_is_no_way_to_it(tmp_path: Path) -> None:
    other = shop(
        "@receiver(post_save, sender=Usage)", body=TRIED.replace("WRITE", "Draft.objects.create(text=text)")
    )
    assert codes(audited(tmp_path, other)) == set()
