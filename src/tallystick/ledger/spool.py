"""The spool: what meters with `on_ledger_failure = "allow_and_spool"` keep while the ledger cannot write.

A local folder of append-only files, one a process, each line a posting with its checksum, fsynced before
the caller goes on. Replaying is harmless at any time and any number of times: ids, keys and resolutions
decide in the ledger, so a crash between replaying and removing a file counts nothing twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import IO

import msgspec

from tallystick.errors import EntryRefusedError, LedgerError
from tallystick.ledger.model import Posted, Posting
from tallystick.storage.durability import check_disk
from tallystick.values.failpoint import failpoint

Post = Callable[[Sequence[Posting]], object]
AT_ONCE = 500


class Spool:
    """The spool of one ledger, shared by the processes of one machine.

    `find` is told of what the ledger refuses for good; it goes into a `.refused` file beside.
    """

    def __init__(self, folder: Path, find: Callable[[str, str, str], None]) -> None:
        self.folder = folder
        self._find = find
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._pid = 0
        try:
            _make(folder)
        except OSError as error:
            raise LedgerError(
                f"the spool {folder} cannot be used: {error.strerror}; set [store] spool"
            ) from error
        check_disk(folder)

    def keep(self, postings: Sequence[Posting]) -> list[Posted]:
        """Write postings down durably; LedgerError when even that fails."""
        texts = [msgspec.json.encode(posting) for posting in postings]
        with self._lock:
            try:
                file = self._own()
                failpoint("spool.keeping")
                file.writelines(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts)
                file.flush()
                os.fsync(file.fileno())
                failpoint("spool.kept")
            except OSError as error:
                raise LedgerError(
                    f"neither ledger nor spool {self.folder} can write: {error.strerror}"
                ) from error
        return [Posted(posting.entries, spooled=True) for posting in postings]

    def count(self) -> int:
        """How many postings wait to be replayed."""
        return sum(len(list(_postings(path))) for path in self.folder.glob("*.spool"))

    def replay(self, post: Post) -> int:
        """Post what living processes have left and what dead ones left behind; how many postings."""
        try:
            return self._replay_all(post)
        except OSError as error:
            raise LedgerError(f"the spool {self.folder} cannot be read: {error.strerror}") from error

    def _replay_all(self, post: Post) -> int:
        done = 0
        for path in sorted(self.folder.glob("*.spool")):
            with self._lock:
                if self._file is not None and self._file.name == str(path) and self._pid == os.getpid():
                    self._file.close()  # the next posting gets a new file
                    self._file = None
            done += self._replay(path, post)
        return done

    def _own(self) -> IO[bytes]:
        """This process's file, locked for its life; a forked child makes its own."""
        if self._file is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._file = _new(self.folder, f"{self._pid}")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _sync(self.folder)
        return self._file

    def _replay(self, path: Path, post: Post) -> int:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return 0  # another process has just replayed it
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0  # its process lives and does it itself
            if not path.exists():
                return 0
            postings = list(_postings(path))
            failpoint("spool.replaying")
            for start in range(0, len(postings), AT_ONCE):
                self._post(postings[start : start + AT_ONCE], post)
            failpoint("spool.replayed")
            path.unlink()
            _sync(self.folder)
        logging.getLogger("tallystick").info("replayed %d postings of %s", len(postings), path.name)
        return len(postings)

    def _post(self, postings: Sequence[Posting], post: Post) -> None:
        try:
            post(postings)
        except EntryRefusedError:
            for posting in postings:  # one bad posting does not hold up the others
                try:
                    post([posting])
                except EntryRefusedError as error:
                    self._set_aside(posting, error)

    def _set_aside(self, posting: Posting, error: LedgerError) -> None:
        with (self.folder / "postings.refused").open("ab") as file:
            file.write(msgspec.json.encode(posting) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        message = f"the ledger refuses a spooled posting ({error}); it is kept in {file.name}"
        self._find("spooled_posting_refused", file.name, message)


def _new(folder: Path, name: str) -> IO[bytes]:
    """A file that nobody had before."""
    for number in count():
        try:
            return (folder / f"{name}-{number}.spool").open("xb")
        except FileExistsError:
            continue
    raise AssertionError("count() never ends")


def _postings(path: Path) -> Iterator[Posting]:
    """The postings of a file; a last line that was cut off was never acknowledged."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):
            yield msgspec.json.decode(text, type=Posting)


def _make(folder: Path) -> None:
    """Make a folder whose own name, and those of the folders above it, outlive a power cut."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing or [folder]:
        _sync(each.parent)


def _sync(folder: Path) -> None:
    """Make the folder's own list of files durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
