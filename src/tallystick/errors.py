"""Every error tallystick raises, in one tree.

Catch at the height you need::

    TallystickError
    ├── ConfigError                 the configuration or a declaration is wrong; nothing was started
    │   ├── DeclarationError        a decorator, a meter or a route is declared wrongly
    │   ├── UndeclaredRoutesError   routes that are neither metered nor exempt
    │   └── UnsafeStoreError        a database setting would lose acknowledged entries
    ├── QuantityError               a quantity is not exact, finite, non-negative or in bounds
    ├── UnknownMeterError           no meter of that name is declared
    ├── IdentifierError             a text is not an entry's public id
    ├── TransactionError            `on=` is not an open transaction of the ledger's own database
    ├── LedgerError                 the ledger could not write; the entry is not recorded
    │   ├── LedgerBusyError         the queue is full, or a lock was held longer than the budget
    │   └── SchemaError             the tables are missing, older or newer than this code
    ├── ActionError                 an action was used wrongly: twice resolved, never awaited
    ├── ProviderError               the provider could not be asked or answered nonsense
    │   ├── NoSuchCustomerError     the provider does not have that customer (any more)
    │   └── KeyRefusedError         the provider refuses our key; a ConfigError, too
    └── NoticeError                 a webhook that is not the provider's own, or of the other mode
"""


class TallystickError(Exception):
    """Root of every error raised by tallystick."""


class TallystickWarning(UserWarning):
    """Root of every warning issued by tallystick."""


class ConfigError(TallystickError):
    """The configuration or a declaration is wrong; nothing was started."""


class DeclarationError(ConfigError):
    """A decorator, a meter or a route is declared wrongly."""


class UndeclaredRoutesError(ConfigError):
    """Routes that are neither metered nor exempt."""


class UnsafeStoreError(ConfigError):
    """A database setting would lose acknowledged entries."""


class QuantityError(TallystickError, ValueError):
    """A quantity is not exact, finite, non-negative or in bounds."""


class UnknownMeterError(TallystickError, LookupError):
    """No meter of that name is declared."""


class IdentifierError(TallystickError, ValueError):
    """A text is not an entry's public id."""


class TransactionError(TallystickError):
    """`on=` is not an open transaction of the ledger's own database."""


class LedgerError(TallystickError):
    """The ledger could not write; the entry is not recorded."""


class LedgerBusyError(LedgerError):
    """The queue is full, or a lock was held longer than the budget."""


class LedgerUnreachableError(LedgerError):
    """The connection to the ledger broke; whether the commit happened is found out by trying again."""


class EntryRefusedError(LedgerError):
    """The database refuses this entry, and would refuse it again."""


class SchemaError(LedgerError):
    """The tables are missing, older or newer than this code."""


class ActionError(TallystickError):
    """An action was used wrongly: resolved twice, or never awaited."""


class ProviderError(TallystickError):
    """The provider could not be asked, or answered nonsense."""


class NoSuchCustomerError(ProviderError):
    """The provider does not have that customer, or not any more."""


class KeyRefusedError(ProviderError, ConfigError):
    """The provider refuses our key: nothing can be asked until it is mended."""


class NoticeError(TallystickError):
    """A webhook is not the provider's own, of the other mode, or unreadable; it is not taken."""
