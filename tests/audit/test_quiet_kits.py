"""Kits of meters that answer `{ data, error }` and raise nothing, and whether anybody looks. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

ROUTE = """import { Autumn } from 'autumn-js';
import { auth } from '@/auth';
const autumn = new Autumn({ secretKey: process.env.AUTUMN_SECRET_KEY });
export async function POST(req: Request) {
  const session = await auth();
  const answer = await openai.responses.create({ input: 'x' });
  const event = { customer_id: session.user.id, feature_id: 'tokens', value: answer.usage.total_tokens };
  TRACK
  return Response.json(answer);
}
"""
SWALLOWED = {"errors_swallowed"}
TRACKS: dict[str, set[str]] = {
    "await autumn.track(event);": SWALLOWED,
    "const sent = await autumn.track(event);": SWALLOWED,
    "try { await autumn.track(event); } catch (e) { return Response.json({ e }, { status: 502 }); }": SWALLOWED,
    "const { error } = await autumn.track(event);\n  if (error) throw new Error(error.message);": set(),
    "const sent = await autumn.track(event);\n  if (sent.error) { return Response.json({}, { status: 502 }); }": set(),
    "unwrap(await autumn.track(event));": set(),
}


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("version", ["^0.1.47", "^1.2.0", "latest"])
def test_nobody_looks_at_what_a_quiet_kit_answers(tmp_path: Path, track: str, version: str) -> None:
    tree = {
        "package.json": f'{{"dependencies": {{"next": "15", "autumn-js": "{version}"}}}}',
        "app/api/run/route.ts": ROUTE.replace("TRACK", track),
    }
    assert codes(audited(tmp_path, tree)) == (TRACKS[track] if version.startswith("^0") else set())
