"""The provider port, and one folder a provider."""

from tallystick.providers.check import Check
from tallystick.providers.port import (
    FOR_EVER,
    Answer,
    Change,
    Instruction,
    Outcome,
    Profile,
    Provider,
    Wanted,
)
from tallystick.providers.reports import Notice, Rejection, Report, Reports, Sample

__all__ = [
    "FOR_EVER",
    "Answer",
    "Change",
    "Check",
    "Instruction",
    "Notice",
    "Outcome",
    "Profile",
    "Provider",
    "Rejection",
    "Report",
    "Reports",
    "Sample",
    "Wanted",
]
