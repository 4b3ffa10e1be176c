"""`python -m tallystick.sandbox '{"port": 12111}'`: run the sandbox with settings given as JSON."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from tallystick.sandbox.serving import Settings, serve

asyncio.run(serve(msgspec.json.decode(sys.argv[1] if len(sys.argv) > 1 else "{}", type=Settings)))
