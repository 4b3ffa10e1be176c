"""Writes a synthetic TypeScript monorepo: seeded, so that two machines measure the same tree.

One web application (Next.js, app router), one API (Express), one worker, and as many packages of services,
components, schemas and tests as it takes. A few dozen routes are metered through a package two files away;
FLAWED of them take the quantity from the request, or do not wait for the record.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

NOUNS = (  # noqa: SIM905
    "account audit banner billing campaign cart catalog channel comment contact coupon customer dashboard deal "
    "device domain draft email event export feed field filter folder form group image import inbox invite invoice "
    "issue job label lead link list member message note offer order page partner payment plan policy post product "
    "profile project quota record region report review role route rule schedule score segment session setting "
    "share sheet signal site source step store stream survey table tag task team template ticket token topic trial "
    "upload user vendor view webhook widget workflow workspace"
).split()
VERBS = "archive assign attach build cancel check clone close compute create delete describe enable export".split()  # noqa: SIM905
METERED, FLAWED = 36, 9


LISTING = """
export async function NAME(orgId: string, input: Record<string, unknown>) {
  const rows = await prisma.NOUN.findMany({ where: { orgId, status: "open" }, orderBy: { createdAt: "desc" } });
  const total = rows.reduce((sum: number, row: { units: number }) => sum + row.units, 0);
  if (total > LIMIT) {
    await OTHER(orgId, rows[0].id);
  }
  return rows.map((row: { id: string }) => ({ id: row.id, label: `${input.prefix ?? "NOUN"}-${row.id}` }));
}
"""
WRITING = """
export async function NAME(input: { name: string; limit?: number }, orgId: string) {
  const { name, limit = LIMIT } = input;
  const existing = await prisma.NOUN.findFirst({ where: { orgId, name } });
  if (existing) {
    return prisma.NOUN.update({ where: { id: existing.id }, data: { limit, updatedAt: new Date() } });
  }
  try {
    const row = await prisma.NOUN.create({ data: { orgId, name, limit } });
    await OTHER(orgId, row.id);
    return row;
  } catch (error) {
    console.error("NAME failed", error);
    throw error;
  }
}
"""
MERGING = """
export const NAME = async (orgId: string, items: { id: string; units: number; tags?: string[] }[]) => {
  const grouped = new Map<string, number>();
  for (const item of items) {
    for (const tag of item.tags ?? ["NOUN"]) {
      grouped.set(tag, (grouped.get(tag) ?? 0) + (item.units > LIMIT ? LIMIT : item.units));
    }
  }
  return prisma.$transaction(
    [...grouped.entries()].map(([tag, units]) =>
      prisma.NOUN.upsert({
        where: { orgId_tag: { orgId, tag } },
        create: { orgId, tag, units },
        update: { units: { increment: units } },
      }),
    ),
  );
};
"""


HANDLER = """
router.post("PATH", async (request, response) => {
  const org = await tenant(request);
  const { name, tags = [], priority = 0 } = request.body;
  if (typeof name !== "string" || name.length > 200) {
    return response.status(422).json({ error: "name" });
  }
  const row = await prisma.NOUN.create({
    data: { orgId: org.id, name, priority: Math.min(Number(priority), 9), tags: tags.slice(0, 20) },
  });
  await prisma.activity.create({ data: { orgId: org.id, kind: "NOUN.created", rowId: row.id } });
  return response.status(201).json({ id: row.id });
});
"""


class Tree:
    """The files written so far, and the dice."""

    def __init__(self, root: Path, seed: int) -> None:
        """Start an empty tree; the same seed gives the same tree."""
        self.root = root
        self.dice = random.Random(seed)
        self.count = 0

    def write(self, path: str, text: str) -> None:
        """One file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        self.count += path.endswith((".ts", ".tsx"))

    def json(self, path: str, value: object) -> None:
        """One JSON file."""
        self.write(path, json.dumps(value, indent=2) + "\n")


