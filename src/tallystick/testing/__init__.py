"""The kit for users' own tests: fixtures in `plugin`, and `temporary` for a Tally that exists already."""

from typing import Any

__all__ = ["temporary"]


def __getattr__(name: str) -> Any:
    """Import on first use: pytest loads the plugin in every project, also where nobody needs it."""
    if name != "temporary":
        raise AttributeError(f"module 'tallystick.testing' has no attribute {name!r}")
    from tallystick.testing.substitute import temporary

    return temporary
