"""One audited tree as the rules see it: ways with their clocks, tables, queues and endpoints."""
