"""OpenMeter, over its HTTP API; written from its published description, never tried on the service."""

from tallystick.providers.openmeter.provider import OpenMeterProvider

__all__ = ["OpenMeterProvider"]
