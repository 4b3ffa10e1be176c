"""Lago, over its HTTP API; written from its published description, never tried on the service."""

from tallystick.providers.lago.provider import LagoProvider

__all__ = ["LagoProvider"]
