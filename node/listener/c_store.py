"""From a C-STORE command and the bytes of its data set to a status: the decision, whoever reads the socket.

    begin(command) -> Reception ── write(bytes) ... ──► finish() -> Answer ──► settle()

Success leaves here only after the bytes are durable. What is
wrong with the node is A7xx, so that the sender tries again; what is wrong with the object
is A9xx, Cxxx or 0117, and final. Source: PS3.4 B.2.3, PS3.7 annex C.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from node import logs
from node.clock import utc_now
from node.digest import Buffer
from node.errors import DiskFullError, NodeError, SpoolError
from node.header_facts import HEAD_BYTES, UNREADABLE, identity
from node.incoming import Incoming
from node.listener.file_meta import Sender, file_meta
from node.listener.tally import Tally
from node.receipts import HEAD_BYTES as FIRST_LOOK_BYTES
from node.receipts import Receipt
from node.spool import valid_uid

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

log = logs.get("node.listener")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of a C-STORE-RSP, and its Error Comment: at most 64 characters, nothing of the patient."""

    status: int
    comment: str = ""


SUCCESS = Answer(0x0000)
DISK_FULL = Answer(0xA700, "out of resources: no space for received objects")
SPOOL_FAILED = Answer(0xA700, "out of resources: the object could not be made durable")
TOO_LONG = Answer(0xA700, "out of resources: longer than max_instance_mb")
STOPPING = Answer(0xA700, "out of resources: the node is stopping, try again")
INTERNAL = Answer(0xA700, "out of resources: internal error, see the node's log")
REGISTRY_FAILED = Answer(0xA701, "out of resources: the registry cannot be written")
WRONG_CLASS = Answer(0xA900, "SOP class is not that of the presentation context")
OTHER_CLASS = Answer(0xA900, "SOP class in data set and command differ")
OTHER_INSTANCE = Answer(0xA900, "SOP instance UID in data set and command differ")
NO_DATA_SET = Answer(0xC000, "no data set")
TOO_DEEP = Answer(0xC001, "sequences nested too deeply")
INVALID_INSTANCE = Answer(0x0117, "SOP instance UID is not a valid UID")


class Spooling(Protocol):
    """What is needed of `node.spool.Spool`."""

    def open(self, file_meta: bytes = b"") -> Incoming:
        """Begin a new instance."""


class Registering(Protocol):
    """What is needed of `node.handover.Handover`."""

    @property
    def problem(self) -> str | None:
        """Why instances cannot be registered at the moment."""

    def submit(self, receipt: Receipt, head: bytes) -> None:
        """Take an instance that is durable, and the first bytes of its data set."""


class Acknowledging(Protocol):
    """What is needed of `node.acks.AckBook`."""

    def acknowledge(self, calling_ae_title: str, n_bytes: int, received_at: datetime) -> None:
        """Count an object that is durable and is to be answered with success now. Does not raise."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a C-STORE-RQ and its presentation context say."""

    sop_class_uid: str
    sop_instance_uid: str
    abstract_syntax: str
    transfer_syntax_uid: str
    has_data_set: bool = True


def _always() -> bool:
    return True


