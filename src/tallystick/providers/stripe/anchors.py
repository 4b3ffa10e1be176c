"""The anchor of a ledger in the metadata of a product made for it; nobody is ever billed for that product.

Source: Stripe's API reference (Products, Metadata, Idempotent requests). Metadata cannot be compared and set at
once, so the idempotency key does it: it names ledger and generation, and a second writer with other words is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import stripe

from tallystick.errors import ProviderError
from tallystick.providers.anchors import Anchor
from tallystick.providers.transport import NotSent


class StripeAnchors:
    """Anchors at Stripe; `client` gives the client of the moment."""

    name = "stripe"

    def __init__(self, client: Callable[[], stripe.StripeClient]) -> None:
        self._client = client

    def read(self, ledger: str) -> Anchor | None:
        """The anchor in the product's metadata; None when there is no such product."""
        try:
            product: Any = self._client().v1.products.retrieve(_product(ledger))
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise ProviderError(f"Stripe's anchor cannot be read: {error}") from error
        except (stripe.StripeError, NotSent, OSError, ValueError) as error:
            raise ProviderError(f"Stripe's anchor cannot be read: {error}") from error
        try:
            return msgspec.convert(product.metadata.to_dict(), Anchor, strict=False)
        except msgspec.ValidationError as error:
            raise ProviderError(f"Stripe's anchor ({_product(ledger)}) is damaged: {error}") from error

    def write(self, anchor: Anchor, before: Anchor | None) -> bool:
        """Put it into the metadata, under a key that only one writer of a generation can use."""
        told: Any = {"metadata": {k: str(v) for k, v in msgspec.structs.asdict(anchor).items()}}
        key: Any = {"idempotency_key": f"tallystick-anchor-{anchor.ledger}-{anchor.generation}"}
        products = self._client().v1.products
        try:
            if before is None:
                about: Any = {"name": "tallystick ledger (do not delete)", "active": False, **told}
                about["id"] = _product(anchor.ledger)
                products.create(about, key)
            else:
                products.update(_product(anchor.ledger), told, key)
        except stripe.IdempotencyError:
            return False
        except stripe.InvalidRequestError as error:
            if before is None and "already exists" in str(error):
                return False
            raise ProviderError(f"Stripe's anchor cannot be written: {error}") from error
        except (stripe.StripeError, NotSent, OSError, ValueError) as error:
            raise ProviderError(f"Stripe's anchor cannot be written: {error}") from error
        return True


def _product(ledger: str) -> str:
    return f"tallystick_ledger_{ledger}"