def write(root: Path, files: int = 5_000, seed: int = 1) -> int:
    """Write the monorepo; returns the number of TypeScript files."""
    tree = Tree(root, seed)
    packages = [f"{noun}s" for noun in NOUNS]
    manifests(tree, packages)
    metering(tree)
    routes(tree, packages)
    number = 0
    while tree.count < files - 3 * len(packages):
        kind = KINDS[number // len(packages) % len(KINDS)]
        kind(tree, packages[number % len(packages)], number // len(packages), packages)
        number += 1
    for package in packages:
        barrel(tree, package)
    return tree.count


def manifests(tree: Tree, packages: list[str]) -> None:
    """Workspaces, paths and dependencies, so that imports can be resolved for real."""
    tree.json("package.json", {"name": "acme", "private": True, "workspaces": ["apps/*", "packages/*"]})
    tree.write(".gitignore", "node_modules\n.next\ndist\n")
    paths = {"@/*": ["./src/*"]}
    options = {"compilerOptions": {"strict": True, "baseUrl": ".", "paths": paths, "jsx": "preserve"}}
    needs = {
        "stripe": "^17.0.0",
        "next": "15.0.0",
        "express": "^4.19.0",
        "zod": "^3.23.0",
        "@prisma/client": "5.0.0",
    }
    for app in ("web", "api", "worker"):
        tree.json(f"apps/{app}/package.json", {"name": f"@acme/{app}", "dependencies": needs})
        tree.json(f"apps/{app}/tsconfig.json", options)
    for package in [*packages, "metering"]:
        tree.json(f"packages/{package}/package.json", {"name": f"@acme/{package}", "main": "./src/index.ts"})
        tree.json(f"packages/{package}/tsconfig.json", options)


def metering(tree: Tree) -> None:
    """The package that reports usage, two files from the routes."""
    tree.write(
        "packages/metering/src/client.ts",
        'import Stripe from "stripe";\n\nexport const stripe = new Stripe(process.env.STRIPE_KEY!);\n',
    )
    tree.write(
        "packages/metering/src/record.ts",
        """import { stripe } from "./client";

export async function sendMeterEvent(customer: string, quantity: number, identifier: string) {
  await stripe.billing.meterEvents.create({
    event_name: "actions",
    identifier,
    payload: { stripe_customer_id: customer, value: String(quantity) },
  });
}
""",
    )
    tree.write(
        "packages/metering/src/index.ts",
        """import { sendMeterEvent } from "./record";

export async function recordUsage(org: { stripeCustomerId: string }, quantity: number, key: string) {
  await sendMeterEvent(org.stripeCustomerId, quantity, key);
}
""",
    )
    tree.write(
        "apps/web/src/lib/session.ts",
        """import { getServerSession } from "next-auth";
import { prisma } from "@/lib/prisma";

export async function currentOrg() {
  const session = await getServerSession();
  if (!session) throw new Error("unauthorized");
  return prisma.org.findUniqueOrThrow({ where: { id: session.user.orgId } });
}
""",
    )
    tree.write(
        "apps/api/src/tenant.ts",
        'import { prisma } from "./prisma";\n\nexport const tenant = (request: { auth: { orgId: string } }) =>\n'
        "  prisma.org.findUniqueOrThrow({ where: { id: request.auth.orgId } });\n",
    )
    prisma = 'import { PrismaClient } from "@prisma/client";\nexport const prisma = new PrismaClient();\n'
    for path in ("apps/web/src/lib/prisma.ts", "apps/api/src/prisma.ts"):
        tree.write(path, prisma)


def routes(tree: Tree, packages: list[str]) -> None:
    """Routes of the web application; the first METERED are metered, FLAWED of them wrongly."""
    for number, package in enumerate(packages * 3):
        name = package if number < len(packages) else f"{package}/{VERBS[number % len(VERBS)]}{number}"
        path = f"apps/web/src/app/api/{name}/route.ts"
        if number < METERED:
            tree.write(path, metered_route(package, number < FLAWED, number))
        else:
            tree.write(path, plain_route(tree, package, packages))


def metered_route(package: str, flawed: bool, number: int) -> str:
    """A route that runs an action and records it."""
    quantity = "body.units" if flawed and number % 2 else "result.units"
    wait = "" if flawed and not number % 2 else "await "
    return f"""import {{ NextResponse }} from "next/server";
import {{ recordUsage }} from "@acme/metering";
import {{ currentOrg }} from "@/lib/session";
import {{ run{package.capitalize()} }} from "@acme/{package}";

export async function POST(request: Request) {{
  const org = await currentOrg();
  const body = await request.json();
  const result = await run{package.capitalize()}(org.id, body.input);
  {wait}recordUsage(org, {quantity}, result.id);
  return NextResponse.json(result);
}}
"""


def plain_route(tree: Tree, package: str, packages: list[str]) -> str:
    """A route that only reads and writes rows."""
    other = tree.dice.choice(packages)
    return f"""import {{ NextResponse }} from "next/server";
import {{ z }} from "zod";
import {{ prisma }} from "@/lib/prisma";
import {{ currentOrg }} from "@/lib/session";
import {{ run{other.capitalize()} }} from "@acme/{other}";

const Input = z.object({{ name: z.string().min(1), limit: z.number().int().max(100).default(20) }});

export async function GET(request: Request) {{
  const org = await currentOrg();
  const search = new URL(request.url).searchParams;
  const take = Number(search.get("limit") ?? 20);
  const rows = await prisma.{package}.findMany({{ where: {{ orgId: org.id }}, take }});
  return NextResponse.json(rows);
}}

export async function POST(request: Request) {{
  const org = await currentOrg();
  const input = Input.parse(await request.json());
  const row = await prisma.{package}.create({{ data: {{ ...input, orgId: org.id }} }});
  await run{other.capitalize()}(org.id, row.id);
  return NextResponse.json(row, {{ status: 201 }});
}}
"""


def service(tree: Tree, package: str, number: int, packages: list[str]) -> None:
    """A module of functions that call each other and a neighbour."""
    other = tree.dice.choice(packages)
    parts = [
        f'import {{ prisma }} from "./prisma";\nimport {{ run{other.capitalize()} }} from "@acme/{other}";\n',
        f"export type {package.capitalize()}{number} = {{ id: string; orgId: string; units: number; name: string }};\n",
    ]
    for step in range(tree.dice.randint(6, 14)):
        verb, noun = tree.dice.choice(VERBS), tree.dice.choice(NOUNS)
        body = tree.dice.choice((LISTING, WRITING, MERGING))
        parts.append(
            body.replace("NAME", f"{verb}{noun.capitalize()}{number}_{step}")
            .replace("NOUN", noun)
            .replace("OTHER", f"run{other.capitalize()}")
            .replace("LIMIT", str(tree.dice.randint(10, 9999)))
        )
    tree.write(f"packages/{package}/src/service{number}.ts", "".join(parts))


def controller(tree: Tree, package: str, number: int, packages: list[str]) -> None:
    """An Express router of the API, with handlers that write rows."""
    handlers = "".join(
        HANDLER.replace("PATH", f"/{package}/{number}/{tree.dice.choice(VERBS)}{step}").replace(
            "NOUN", package
        )
        for step in range(tree.dice.randint(1, 2))
    )
    tree.write(
        f"apps/api/src/controllers/{package}{number}.ts",
        'import { Router } from "express";\nimport { prisma } from "../prisma";\n'
        'import { tenant } from "../tenant";\n\n'
        f"export const router = Router();\n{handlers}",
    )


def component(tree: Tree, package: str, number: int, packages: list[str]) -> None:
    """A React component with state, a table and a fetch."""
    rows = "\n".join(
        f'          <tr key="{index}"><td className="p-2">{tree.dice.choice(NOUNS)}</td>'
        f"<td>{{items[{index}]?.name ?? {tree.dice.randint(0, 99)}}}</td></tr>"
        for index in range(tree.dice.randint(8, 30))
    )
    name = f"{package.capitalize()}View{number}"
    tree.write(
        f"packages/{package}/src/components/{name}.tsx",
        f"""\"use client\";

import {{ useEffect, useState }} from "react";
import {{ format }} from "../format";

export function {name}({{ orgId }}: {{ orgId: string }}) {{
  const [items, setItems] = useState<{{ id: string; name: string }}[]>([]);
  const [busy, setBusy] = useState(false);
  useEffect(() => {{
    setBusy(true);
    fetch(`/api/{package}?org=${{orgId}}`)
      .then((response) => response.json())
      .then(setItems)
      .finally(() => setBusy(false));
  }}, [orgId]);
  return (
    <section aria-busy={{busy}}>
      <h2>{{format("{package}")}}</h2>
      <table>
        <tbody>
{rows}
        </tbody>
      </table>
    </section>
  );
}}
""",
    )


def schema(tree: Tree, package: str, number: int, packages: list[str]) -> None:
    """A module of validation schemas."""
    fields = "\n".join(f"  {tree.dice.choice(NOUNS)}{index}: z.string().optional()," for index in range(30))
    tree.write(
        f"packages/{package}/src/schema{number}.ts",
        f'import {{ z }} from "zod";\n\nexport const {package}{number} = z.object({{\n{fields}\n}});\n',
    )


def test(tree: Tree, package: str, number: int, packages: list[str]) -> None:
    """A test file, which is no evidence of anything."""
    cases = "\n".join(
        f'  it("does {verb}", async () => {{\n    expect(await run("{verb}")).toEqual({{ ok: true }});\n  }});'
        for verb in tree.dice.sample(VERBS, 8)
    )
    tree.write(
        f"packages/{package}/src/service{number}.test.ts",
        f'import {{ describe, expect, it }} from "vitest";\n\n'
        f"const run = async (name: string) => ({{ ok: !!name }});\n\n"
        f'describe("{package}", () => {{\n{cases}\n}});\n',
    )


def barrel(tree: Tree, package: str) -> None:
    """The package's index, its client and its helper."""
    folder = tree.root / "packages" / package / "src"
    lines = [
        f'export * from "./{path.stem}";'
        for path in sorted(folder.glob("service?*.ts"))
        if ".test" not in path.name
    ]
    runner = f"""
export async function run{package.capitalize()}(orgId: string, input: string) {{
  return {{ id: `${{orgId}}:${{input}}`, units: input.length, orgId }};
}}
"""
    tree.write(f"packages/{package}/src/index.ts", "\n".join(lines) + "\n" + runner)
    client = 'import { PrismaClient } from "@prisma/client";\nexport const prisma = new PrismaClient();\n'
    tree.write(f"packages/{package}/src/prisma.ts", client)
    tree.write(
        f"packages/{package}/src/format.ts", "export const format = (text: string) => text.toUpperCase();\n"
    )


KINDS = (service, component, schema, controller, component, test, service)


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5_000))
