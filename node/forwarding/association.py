"""An association as requestor that can never hang: C-STORE, C-ECHO, N-EVENT-REPORT, every wait with a limit.

One thread, no queue: a request goes out, its answer comes back. The data set of a file is
sent as it is. A peer that stops reading, stops answering, or answers in drips costs
`timeout_s` and ends as `DeliveryError`.
"""

from __future__ import annotations

import io
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from node import command_set as cs
from node.errors import DeliveryError
from node.forwarding import negotiation
from node.forwarding.negotiation import MAX_CONTEXTS, Agreement, Context, Role
from node.forwarding.sendable import Sendable

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
COMMAND_LAST, DATA_MORE, DATA_LAST = 3, 0, 2  # message control header, PS3.8 annex E.2
PDU_OVERHEAD = 6  # PDV length, context identifier, message control header
ANSWER_LIMIT_BYTES = 1 << 20  # of one PDU; the longest that is needed is an A-ASSOCIATE-AC, 11 KiB
LEFTOVERS = 16  # PDUs that may still come between our release and its confirmation
STORED_WARNINGS = frozenset({0x0107, 0x0116, *range(0xB000, 0xC000)})  # PS3.7 C, PS3.4 B.2.3
VERIFICATION_CONTEXT: Context = (cs.VERIFICATION, "1.2.840.10008.1.2")

_HEADER = struct.Struct(">BBI")
_PDV = struct.Struct(">IBB")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call, as whom, and how long to wait: `timeout_s` for any one answer or PDU taken."""

    host: str
    port: int
    called_aet: str
    calling_aet: str = "PREPNODE"
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.called_aet} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and Error Comment of a response."""

    status: int
    comment: str = ""

    @property
    def is_success(self) -> bool:
        """The peer has it: success, or a warning beside it (coerced, or elements discarded)."""
        return self.status == 0 or self.status in STORED_WARNINGS

    @property
    def is_temporary(self) -> bool:
        """Out of resources (A7xx) or busy: the same request may succeed later."""
        return self.status & 0xFF00 == 0xA700

    def __str__(self) -> str:
        return f"0x{self.status:04X}" + (f" ({self.comment})" if self.comment else "")


def batches(contexts: Sequence[Context]) -> list[list[Context]]:
    """Divide contexts over as many associations as they need."""
    unique = list(dict.fromkeys(contexts))
    return [unique[at : at + MAX_CONTEXTS] for at in range(0, len(unique), MAX_CONTEXTS)]


