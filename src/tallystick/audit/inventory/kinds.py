"""What a file is, told from its path alone."""

from __future__ import annotations

import re
from functools import cache

SOURCE = frozenset(
    [
        "astro",
        "cjs",
        "cts",
        "go",
        "java",
        "js",
        "jsx",
        "mjs",
        "mts",
        "php",
        "py",
        "rake",
        "rb",
        "ru",
        "svelte",
        "ts",
        "tsx",
        "vue",
    ],
)
FOREIGN = {  # program text that the auditor has no reader for
    "clj": "Clojure",
    "cr": "Crystal",
    "cs": "C#",
    "dart": "Dart",
    "erl": "Erlang",
    "ex": "Elixir",
    "exs": "Elixir",
    "fs": "F#",
    "kt": "Kotlin",
    "kts": "Kotlin",
    "pl": "Perl",
    "pm": "Perl",
    "rs": "Rust",
    "scala": "Scala",
    "swift": "Swift",
}
SUPPORT = frozenset(
    [
        "cron",
        "crontab",
        "gemspec",
        "graphql",
        "gradle",
        "json",
        "jsonc",
        "json5",
        "kts",
        "mod",
        "prisma",
        "service",
        "sh",
        "sql",
        "tf",
        "timer",
        "toml",
        "xml",
        "yaml",
        "yml",
    ],
)
PAGES = frozenset(
    ["ejs", "erb", "hbs", "html", "j2", "jinja2", "liquid", "twig"]
)  # read for what they promise
PAGE_FOLDERS = frozenset(
    ["landing", "pages", "public", "site", "templates", "views", "web", "website", "www"]
)
COPY = re.compile(
    r"(?i)(?:^|/)(?:locales?|messages|i18n|translations?|langs?|languages?|content|copy)(?:/[^/]+)*\.json$"
)
LOCKS = frozenset(
    [
        "bun.lock",
        "composer.lock",
        "Gemfile.lock",
        "go.sum",
        "npm-shrinkwrap.json",
        "package-lock.json",
        "Pipfile.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
        "uv.lock",
        "yarn.lock",
    ],
)
NAMES = frozenset(
    [
        "Dockerfile",
        "Gemfile",
        "Pipfile",
        "Procfile",
        "Rakefile",
        "artisan",
        "constraints.txt",
        "cronjobs",
        "crontab",
        "go.mod",
        "requirements.txt",
    ],
)
VENDORED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".next",
        ".nuxt",
        ".output",
        ".svelte-kit",
        ".turbo",
        ".vercel",
        ".cache",
        ".venv",
        ".tox",
        ".nox",
        "__pycache__",
        "node_modules",
        "bower_components",
        "jspm_packages",
        "site-packages",
        ".yarn",
        ".pnpm-store",
        ".terraform",
        ".gradle",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".tallystick-audit-cache",
    ],
)
BUILT = frozenset([".wrangler", ".serverless", "_build", "storybook-static"])
PERHAPS = {  # names that also make good route or package names: left out only outside a source folder
    "vendored": frozenset(["vendor", "third_party", "venv"]),
    "built": frozenset(["build", "coverage", "dist", "out", "target"]),
}
SOURCE_FOLDERS = frozenset(
    ["api", "app", "controllers", "functions", "handlers", "lib", "pages", "routes", "server", "src"]
)
GENERATED = frozenset(["__generated__", "_generated", ".prisma"])
GENERATED_ENDINGS = (
    ".generated.ts",
    ".generated.tsx",
    ".generated.js",
    ".gen.ts",
    ".gen.go",
    ".pb.go",
    "_pb2.py",
    "_pb2_grpc.py",
    "_pb.js",
    "_pb.ts",
    ".d.ts",
    ".d.mts",
    ".d.cts",
)
MINIFIED_ENDINGS = (".min.js", ".min.mjs", ".bundle.js", ".chunk.js", "-min.js")


def ending(name: str) -> str:
    """The last extension, lower case, without the dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def is_source(name: str) -> bool:
    """Whether a file of this name holds program text."""
    return ending(name) in SOURCE


def foreign(path: str) -> str:
    """The language of program text that is not read, or an empty text."""
    return FOREIGN.get(ending(path.rpartition("/")[2]), "")


def is_lock(name: str) -> bool:
    """Whether a file of this name pins dependency versions; such files may be large."""
    return name in LOCKS


def wanted(path: str) -> bool:
    """Whether the auditor has a use for a file of this path, of which only name and folder are looked at."""
    folder, _, name = path.rpartition("/")
    if is_lock(name) or name in NAMES or ending(name) in SOURCE | SUPPORT:
        return True
    if is_page(path):
        return True
    if "cron" in f"{folder.rpartition('/')[2]}/{name}".lower() and ending(name) in ("", "txt"):
        return True
    return name.startswith(("requirements", "Dockerfile", ".env.")) and ending(name) not in {"md", "html"}


def is_page(path: str) -> bool:
    """Whether a file is what a visitor reads: a template, or the text beside the root."""
    folder, _, name = path.rpartition("/")
    if name.lower() == "readme.md":
        return not folder
    return ending(name) in PAGES and (not folder or not PAGE_FOLDERS.isdisjoint(folder.lower().split("/")))


def is_copy(path: str) -> bool:
    """Whether a file keeps what pages say, by language: `messages/en.json`."""
    return COPY.search(path) is not None


def is_script(path: str) -> bool:
    """Whether a file is a script of the shell, as prices are often set up by one."""
    return ending(path.rpartition("/")[2]) == "sh"


def is_table(path: str) -> bool:
    """Whether a file declares the tables that prices are kept in."""
    return ending(path.rpartition("/")[2]) in ("sql", "prisma")


def folder_left_out(path: str) -> str:
    """Why a whole folder is left out, or an empty text; `path` is relative to the root."""
    above, _, name = path.rpartition("/")
    if name in VENDORED:
        return "vendored"
    if name in BUILT:
        return "built"
    if name in GENERATED:
        return "generated"
    if SOURCE_FOLDERS.isdisjoint(above.split("/")):
        return next((reason for reason, names in PERHAPS.items() if name in names), "")
    return ""


@cache
def path_left_out(folder: str) -> str:
    """The same for a folder or any folder above it."""
    if not folder:
        return ""
    return path_left_out(folder.rpartition("/")[0]) or folder_left_out(folder)


def file_left_out(name: str) -> str:
    """Why a file is left out by its name, or an empty text."""
    if name.endswith(MINIFIED_ENDINGS):
        return "minified"
    return "generated" if name.endswith(GENERATED_ENDINGS) else ""
