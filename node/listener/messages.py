"""From P-DATA fragments to requests: the command set in memory, the data set straight to the spool.

This is pynetdicom's way, one primitive after the other. It serves C-ECHO, and N-ACTION of
Storage Commitment with the answers to its reports; C-STORE goes by `store_stream`, and this
way only where that is not used. A C-CANCEL has nothing to cancel here and is dropped.
Anything else breaks the presentation contexts that were accepted, and ends the association.
Source: PS3.8 annex E, PS3.7 sections 9.1, 9.3, 10.1.1 and 10.1.4.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from node import command_set as cs
from node import logs
from node.commitment.dataset import PUSH_MODEL
from node.listener.c_store import Command, Reception
from node.listener.commitment import Action, Report
from node.listener.guards import Signalling
from node.listener.pdata import HEADER_BYTES, IS_COMMAND, IS_LAST, ProtocolError

if TYPE_CHECKING:
    import threading

    from node.listener.acceptor import Acceptor

COMMAND_LIMIT_BYTES = 65536  # of one command set; the longest legal C-STORE-RQ has under 400
MAX_PDU_OUT = 131072  # to a peer that sets no limit, or a longer one

log = logs.get("node.listener")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is complete: an object that was received, a storage commitment, or else a C-ECHO."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str = ""
    reception: Reception | None = None
    action: Action | None = None

    @property
    def sink(self) -> Reception | Action | None:
        """Where the data set goes."""
        return self.reception or self.action


class Messages(DIMSEServiceProvider):
    """The DIMSE provider of one association; `receive_primitive` runs in the upper layer's thread."""

    def __init__(self, assoc: Acceptor, news: threading.Event, begin: Callable[[Command], Reception]) -> None:
        super().__init__(assoc)
        self.requests = Signalling(news)
        self._acceptor = assoc
        self._begin = begin
        self._command = bytearray()
        self._context_id: int | None = None
        self._receiving: Request | None = None
        self._is_broken = False

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of one P-DATA-TF PDU."""
        if self._is_broken:
            return
        try:
            self._take_all(primitive.presentation_data_value_list)
        except (ProtocolError, ValueError) as error:
            self._is_broken = True
            log.warning(
                "association.protocol_error",
                source_address=self._acceptor.source_address,
                error=str(error),
            )
            self.dul.event_queue.put("Evt19")

    def context(self, context_id: int) -> tuple[str, str]:
        """Return abstract and transfer syntax of a presentation context.

        Raises:
            ProtocolError: it was not accepted.
        """
        context = self._acceptor.accepted_context(context_id)
        if context is None:
            raise ProtocolError(f"presentation context {context_id} was not accepted")
        return context

    def begin_store(self, message_id: int, command: dict[int, bytes], context: tuple[str, str]) -> Request:
        """Begin to receive the object of a C-STORE-RQ.

        Raises:
            ProtocolError: the command does not say which instance it is.
        """
        if cs.AFFECTED_SOP_INSTANCE_UID not in command:
            raise ProtocolError("a C-STORE without Affected SOP Instance UID")
        sop_class = cs.text(command, cs.AFFECTED_SOP_CLASS_UID)
        sop_instance = cs.text(command, cs.AFFECTED_SOP_INSTANCE_UID)
        has_data_set = cs.number(command, cs.DATA_SET_TYPE) not in (cs.NO_DATA_SET, None)
        reception = self._begin(Command(sop_class, sop_instance, *context, has_data_set=has_data_set))
        return Request(message_id, sop_class, sop_instance, reception)

    def next_request(self) -> tuple[int, Request] | None:
        """Return the next complete request and its context, or None when there is none."""
        try:
            waiting: tuple[int, Request] = self.requests.get(block=False)
        except queue.Empty:
            return None
        return waiting

    def respond(self, context_id: int, elements: dict[int, int | str]) -> None:
        """Send a response without a data set."""
        for primitive in self._primitives(context_id, cs.encode(elements), IS_COMMAND):
            self.dul.send_pdu(primitive)

    def report(self, report: Report) -> None:
        """Send an N-EVENT-REPORT-RQ. To be called when no request is on its way in."""
        command = self._primitives(report.context_id, cs.encode(report.elements), IS_COMMAND)
        self._acceptor.dul.send_whole([*command, *self._primitives(report.context_id, report.data, 0)])

    @property
    def is_receiving(self) -> bool:
        """Say whether a request has begun that is not complete yet."""
        return self._context_id is not None or self._acceptor.dul.is_receiving

    def _primitives(self, context_id: int, encoded: bytes, kind: int) -> Iterator[P_DATA]:
        """Yield a command set or a data set in as many primitives as the peer's longest PDU asks for."""
        longest = self.maximum_pdu_size or MAX_PDU_OUT
        room = min(longest, MAX_PDU_OUT) - HEADER_BYTES
        for at in range(0, len(encoded), room):
            control = kind | (IS_LAST if at + room >= len(encoded) else 0)
            primitive = P_DATA()
            fragment = bytes((control,)) + encoded[at : at + room]
            primitive.presentation_data_value_list.append((context_id, fragment))
            yield primitive

    def discard(self) -> None:
        """Drop what is not complete, and what is complete but not served. The upper layer must have ended."""
        requests = [self._receiving] if self._receiving is not None else []
        self._receiving = None
        while (waiting := self.next_request()) is not None:
            requests.append(waiting[1])
        for request in requests:
            if request.sink is not None:
                request.sink.discard()

    def _take_all(self, fragments: list[tuple[int, bytes]]) -> None:
        if not fragments:
            raise ProtocolError("a P-DATA-TF PDU without a fragment")
        for context_id, fragment in fragments:
            self._take(context_id, fragment)

    def _take(self, context_id: int, fragment: bytes) -> None:
        if not fragment:
            raise ProtocolError("a fragment without a message control header")
        if self._context_id not in (None, context_id):
            raise ProtocolError("fragments of two presentation contexts are mixed")
        control = fragment[0]
        if not control & IS_COMMAND:
            self._take_data(memoryview(fragment)[1:], is_last=bool(control & IS_LAST))
            return
        if self._receiving is not None:
            raise ProtocolError("a command before the data set of the last one was complete")
        self._context_id = context_id
        self._command += fragment[1:]
        if len(self._command) > COMMAND_LIMIT_BYTES:
            raise ProtocolError(f"a command set of over {COMMAND_LIMIT_BYTES} bytes")
        if control & IS_LAST:
            command, self._command = cs.decode(self._command), bytearray()
            self._take_command(context_id, command)

    def _take_command(self, context_id: int, command: dict[int, bytes]) -> None:
        kind, message_id = cs.number(command, cs.COMMAND_FIELD), cs.number(command, cs.MESSAGE_ID)
        has_data_set = cs.number(command, cs.DATA_SET_TYPE) not in (cs.NO_DATA_SET, None)
        if kind == cs.C_CANCEL_RQ and not has_data_set:
            self._context_id = None
            return
        context = self.context(context_id)
        if context[0] == PUSH_MODEL and self._take_commitment(
            context_id, command, context[1], has_data_set=has_data_set
        ):
            return
        if message_id is None or kind not in (cs.C_STORE_RQ, cs.C_ECHO_RQ):
            name = "no command field" if kind is None else f"command field 0x{kind:04X}"
            raise ProtocolError(f"{name}, message id {message_id}: no request that is served here")
        if (kind == cs.C_ECHO_RQ) != (context[0] == cs.VERIFICATION):
            raise ProtocolError(f"command field 0x{kind:04X} in a context of {context[0]}")
        if kind == cs.C_ECHO_RQ:
            if has_data_set:
                raise ProtocolError("a C-ECHO with a data set")
            self._done(Request(message_id, cs.text(command, cs.AFFECTED_SOP_CLASS_UID)))
            return
        self._receiving = self.begin_store(message_id, command, context)
        if not has_data_set:
            self._done(self._receiving)

    def _take_commitment(
        self, context_id: int, command: dict[int, bytes], transfer_syntax: str, *, has_data_set: bool
    ) -> bool:
        """Take a command of Storage Commitment; return False when it is none."""
        session = self._acceptor.commitments
        kind, message_id = cs.number(command, cs.COMMAND_FIELD), cs.number(command, cs.MESSAGE_ID)
        if session is None:
            return False
        if kind == cs.N_EVENT_REPORT_RSP and not has_data_set:
            self._context_id = None
            session.replied(command)
            return True
        if kind != cs.N_ACTION_RQ or message_id is None:
            return False
        action = session.begin(command, context_id, transfer_syntax)
        self._receiving = Request(message_id, PUSH_MODEL, action=action)
        if not has_data_set:
            self._done(self._receiving)
        return True

    def _take_data(self, data: memoryview, *, is_last: bool) -> None:
        request = self._receiving
        if request is None or request.sink is None:
            raise ProtocolError("a data set without a command")
        request.sink.write(data)
        if is_last:
            self._done(request)

    def _done(self, request: Request) -> None:
        context_id, self._context_id = self._context_id, None
        self._receiving = None
        self.requests.put((context_id, request))
