"""The Storage Commitment SCP of an association: N-ACTION made durable and answered, its result reported here.

    begin(command) -> Action ── write(bytes) ... ──► answer(action) -> status
    report() -> Report, sent as N-EVENT-REPORT ──► replied(command)

The judging is the worker's (`node.commitment_loop`); they meet in a folder (`node.commitment.exchange`).
Here is nothing but bounded memory and small files. Source: PS3.4 annex J, PS3.7 sections 10.1.1 and 10.1.4.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node import command_set as cs
from node import logs
from node.commitment.dataset import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_STORAGE_COMMITMENT,
    event_type,
    read_request,
    write_report,
)
from node.commitment.exchange import Asked, Exchange, new_token
from node.digest import Buffer
from node.errors import CommitmentRequestError, DiskFullError, SpoolError, TooManyReferencesError
from node.listener.file_meta import Sender

MAX_DATA_SET_BYTES = 4 << 20  # 10 000 references of the longest UIDs are 1.6 MB
MAX_BYTES_AT_ONCE = 32 << 20  # of all requests that come in at one time, per process
MAX_BACKLOG = 1000  # requests that the worker has not taken yet
LOOK_S = 0.1  # how often an association to which a report is owed looks for it
OWED_S = 300.0  # for so long the silence of a requestor that waits for its report is no fault of its

SUCCESS = 0x0000  # this and the following: PS3.7 10.1.4.1.10 and annex C
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
NO_SUCH_ACTION = 0x0123
RESOURCE_LIMITATION = 0x0213

Elements = dict[int, int | str]

log = logs.get("node.listener")


@dataclass(frozen=True, slots=True)
class Report:
    """An N-EVENT-REPORT-RQ that is to be sent: its context, command and data set."""

    context_id: int
    elements: Elements
    data: bytes


@dataclass(frozen=True, slots=True)
class _Owed:
    context_id: int
    transfer_syntax_uid: str
    since: float


class CommitmentService:
    """What all associations of a process share: the folder, and how much memory their requests may take."""

    def __init__(self, exchange: Exchange, *, clock: Callable[[], float] = time.time) -> None:
        self.exchange = exchange
        self.clock = clock
        self._lock = threading.Lock()
        self._bytes = 0

    def reserve(self, count: int) -> bool:
        """Take memory for so many bytes (given back when negative); return False when there is none left."""
        with self._lock:
            if count > 0 and self._bytes + count > MAX_BYTES_AT_ONCE:
                return False
            self._bytes += count
            return True


class Action:
    """One N-ACTION-RQ on its way in; never holds more than its limit, whatever comes."""

    def __init__(
        self,
        service: CommitmentService,
        command: Mapping[int, bytes],
        context_id: int,
        transfer_syntax_uid: str,
    ) -> None:
        self.command = command
        self.context_id = context_id
        self.transfer_syntax_uid = transfer_syntax_uid
        self.data = bytearray()
        self.is_too_long = False
        self._service = service

    def write(self, data: Buffer) -> None:
        """Take the next bytes of the data set; of one that is too long nothing is kept."""
        if self.is_too_long:
            return
        if len(self.data) + len(data) > MAX_DATA_SET_BYTES or not self._service.reserve(len(data)):
            self.discard()
            self.is_too_long = True
            return
        self.data += data

    def discard(self) -> None:
        """Give the memory back; may be called at any time, also twice."""
        self._service.reserve(-len(self.data))
        self.data = bytearray()


class CommitmentSession:
    """The transactions of one association. Read by the upper layer's thread, served by the association's."""

    def __init__(self, service: CommitmentService, sender: Sender) -> None:
        self._service = service
        self._sender = sender
        self._lock = threading.Lock()
        self._owed: dict[str, _Owed] = {}
        self._reporting: str | None = None
        self._message_id = 0

    @property
    def is_owing(self) -> bool:
        """Say whether a report is owed that may be sent on this association."""
        return bool(self._owed) or self._reporting is not None

    @property
    def is_patient(self) -> bool:
        """Say whether the requestor may be silent because it waits for this node, and not for long yet."""
        with self._lock:
            now = self._service.clock()
            return any(now - owed.since < OWED_S for owed in self._owed.values())

    def begin(self, command: Mapping[int, bytes], context_id: int, transfer_syntax_uid: str) -> Action:
        """Begin to receive an N-ACTION-RQ. It must end with `answer` or `Action.discard`."""
        return Action(self._service, command, context_id, transfer_syntax_uid)

    def answer(self, action: Action) -> Elements:
        """Make the request durable; return the elements of the N-ACTION-RSP that depend on it."""
        try:
            status, comment = self._accept(action)
        finally:
            action.discard()
        elements: Elements = {
            cs.COMMAND_FIELD: cs.N_ACTION_RSP,
            cs.AFFECTED_SOP_CLASS_UID: PUSH_MODEL,
            cs.AFFECTED_SOP_INSTANCE_UID: PUSH_MODEL_INSTANCE,
            cs.STATUS: status,
        }
        if status == SUCCESS:
            elements[cs.ACTION_TYPE_ID] = REQUEST_STORAGE_COMMITMENT
        else:
            elements[cs.ERROR_COMMENT] = comment[: cs.ERROR_COMMENT_LENGTH]
            log.warning("commitment.refused", status=f"0x{status:04X}", reason=comment, **self._names())
        return elements

    def report(self) -> Report | None:
        """Return the next report that is to be sent now, one at a time; None when there is none."""
        with self._lock:
            if self._reporting is not None:
                return None
            for token, owed in list(self._owed.items()):
                result = self._service.exchange.take(token)
                if result is None:
                    continue
                del self._owed[token]
                self._reporting = token
                self._message_id = self._message_id % 0xFFFF + 1
                syntax = owed.transfer_syntax_uid
                data = write_report(result.request, result.outcomes, transfer_syntax_uid=syntax)
                return Report(owed.context_id, self._elements(event_type(result.outcomes)), data)
            return None

    def replied(self, command: Mapping[int, bytes]) -> None:
        """Take an N-EVENT-REPORT-RSP.

        Raises:
            ValueError: it answers nothing that was reported.
        """
        with self._lock:
            token, self._reporting = self._reporting, None
            if token is None or cs.number(command, cs.MESSAGE_ID_RESPONDED_TO) != self._message_id:
                raise ValueError("an N-EVENT-REPORT-RSP to no report")
        status = cs.number(command, cs.STATUS)
        if status == SUCCESS:
            self._service.exchange.sign(token, "reported")
            return
        log.warning("commitment.report_refused", status=status, **self._names())
        self._service.exchange.sign(token, "closed")

    def close(self) -> None:
        """Leave what was not reported to the worker: the association is over."""
        with self._lock:
            tokens = [*self._owed, *([self._reporting] if self._reporting else [])]
            self._owed.clear()
            self._reporting = None
        for token in tokens:
            self._service.exchange.sign(token, "closed")

    def _accept(self, action: Action) -> tuple[int, str]:
        refusal = _refusal(action)
        if refusal is not None:
            return refusal
        exchange, token, now = self._service.exchange, new_token(), self._service.clock()
        try:
            request = read_request(action.data, transfer_syntax_uid=action.transfer_syntax_uid)
            if exchange.backlog() >= MAX_BACKLOG:
                return RESOURCE_LIMITATION, "too many requests wait, try again"
            with self._lock:
                self._owed[token] = _Owed(action.context_id, action.transfer_syntax_uid, now)
            exchange.ask(
                Asked(
                    token=token,
                    transaction_uid=request.transaction_uid,
                    references=request.references,
                    calling_ae_title=self._sender.calling_ae_title,
                    called_ae_title=self._sender.called_ae_title,
                    source_address=self._sender.source_address,
                    association=self._sender.association,
                    received_at=now,
                )
            )
        except TooManyReferencesError as error:
            return RESOURCE_LIMITATION, str(error)
        except CommitmentRequestError as error:
            return INVALID_ARGUMENT, str(error)
        except (SpoolError, OSError) as error:
            with self._lock:
                self._owed.pop(token, None)
            log.error("commitment.not_durable", error=str(error))  # noqa: TRY400 - the message says it all
            is_full = isinstance(error, DiskFullError)
            return (RESOURCE_LIMITATION if is_full else PROCESSING_FAILURE), "the request could not be kept"
        log.info("commitment.requested", references=len(request.references), **self._names())
        return SUCCESS, ""

    def _elements(self, event: int) -> Elements:
        return {
            cs.AFFECTED_SOP_CLASS_UID: PUSH_MODEL,
            cs.COMMAND_FIELD: cs.N_EVENT_REPORT_RQ,
            cs.MESSAGE_ID: self._message_id,
            cs.DATA_SET_TYPE: cs.HAS_DATA_SET,
            cs.AFFECTED_SOP_INSTANCE_UID: PUSH_MODEL_INSTANCE,
            cs.EVENT_TYPE_ID: event,
        }

    def _names(self) -> dict[str, str]:
        return {"calling_aet": self._sender.calling_ae_title, "source_address": self._sender.source_address}


def _refusal(action: Action) -> tuple[int, str] | None:
    """Return status and reason of a request that is refused for its command or its length, or None."""
    command = action.command
    if cs.text(command, cs.REQUESTED_SOP_CLASS_UID) != PUSH_MODEL:
        return NO_SUCH_CLASS, "Requested SOP Class is not the Storage Commitment Push Model"
    if cs.text(command, cs.REQUESTED_SOP_INSTANCE_UID) != PUSH_MODEL_INSTANCE:
        return NO_SUCH_INSTANCE, f"Requested SOP Instance is not {PUSH_MODEL_INSTANCE}"
    if cs.number(command, cs.ACTION_TYPE_ID) != REQUEST_STORAGE_COMMITMENT:
        return NO_SUCH_ACTION, "Action Type ID is not 1"
    if action.is_too_long:
        return RESOURCE_LIMITATION, "the request is too long"
    if not action.data:
        return INVALID_ARGUMENT, "no data set"
    return None
