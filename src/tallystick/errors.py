"""Every error tallystick raises, in one tree.

Catch at the height you need::

    TallystickError
    ├── ConfigError            the configuration or a declaration is wrong
    └── …
"""


class TallystickError(Exception):
    """Root of every error raised by tallystick."""


class TallystickWarning(UserWarning):
    """Root of every warning issued by tallystick."""


class ConfigError(TallystickError):
    """The configuration or a declaration is wrong; nothing was started."""
