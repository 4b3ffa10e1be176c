"""Transactions on SQLite and PostgreSQL; the only place that knows SQL."""

from tallystick.storage.opening import open_store
from tallystick.storage.port import Flow, Statement, Store, Transaction, drive

__all__ = ["Flow", "Statement", "Store", "Transaction", "drive", "open_store"]
