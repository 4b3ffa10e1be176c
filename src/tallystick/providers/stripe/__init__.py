"""Stripe, through its official client; no Stripe type leaves this folder."""

from tallystick.providers.stripe.provider import StripeProvider

__all__ = ["StripeProvider"]