class Association:
    """An open association; as a context manager it is released, or aborted after an error.

    Raises:
        DeliveryError: no connection, refused, or no answer in time.
    """

    def __init__(
        self, target: Target, contexts: Sequence[Context], roles: Mapping[str, Role] | None = None
    ) -> None:
        self.target = target
        self._roles = roles or {}
        self._message_id = 0
        self._socket = _connect(target)
        try:
            self._agreement = self._negotiate(contexts)
        except BaseException:
            self._socket.close()
            raise

    def accepts(self, context: Context) -> bool:
        """Say whether the peer takes this SOP class in this transfer syntax."""
        return context in self._agreement.accepted

    def why_not(self, context: Context) -> str:
        """Return why a context that was proposed is not accepted."""
        return self._agreement.refused.get(context, "not proposed")

    def echo(self) -> Answer:
        """Send a C-ECHO and return the answer.

        Raises:
            DeliveryError: Verification was not accepted, or no answer came in time.
        """
        elements: dict[int, int | str] = {
            cs.AFFECTED_SOP_CLASS_UID: cs.VERIFICATION,
            cs.COMMAND_FIELD: cs.C_ECHO_RQ,
            cs.DATA_SET_TYPE: cs.NO_DATA_SET,
        }
        self._send_command(VERIFICATION_CONTEXT, elements)
        return self._answer(cs.C_ECHO_RSP)

    def store(self, item: Sendable, *, progress: Callable[[int], None] | None = None) -> Answer:
        """Send the data set of a file and return the answer; `progress` is told the bytes of each PDU sent.

        An exception that `progress` raises ends the sending; the association is of no further use then.

        Raises:
            DeliveryError: the context is not accepted, the file is cut short, or the peer does not
                take or answer in time.
            OSError: the file cannot be opened.
        """
        with item.path.open("rb") as file:
            file.seek(item.offset)
            return self.store_data(item, file, progress=progress)

    def store_data(
        self, item: Sendable, data: BinaryIO, *, progress: Callable[[int], None] | None = None
    ) -> Answer:
        """Send `item.size` bytes of an encoded data set from where `data` stands; else as `store`."""
        elements: dict[int, int | str] = {
            cs.AFFECTED_SOP_CLASS_UID: item.sop_class_uid,
            cs.COMMAND_FIELD: cs.C_STORE_RQ,
            cs.PRIORITY: cs.MEDIUM_PRIORITY,
            cs.DATA_SET_TYPE: cs.HAS_DATA_SET,
            cs.AFFECTED_SOP_INSTANCE_UID: item.sop_instance_uid,
        }
        identifier = self._send_command(item.context, elements)
        if not self._send_data(identifier, data, item.size, progress):
            raise DeliveryError(f"{item.path}: shorter than it was a moment ago", retryable=False)
        return self._answer(cs.C_STORE_RSP)

    def event_report(self, context: Context, sop_instance_uid: str, event_type: int, data: bytes) -> Answer:
        """Send an N-EVENT-REPORT with an encoded data set and return the answer.

        Raises:
            DeliveryError: the context is not accepted, or no answer came in time.
        """
        elements: dict[int, int | str] = {
            cs.AFFECTED_SOP_CLASS_UID: context[0],
            cs.COMMAND_FIELD: cs.N_EVENT_REPORT_RQ,
            cs.DATA_SET_TYPE: cs.HAS_DATA_SET,
            cs.AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
            cs.EVENT_TYPE_ID: event_type,
        }
        self._send_data(self._send_command(context, elements), io.BytesIO(data), len(data))
        return self._answer(cs.N_EVENT_REPORT_RSP)

    def release(self) -> None:
        """End the association in order; a peer that does not answer is left."""
        try:
            self._send(_HEADER.pack(RELEASE_RQ, 0, 4) + bytes(4))
            for _ in range(LEFTOVERS):
                if self._receive()[0] != P_DATA:
                    break
        except DeliveryError:
            return
        finally:
            self._socket.close()

    def abort(self) -> None:
        """End the association at once."""
        try:
            self._send(_HEADER.pack(ABORT, 0, 4) + bytes(4))
        except DeliveryError:
            return
        finally:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        else:
            self.abort()

    def _negotiate(self, contexts: Sequence[Context]) -> Agreement:
        target = self.target
        self._send(negotiation.request(target.called_aet, target.calling_aet, contexts, self._roles))
        kind, body = self._receive()
        if kind == ASSOCIATE_RJ:
            raise DeliveryError(f"{self.target} refused the association: {negotiation.rejection(body)}")
        if kind != ASSOCIATE_AC:
            raise DeliveryError(f"{self.target} answered the association request with {_name(kind)}")
        return negotiation.agreement(body, contexts, self._roles)

    def _send_command(self, context: Context, elements: dict[int, int | str]) -> int:
        identifier = self._agreement.accepted.get(context)
        if identifier is None:
            raise DeliveryError(f"{self.target}: {self.why_not(context)}: {context}", retryable=False)
        self._message_id = self._message_id % 0xFFFF + 1
        elements[cs.MESSAGE_ID] = self._message_id
        encoded = io.BytesIO(cs.encode(elements))
        room = self._agreement.max_pdu - PDU_OVERHEAD
        while chunk := encoded.read(room):
            is_last = encoded.tell() == len(encoded.getbuffer())
            self._send_pdv(identifier, COMMAND_LAST if is_last else 1, chunk)
        return identifier

    def _send_data(
        self,
        identifier: int,
        data: BinaryIO,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Send `size` bytes of a data set, PDU by PDU; return False when there are fewer."""
        left = size
        while left:
            chunk = data.read(min(left, self._agreement.max_pdu - PDU_OVERHEAD))
            if not chunk:
                return False
            left -= len(chunk)
            self._send_pdv(identifier, DATA_MORE if left else DATA_LAST, chunk)
            if progress is not None:
                progress(len(chunk))
        return True

    def _send_pdv(self, identifier: int, control: int, chunk: bytes) -> None:
        length = len(chunk)
        head = _HEADER.pack(P_DATA, 0, length + PDU_OVERHEAD) + _PDV.pack(length + 2, identifier, control)
        self._send(head + chunk)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self.target.timeout_s)
            self._socket.sendall(data)
        except TimeoutError:
            raise DeliveryError(f"{self.target} takes no data for {self.target.timeout_s:.0f} s") from None
        except OSError as error:
            raise DeliveryError(f"{self.target} closed the connection: {error.strerror or error}") from error

    def _answer(self, expected: int) -> Answer:
        """Collect the command set of the response; a peer may send it in several fragments."""
        command = bytearray()
        is_last = False
        while not is_last:
            kind, body = self._receive()
            if kind != P_DATA:
                raise DeliveryError(f"{self.target} answered with {_name(kind)}")
            at = 0
            while at + PDU_OVERHEAD <= len(body):
                length, _, control = _PDV.unpack_from(body, at)
                command += body[at + PDU_OVERHEAD : at + 4 + max(2, length)]
                is_last = control & COMMAND_LAST == COMMAND_LAST
                at += 4 + max(2, length)
            if len(command) > ANSWER_LIMIT_BYTES:
                raise DeliveryError(f"{self.target} answered with a command set of over 1 MiB")
        return self._read_answer(bytes(command), expected)

    def _read_answer(self, command: bytes, expected: int) -> Answer:
        try:
            elements = cs.decode(command)
        except ValueError as error:
            raise DeliveryError(f"{self.target}: malformed answer: {error}") from error
        status = cs.number(elements, cs.STATUS)
        if cs.number(elements, cs.COMMAND_FIELD) != expected or status is None:
            raise DeliveryError(f"{self.target} answered something else than was asked")
        if cs.number(elements, cs.MESSAGE_ID_RESPONDED_TO) != self._message_id:
            raise DeliveryError(f"{self.target} answered another message than the last")
        return Answer(status, cs.text(elements, cs.ERROR_COMMENT)[: cs.ERROR_COMMENT_LENGTH])

    def _receive(self) -> tuple[int, bytes]:
        """Read one PDU, whole, within `timeout_s`; return its type and what follows the header."""
        deadline = time.monotonic() + self.target.timeout_s
        kind, _, length = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if length > ANSWER_LIMIT_BYTES:
            raise DeliveryError(f"{self.target} announces a PDU of {length} bytes")
        return kind, self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        try:
            while len(data) < count:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                chunk = self._socket.recv(count - len(data))
                if not chunk:
                    raise DeliveryError(f"{self.target} closed the connection without an answer")
                data += chunk
        except TimeoutError:
            raise DeliveryError(f"{self.target} did not answer for {self.target.timeout_s:.0f} s") from None
        except OSError as error:
            raise DeliveryError(f"{self.target} closed the connection: {error.strerror or error}") from error
        return bytes(data)


def _connect(target: Target) -> socket.socket:
    where = f"{target.host}:{target.port}"
    try:
        connection = socket.create_connection((target.host, target.port), timeout=target.connect_timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls is None:
            return connection
        try:
            return target.tls.wrap_socket(connection, server_hostname=target.host)
        except BaseException:
            connection.close()
            raise
    except TimeoutError:
        raise DeliveryError(f"no connection to {where} within {target.connect_timeout_s:.0f} s") from None
    except OSError as error:
        raise DeliveryError(f"no connection to {where}: {error.strerror or error}") from error


def _name(kind: int) -> str:
    names = {ASSOCIATE_RJ: "A-ASSOCIATE-RJ", RELEASE_RQ: "A-RELEASE-RQ", ABORT: "A-ABORT"}
    return names.get(kind, f"PDU type {kind}")
