"""How listener and worker hand transactions to one another: small files, each whole or not there.

    <token>.request    listener: durable before N-ACTION is answered with success
    <token>.answer     worker: the result, for the association that asked
    <token>.taken      listener: it is being reported there (the answer, renamed: only one can take it)
    <token>.reported   listener: the requestor has it
    <token>.closed     listener: that association can report nothing more

Only a request has to survive a power loss: the worker removes it when the registry has its
row. Everything else is a hint, without which the result goes to a new association later.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from node import logs
from node.commitment.dataset import Request
from node.incoming import failure

log = logs.get("node.commitment")

Sign = Literal["reported", "closed"]
KEPT = (".request", ".unreadable")
LEFT_BEHIND_S = 3600.0  # nothing else is of use for so long


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was received; `received_at` is in seconds since 1970."""

    token: str
    transaction_uid: str
    references: tuple[tuple[str, str], ...]
    calling_ae_title: str
    called_ae_title: str
    source_address: str
    association: str
    received_at: float


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be reported: the request, and 0 or a Failure Reason for each of its references."""

    request: Request
    outcomes: tuple[int, ...]


class Exchange:
    """The folder of these files; every method may be called from any process.

    Raises:
        SpoolError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise failure(error, f"{folder}: cannot be made") from error

    # the listener's side

    def ask(self, asked: Asked) -> None:
        """Make a request durable.

        Raises:
            SpoolError: it could not be made durable (DiskFullError: no space); no trace is left.
        """
        try:
            self._write(f"{asked.token}.request", asdict(asked), is_durable=True)
        except OSError as error:
            raise failure(error, "a storage commitment request cannot be made durable") from error

    def backlog(self) -> int:
        """Return how many requests the worker has not taken into the registry yet."""
        return sum(name.endswith(".request") for name in self._names())

    def take(self, token: str) -> Result | None:
        """Take the answer to a request, so that nobody else reports it; None when there is none yet."""
        taken = self._path(token, "taken")
        try:
            self._path(token, "answer").rename(taken)
            found = json.loads(taken.read_bytes())
        except OSError:
            return None
        references = tuple((sop_class, sop_instance) for sop_class, sop_instance in found["references"])
        return Result(Request(found["transaction_uid"], references), tuple(found["outcomes"]))

    def sign(self, token: str, sign: Sign) -> None:
        """Tell the worker what became of a request; that this fails only costs time."""
        with suppress(OSError):
            self._path(token, sign).touch(mode=0o600)

    # the worker's side

    def requests(self, limit: int) -> list[Asked]:
        """Return requests that are durable and not removed yet, the oldest first.

        Raises:
            SpoolError: a request cannot be read.
        """
        paths = [self.folder / name for name in self._names() if name.endswith(".request")]
        try:
            paths.sort(key=lambda path: path.stat().st_mtime_ns)
            found = [self._read(path) for path in paths[:limit]]
        except FileNotFoundError:  # another worker has taken it
            return []
        except OSError as error:
            raise failure(error, "a storage commitment request cannot be read") from error
        return [asked for asked in found if asked is not None]

    def done(self, token: str) -> None:
        """Remove a request that the registry has."""
        self._path(token, "request").unlink(missing_ok=True)

    def answer(self, token: str, result: Result) -> None:
        """Lay a result down for the association that asked.

        Raises:
            SpoolError: it cannot be written.
        """
        found = {
            "transaction_uid": result.request.transaction_uid,
            "references": result.request.references,
            "outcomes": result.outcomes,
        }
        try:
            self._write(f"{token}.answer", found, is_durable=False)
        except OSError as error:
            raise failure(error, "the result of a storage commitment cannot be handed over") from error

    def signs(self) -> list[tuple[str, Sign]]:
        """Return what listeners told of requests that were taken, "reported" before "closed"."""
        names = self._names()
        waiting = {name.removesuffix(".request") for name in names if name.endswith(".request")}
        signs: tuple[Sign, ...] = ("reported", "closed")
        found = [
            (name.removesuffix(f".{sign}"), sign)
            for sign in signs
            for name in names
            if name.endswith(f".{sign}")
        ]
        return [(token, sign) for token, sign in found if token not in waiting]

    def forget(self, token: str) -> None:
        """Remove whatever is left of a request but the request itself."""
        for suffix in ("answer", "taken", "reported", "closed"):
            self._path(token, suffix).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what processes that died have left, but for requests."""
        for name in self._names():
            path = self.folder / name
            with suppress(FileNotFoundError):
                if not name.endswith(KEPT) and time.time() - path.stat().st_mtime > LEFT_BEHIND_S:
                    path.unlink()

    def _read(self, path: Path) -> Asked | None:
        """Read a request; one that is damaged is set aside for a person to look at."""
        content = path.read_bytes()
        try:
            return _asked(json.loads(content))
        except (ValueError, KeyError, TypeError) as error:
            log.error("commitment.damaged", path=str(path), error=str(error))  # noqa: TRY400 - no fault of the code
            path.rename(path.with_suffix(".unreadable"))
            return None

    def _names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def _path(self, token: str, suffix: str) -> Path:
        return self.folder / f"{token}.{suffix}"

    def _write(self, name: str, content: dict[str, Any], *, is_durable: bool) -> None:
        temporary = self.folder / f"{name}.{secrets.token_hex(4)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(temporary, flags, 0o600), "wb") as file:  # noqa: PTH123 - with flags and mode
                file.write(json.dumps(content).encode())
                file.flush()
                if is_durable:
                    os.fsync(file.fileno())
            temporary.rename(self.folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if is_durable:
            self._flush(name)

    def _flush(self, name: str) -> None:
        """Flush the folder; what may not survive must not be there either."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError:
            (self.folder / name).unlink(missing_ok=True)
            raise
        finally:
            os.close(folder)


def new_token() -> str:
    """Return a name that no other request has."""
    return secrets.token_hex(16)


def _asked(found: dict[str, Any]) -> Asked:
    references = tuple((sop_class, sop_instance) for sop_class, sop_instance in found.pop("references"))
    return Asked(references=references, **found)
