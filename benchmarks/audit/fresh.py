"""What a newcomer waits for: the auditor on a fresh Next.js and a fresh FastAPI project, dependencies installed.

The projects are written here as the usual generators leave them, with a dependency folder of realistic size beside the
sources. Fails above five seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from measuring import TALLYSTICK, measured

PROMISE_SECONDS = 5.0
NEXT = {
    ".gitignore": "/node_modules\n/.next/\n/out/\n*.tsbuildinfo\nnext-env.d.ts\n.env*\n",
    "package.json": json.dumps(
        {
            "name": "my-app",
            "private": True,
            "scripts": {"dev": "next dev", "build": "next build"},
            "dependencies": {"next": "15.3.0", "react": "^19.0.0", "react-dom": "^19.0.0"},
            "devDependencies": {"typescript": "^5", "@types/node": "^20"},
        }
    ),
    "tsconfig.json": json.dumps(
        {"compilerOptions": {"strict": True, "jsx": "preserve", "paths": {"@/*": ["./src/*"]}}}
    ),
    "next.config.ts": 'import type { NextConfig } from "next";\n\nexport default {} satisfies NextConfig;\n',
    "src/app/layout.tsx": (
        'import "./globals.css";\n\nexport default function RootLayout({ children }: { children: React.ReactNode }) {\n'
        '  return (\n    <html lang="en">\n      <body>{children}</body>\n    </html>\n  );\n}\n'
    ),
    "src/app/page.tsx": "export default function Home() {\n  return <main>Edit src/app/page.tsx</main>;\n}\n",
}
FASTAPI = {
    ".gitignore": ".venv/\n__pycache__/\n",
    "pyproject.toml": '[project]\nname = "my-api"\nversion = "0.1.0"\ndependencies = ["fastapi[standard]"]\n',
    "app/__init__.py": "",
    "app/main.py": (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        "@app.get('/')\ndef read_root():\n    return {'Hello': 'World'}\n\n\n"
        "@app.get('/items/{item_id}')\ndef read_item(item_id: int, q: str | None = None):\n"
        "    return {'item_id': item_id, 'q': q}\n"
    ),
}
PROJECTS = {
    "Next.js": (NEXT, "node_modules", "js", 15_000),
    "FastAPI": (FASTAPI, ".venv/lib/site-packages", "py", 3_000),
}


def main() -> int:
    """Audit both; print the time and the first line of the answer."""
    slowest = 0.0
    for name, (files, dependencies, suffix, count) in PROJECTS.items():
        with tempfile.TemporaryDirectory(prefix="tallystick-fresh-") as folder:
            plant(Path(folder), files, dependencies, suffix, count)
            run = measured([*TALLYSTICK, "."], Path(folder))
        answer = next(line.strip() for line in run.output.splitlines() if line.strip())
        print(f"{name:8} {run.seconds:5.2f} s  exit {run.status}  {answer}")
        slowest = max(slowest, run.seconds)
    return 0 if slowest <= PROMISE_SECONDS else 1


def plant(root: Path, files: dict[str, str], dependencies: str, suffix: str, count: int) -> None:
    """Write the project and its installed dependencies."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for number in range(count):
        folder = root / dependencies / f"package{number // 50}"
        if not number % 50:
            folder.mkdir(parents=True)
        (folder / f"module{number}.{suffix}").write_text("stripe = 1\n")


if __name__ == "__main__":
    sys.exit(main())
