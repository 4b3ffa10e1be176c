"""Entries become dispatches and reach the provider: inline attempt, relay, slots, backoff."""