@dataclass
class StoreService:
    """Begins receptions, and knows how many there are. One for all associations of a process.

    `accepting` says whether there is room for more on the disk; it is asked for every object.
    """

    spool: Spooling
    registrar: Registering
    max_bytes: int = 4096 * 1024**2
    accepting: Callable[[], bool] = _always
    now: Callable[[], datetime] = utc_now
    tally: Tally = field(default_factory=Tally)
    acks: Acknowledging | None = None

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._in_flight = 0
        self._is_draining = False

    def begin(self, command: Command, sender: Sender, *, max_bytes: int | None = None) -> Reception:
        """Begin to receive one object, of `max_bytes` at most. It must end with `finish` or `discard`."""
        with self._changed:
            self._in_flight += 1
        return Reception(self, command, sender, refusal=self._refusal(command), max_bytes=max_bytes)

    def drain(self) -> None:
        """From now on refuse what begins; what has begun may end."""
        self._is_draining = True

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no reception is in flight; return False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout_s)

    def ended(self) -> None:
        """Note that a reception ended."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def _refusal(self, command: Command) -> Answer | None:
        """Return the answer that is certain before a byte of the data set has come, or None."""
        if not valid_uid(command.sop_instance_uid):
            return INVALID_INSTANCE
        if command.sop_class_uid != command.abstract_syntax:
            return WRONG_CLASS
        if not command.has_data_set:
            return NO_DATA_SET
        if self._is_draining:
            return STOPPING
        if self.registrar.problem is not None:
            return REGISTRY_FAILED
        return None if self._has_space() else DISK_FULL

    def _has_space(self) -> bool:
        try:
            return self.accepting()
        except OSError as error:
            log.exception("disk.unknown", error=error.strerror)
            return False


class Reception:
    """One object on its way in. Written by one thread, finished by the same or another."""

    def __init__(
        self,
        service: StoreService,
        command: Command,
        sender: Sender,
        *,
        refusal: Answer | None,
        max_bytes: int | None = None,
    ) -> None:
        self.command = command
        self.sender = sender
        self.size = 0
        self._service = service
        self._refusal = refusal
        self._max_bytes = service.max_bytes if max_bytes is None else max_bytes
        self._incoming: Incoming | None = None
        self._head = bytearray()
        self._head_limit = FIRST_LOOK_BYTES
        self._identity: dict[str, Any] | None = None
        self._is_durable = False
        self._has_ended = False

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the data set. Does not raise: what fails is told by `finish`."""
        self.append((data,))
        self.digest((data,))

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Take the next bytes; `digest` is to be given the same before `settle`. Does not raise."""
        size = sum(map(len, buffers))
        self.size += size
        if self._refusal is not None or not size:
            return
        if self.size > self._max_bytes:
            self._fail(TOO_LONG)
            return
        try:
            if self._incoming is None:
                self._incoming = self._service.spool.open(self._file_meta())
            self._incoming.append(buffers)
        except DiskFullError as error:
            self._fail(DISK_FULL, error)
        except SpoolError as error:
            self._fail(SPOOL_FAILED, error)
        if len(self._head) < self._head_limit:
            for buffer in buffers:
                self._keep_head(buffer)

    def digest(self, buffers: Sequence[Buffer]) -> None:
        """Take into the digest what was appended: no answer waits for it."""
        if self._refusal is None and self._incoming is not None:
            self._incoming.digest(buffers)

    def finish(self) -> Answer:
        """Make the object durable; return the answer to the sender, after which `settle` is to be called."""
        try:
            answer = self._refusal or self._store()
        except DiskFullError as error:
            answer = self._fail(DISK_FULL, error)
        except SpoolError as error:
            answer = self._fail(SPOOL_FAILED, error)
        except Exception as error:  # the sender is owed an answer, whatever happened
            log.exception("instance.failed", SOPInstanceUID=self.command.sop_instance_uid)
            answer = self._fail(INTERNAL, error)
        self._service.tally.stored(answer.status, self.size)
        if answer != SUCCESS:
            self.discard()
            log.warning(
                "instance.refused",
                status=f"0x{answer.status:04X}",
                reason=answer.comment,
                SOPInstanceUID=self.command.sop_instance_uid,
                calling_aet=self.sender.calling_ae_title,
                source_address=self.sender.source_address,
            )
        return answer

    def settle(self) -> None:
        """Hand an object that is durable to the registrar; nothing to do for one that was refused."""
        try:
            if not self._has_ended and self._is_durable:
                self._submit()
        except Exception:  # it is acknowledged and durable: the next start finds it in new/
            log.exception("instance.not_handed_over", SOPInstanceUID=self.command.sop_instance_uid)
        self.discard()

    def discard(self) -> None:
        """Drop what was not made durable; may be called at any time, also twice."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._incoming is not None:
            self._incoming.discard()
        self._service.ended()

    def _store(self) -> Answer:
        incoming = self._incoming
        if incoming is None:
            return NO_DATA_SET
        found = self._header()
        wrong = _judge(found, self.command)
        if wrong is not None:
            return wrong
        if self._service.registrar.problem is not None:
            return REGISTRY_FAILED
        incoming.commit()
        self._is_durable = True
        if self._service.acks is not None:  # before it can be registered: no row is ahead of its count
            self._service.acks.acknowledge(
                self.sender.calling_ae_title, incoming.size, self._received_at(incoming)
            )
        return SUCCESS

    def _received_at(self, incoming: Incoming) -> datetime:
        return incoming.received_at or self._service.now()

    def _submit(self) -> None:
        incoming, found = self._incoming, self._header()
        if incoming is None:
            return
        command, sender = self.command, self.sender
        self._service.registrar.submit(
            Receipt(
                incoming.name,
                command.sop_instance_uid,
                command.sop_class_uid,
                command.transfer_syntax_uid,
                found["StudyInstanceUID"],
                found["SeriesInstanceUID"],
                incoming.size,
                incoming.sha256,
                self._received_at(incoming),
                sender.calling_ae_title,
                sender.called_ae_title,
                sender.source_address,
                sender.association,
            ),
            bytes(self._head[:FIRST_LOOK_BYTES]),
        )

    def _fail(self, answer: Answer, error: Exception | None = None) -> Answer:
        """Refuse, and take no more: the rest of the data set is read from the socket and dropped."""
        self._refusal = answer
        self._head.clear()
        if self._incoming is not None:
            self._incoming.discard()
        if isinstance(error, NodeError):
            log.error("instance.not_durable", error=str(error))
        return answer

    def _file_meta(self) -> bytes:
        command = self.command
        return file_meta(
            command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid, self.sender
        )

    def _keep_head(self, data: Buffer) -> None:
        """Keep the first bytes: more of them only where 16 KiB do not show the UIDs."""
        room = self._head_limit - len(self._head)
        if room <= 0 or self._refusal is not None:
            return
        self._head += data[:room]
        if len(self._head) >= self._head_limit:
            self._identity = self._look()
            if UNREADABLE in self._identity and self._head_limit < HEAD_BYTES:
                self._head_limit = HEAD_BYTES
                self._head += data[room : room + HEAD_BYTES - len(self._head)]
                self._identity = None

    def _header(self) -> dict[str, Any]:
        if self._identity is None:
            self._identity = self._look()
        return self._identity

    def _look(self) -> dict[str, Any]:
        return identity(bytes(self._head), self.command.transfer_syntax_uid)


def _judge(found: dict[str, Any], command: Command) -> Answer | None:
    """Compare what the data set says of itself with what the command says; None when all is well."""
    if UNREADABLE in found or "SOPClassUID" not in found:
        reason = str(found.get(UNREADABLE, "no SOPClassUID"))
        return TOO_DEEP if "nested" in reason else Answer(0xC000, f"cannot be read: {reason}"[:64])
    if found["SOPInstanceUID"] != command.sop_instance_uid:
        return OTHER_INSTANCE
    if found["SOPClassUID"] != command.sop_class_uid:
        return OTHER_CLASS
    for keyword in IDENTITY:
        if not valid_uid(found[keyword]):
            return Answer(0x0117, f"{keyword} is not a valid UID")
    return None
