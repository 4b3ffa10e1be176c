"""Lowered files kept from one run to the next, by the hash of their bytes; never their text."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tallystick.audit.syntax.ir import Module

LARGEST = 256 * 1024 * 1024


def maker() -> bytes:
    """What stands for this auditor: the state of its own files and of the grammars."""
    digest = hashlib.blake2b(digest_size=16)
    parser = find_spec("tree_sitter")
    grammars = Path(parser.origin).parents[1].glob("tree_sitter*") if parser and parser.origin else ()
    for folder in (Path(__file__).parents[1], *sorted(grammars)):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".toml", ".so", ".pyd"):
                status = path.stat()
                digest.update(b"%s %d %d\0" % (os.fsencode(path), status.st_size, status.st_mtime_ns))
    return digest.digest()


class Cache:
    """One file of facts; unreadable or foreign contents count as empty."""

    def __init__(self, folder: str) -> None:
        """Load what is there; an empty folder name switches the cache off."""
        self.path = Path(folder) / "facts.msgpack" if folder else None
        self.maker = maker() if folder else b""
        self.known: dict[str, bytes] = {}
        self.used: dict[str, bytes] = {}
        if self.path is not None and self.path.is_file() and self.path.stat().st_size < LARGEST:
            try:
                self.known = msgspec.msgpack.decode(self.path.read_bytes(), type=dict[str, bytes])
            except (OSError, msgspec.DecodeError, msgspec.ValidationError):
                self.known = {}

    def key(self, path: str, data: bytes) -> str:
        """The name of a file's facts: they hold the path, and are as good as the auditor that made them."""
        return hashlib.blake2b(
            self.maker + path.encode("utf-8", "surrogateescape") + b"\0" + data, digest_size=16
        ).hexdigest()

    def get(self, key: str) -> Module | None:
        """The lowered file, when its bytes have not changed."""
        packed = self.known.get(key)
        if packed is None:
            return None
        try:
            module = msgspec.msgpack.decode(packed, type=Module)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None
        self.used[key] = packed
        return module

    def put(self, key: str, module: Module) -> None:
        """Remember one lowered file."""
        if self.path is not None:
            self.used[key] = msgspec.msgpack.encode(module)

    def save(self) -> None:
        """Write what this run used, in one step; a folder that cannot be written is left alone."""
        if self.path is None or self.used.keys() == self.known.keys():
            return
        part = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.msgpack.encode(self.used))
            part.replace(self.path)
        except OSError:
            part.unlink(missing_ok=True)
