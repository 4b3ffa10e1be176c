"""Exact quantity, money, instants, identifiers, and the ports for clock and ids. No I/O, no floats."""
