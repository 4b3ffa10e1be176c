"""The provider port, and one folder a provider."""

from tallystick.providers.port import (
    FOR_EVER,
    Answer,
    Change,
    Check,
    Instruction,
    Outcome,
    Profile,
    Provider,
    Wanted,
)

__all__ = [
    "FOR_EVER",
    "Answer",
    "Change",
    "Check",
    "Instruction",
    "Outcome",
    "Profile",
    "Provider",
    "Wanted",
]
