"""Received bytes, kept in the manner of a maildir: tmp -> durable -> new -> store.

    tmp/<owner>.<token>.dcm             being written; worthless after a crash
    new/<owner>.<token>.dcm             durable (data and name are flushed), not registered yet
    store/<Study>/<Series>/<SOP>.dcm    registered; another object under its UID bears the digest
    unreadable/                         durable, but without the UIDs to register it by
    acks/                               how many instances were acknowledged (`node.acks`)

An instance may be acknowledged when `Incoming.commit` has returned, and not before. After a
crash only tmp/ (removed) and new/ (registered) have to be looked at.

From new/ to store/ an instance goes by a second name (a hard link); its name in new/ is
removed only when the registry has committed its row. So at no moment does a row point
nowhere, or have bytes no name, and each half may be repeated. A link also never replaces
a file, as a rename would do silently when two objects share a UID.

Names in tmp/ and new/ are random; only validated UIDs become part of a path.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from node.digest import digest
from node.errors import InvalidUIDError, SpoolError
from node.flushing import flush
from node.incoming import Folders, Incoming, NameFlush, failure
from node.owners import Owners

Durability = Literal["fsync", "flush"]

UID_PATTERN = re.compile(
    r"[0-9]+(?:\.[0-9]+)*"
)  # PS3.5 9.1, but leading zeros pass: they are common, and harmless
UID_LENGTH = 64
OWNER_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
SUFFIX = ".dcm"
DIGEST_DIGITS = 12


def valid_uid(uid: str) -> bool:
    """Say whether a UID may become a file name: digits and single dots, at most 64 characters."""
    return len(uid) <= UID_LENGTH and UID_PATTERN.fullmatch(uid) is not None


class Spool:
    """The folders of received bytes. `owner` names the writing process; no two that live share one.

    Raises:
        SpoolError: the folders cannot be made.
    """

    def __init__(self, root: Path, owner: str = "node", durability: Durability = "fsync") -> None:
        if OWNER_PATTERN.fullmatch(owner) is None:
            raise ValueError(f"spool owner {owner!r}: letters, digits, '_' and '-' only, at most 64")
        self.root = root
        self.owner = owner
        self.durability = durability
        self._owners = Owners(root)
        try:
            for name in ("tmp", "new", "store", "owners", "unreadable"):
                (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (root, root.parent):  # else a power loss may take new/ and what is in it
                self._flush(folder)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._folders = Folders(root / "new", os.open(root / "tmp", flags), os.open(root / "new", flags))
        except OSError as error:
            raise failure(error, f"{root}: the spool cannot be set up") from error
        self._flush_names = NameFlush(self._folders.new) if durability == "fsync" else None

    @property
    def is_durable(self) -> bool:
        """False where `durability` was set to "flush": then a power loss costs what was just acknowledged."""
        return self.durability == "fsync"

    def open(self, file_meta: bytes = b"") -> Incoming:
        """Begin a new instance; `file_meta` is what goes in front of its data set.

        Raises:
            SpoolError: no file can be made (DiskFullError: no space).
        """
        self._claim()
        name = f"{self.owner}.{secrets.token_hex(16)}{SUFFIX}"
        return Incoming(name, self._folders, self._flush_names, file_meta=file_meta)

    def store_path(self, study: str, series: str, sop: str) -> Path:
        """Return where an instance is kept.

        Raises:
            InvalidUIDError: a UID must not become a path.
        """
        keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        for keyword, uid in zip(keywords, (study, series, sop), strict=True):
            if not valid_uid(uid):
                raise InvalidUIDError(f"{keyword} is no UID: digits and dots, at most 64 (PS3.5 9.1)")
        return self.root / "store" / study / series / f"{sop}{SUFFIX}"

    def place(self, path: Path, target: Path, *, sha256: str) -> Path:
        """Give an instance of new/ its name in store/ and return that; the name in new/ stays.

        When `target` is taken by other bytes, the name with the digest is used; when it is
        taken by the same bytes, nothing is done. So this may be repeated.

        Raises:
            SpoolError: the file system refuses, or both `path` and its place are gone.
        """
        if self._links_at_once(path, target):
            return target
        other = target.with_name(f"{target.name.removesuffix(SUFFIX)}.{sha256[:DIGEST_DIGITS]}{SUFFIX}")
        try:
            for name in (target, other):
                if self._link(path, name) or digest(name) == sha256:
                    return name
        except OSError as error:
            raise failure(error, f"{path.name} cannot be linked into the store") from error
        raise SpoolError(f"{other}: two objects share {DIGEST_DIGITS} digits of their digest; move one away")

    @staticmethod
    def _links_at_once(path: Path, target: Path) -> bool:
        """Try what succeeds nearly always; return False when a closer look is needed."""
        try:
            os.link(path, target)
        except OSError:
            return False
        return True

    def settle(self, folders: Iterable[Path]) -> None:
        """Flush folders of store/, so that the names given by `place` survive a power loss.

        Raises:
            SpoolError: a folder cannot be flushed.
        """
        try:
            for folder in folders:
                self._flush(folder)
        except OSError as error:
            raise failure(error, "a folder of the store cannot be flushed") from error

    def release(self, path: Path) -> None:
        """Remove the name in new/ of a registered instance; one that is gone already is no error.

        Raises:
            SpoolError: the file system refuses.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failure(error, f"{path.name} cannot be removed from new/") from error

    def move_to_store(self, path: Path, study: str, series: str, sop: str, sha256: str) -> Path:
        """Do `place`, `settle` and `release` for one instance that is registered.

        Raises:
            InvalidUIDError: a UID must not become a path.
            SpoolError: the file system refuses.
        """
        target = self.place(path, self.store_path(study, series, sop), sha256=sha256)
        self.settle([target.parent])
        self.release(path)
        return target

    def recover(self) -> Iterator[Path]:
        """Remove what was being written when a process died; yield what is durable but not registered.

        That is all of this owner's, and of owners whose process is gone. To be called before
        the first `open`.

        Raises:
            SpoolError: the folders cannot be read or written.
        """
        self._claim()
        try:
            self._try_out()
            tmp, new = ([path.name for path in (self.root / each).iterdir()] for each in ("tmp", "new"))
            dead = {owner for owner in map(_owner, (*tmp, *new)) if self._is_left_behind(owner)}
            for name in tmp:
                if _owner(name) in dead:
                    with suppress(FileNotFoundError):  # another process recovers at the same time
                        os.unlink(name, dir_fd=self._folders.tmp)
        except OSError as error:
            raise failure(error, f"{self.root}: the spool cannot be recovered") from error
        yield from (self.root / "new" / name for name in sorted(new) if _owner(name) in dead)

    def set_aside(self, path: Path) -> Path:
        """Move a file of new/ that cannot be registered to unreadable/, for a person to look at."""
        return path.rename(self.root / "unreadable" / path.name)

    def is_waiting(self, name: str) -> bool:
        """Say whether there is a file of this name in new/."""
        return (self.root / "new" / name).exists()

    def stored(self) -> Iterator[Path]:
        """Yield every file of store/, folder by folder."""
        yield from sorted((self.root / "store").glob(f"*/*/*{SUFFIX}"))

    def free_bytes(self) -> int:
        """Return how many bytes can still be written.

        Raises:
            SpoolError: the file system does not say.
        """
        try:
            found = os.statvfs(self.root)
        except OSError as error:
            raise failure(error, f"{self.root}: free space cannot be told") from error
        return found.f_bavail * found.f_frsize

    def lock(self) -> None:
        """Make this the only node of this machine on the spool, until `close` or the end of this process.

        Raises:
            SpoolError: another process has done so.
        """
        self._owners.lock_node()

    def close(self) -> None:
        """Let go of the folders and the locks; no instance must be on its way."""
        self._owners.close()
        os.close(self._folders.tmp)
        os.close(self._folders.new)

    def _claim(self) -> None:
        try:
            self._owners.claim(self.owner)
        except OSError as error:
            raise failure(error, f"{self.root}: the spool cannot be claimed") from error

    def _is_left_behind(self, owner: str) -> bool:
        if OWNER_PATTERN.fullmatch(owner) is None:
            return False
        return owner == self.owner or not self._owners.lives(owner)

    def _try_out(self) -> None:
        """Write, link and remove a file, so that a spool that cannot do this is found at start."""
        probe = self.root / "tmp" / f"{self.owner}.probe"
        probe.unlink(missing_ok=True)
        probe.touch(mode=0o600)
        linked = self.root / "store" / probe.name
        linked.unlink(missing_ok=True)
        linked.hardlink_to(probe)
        linked.unlink()
        probe.unlink()

    def _link(self, path: Path, target: Path) -> bool:
        """Link `path` as `target`; return False when that name is taken by another file."""
        self._make_folder(target.parent)
        try:
            target.hardlink_to(path)
        except FileExistsError:
            return path.exists() and path.samefile(target)
        except FileNotFoundError:
            if target.exists():  # `path` was released: this is a repetition
                return False
            raise
        return True

    def _make_folder(self, folder: Path) -> None:
        """Make a folder below store/ and flush its parent, one level at a time."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._flush(folder.parent)

    def _flush(self, folder: Path) -> None:
        if self.is_durable:
            flush(folder)


def _owner(name: str) -> str:
    return name.partition(".")[0]
