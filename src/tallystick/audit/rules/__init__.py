"""The rules: each decides one finding on the records of a case, never on syntax."""

from tallystick.audit.rules.registry import RULES

__all__ = ["RULES"]
