"""One accepted connection, from its first byte to its end: negotiate, serve, answer, note how it ended."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from node import command_set as cs
from node import logs
from node.listener import contexts
from node.listener.access import Access, Caller, plain_address
from node.listener.c_store import Command, Reception, StoreService
from node.listener.commitment import LOOK_S as OWING_LOOK_S
from node.listener.commitment import CommitmentService, CommitmentSession
from node.listener.file_meta import Sender
from node.listener.guards import WAKE, GuardedProvider, GuardedSocket
from node.listener.messages import Messages, Request
from node.listener.open_associations import OpenAssociations
from node.listener.pdata import message
from node.listener.quotas import Quota, Quotas
from node.listener.tls import certificate_names
from node.listener.upper_layer import Provider
from node.listener.users import Identity, Users
from node.spool import valid_uid

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity

KILL_TIMEOUT_S = 20.0  # the longest orderly end: a PDU that is being read, then the ARTIM timer
QUIET_S = 0.25  # without a request, after which the peer counts as waiting
LOOK_S = 1.0  # how often an idle association looks at its timers

End = Literal["released", "aborted", "lost"]
ENDED: dict[End, str] = {
    "released": "association.released",
    "aborted": "association.aborted",
    "lost": "association.lost",
}

log = logs.get("node.listener")


@dataclass(frozen=True, slots=True)
class Parts:
    """What every association of a listener works with; a reload gives new ones to new connections."""

    access: Access
    users: Users
    quotas: Quotas
    service: StoreService
    associations: OpenAssociations
    provider: Provider
    commitment: CommitmentService | None = None


class GuardedControl(ACSE):
    """Negotiation by our own rules: who may associate, and which contexts are accepted."""

    def __init__(self, assoc: Acceptor) -> None:
        super().__init__(assoc)
        self._acceptor = assoc

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        if request is None:
            raise ValueError("negotiation without a request")
        self.requestor.ae_title = request.calling_ae_title
        refusal = self._acceptor.admit(
            Caller(
                calling_ae_title=request.calling_ae_title,
                called_ae_title=request.called_ae_title,
                address=self._acceptor.host,
                max_pdu=self.requestor.maximum_length or 0,
                certificate_names=self._acceptor.certificate_names,
            ),
            identity := _identity(self.requestor.user_identity),
        )
        if refusal is not None:
            self.send_reject(*refusal)
            self._acceptor.is_rejected = True
            self._acceptor.kill()
            return
        if self._acceptor.confirms(identity):
            self.acceptor.add_negotiation_item(_positive_response())
        proposed = request.presentation_context_definition_list
        self.acceptor.supported_contexts = contexts.supported(
            proposed, with_commitment=self._acceptor.commitments is not None
        )
        super()._negotiate_as_acceptor()


class Acceptor(Association):
    """An association as acceptor, in a thread of its own; the upper layer has another."""

    def __init__(self, ae: ApplicationEntity, parts: Parts, source: tuple[str, int], name: str) -> None:
        self.source = source
        self.host = plain_address(source[0])
        self.source_address = f"{self.host}:{source[1]}"
        self._id = name
        self._parts = parts
        self._news = threading.Event()
        self._sender: Sender | None = None
        self._quota: Quota | None = None
        self._max_bytes: int | None = None
        self._ending = threading.Event()
        self._n_received = self._n_bytes = 0
        self._max_pdu = 0
        self._is_stopping = False
        self.commitments: CommitmentSession | None = None
        self._served_at = 0.0
        super().__init__(ae, MODE_ACCEPTOR)
        self.name = f"association@{self.source_address}"
        self.acse = GuardedControl(self)
        self.dul: GuardedProvider = parts.provider(self, self._news)
        self.dimse: Messages = Messages(self, self._news, self._begin)

    @property
    def guarded_socket(self) -> GuardedSocket:
        """The socket of this association."""
        connection = self.dul.socket
        if not isinstance(connection, GuardedSocket):
            raise TypeError("an association without its socket")
        return connection

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Whose certificate the peer has shown; none without TLS, or without a certificate."""
        connection = self.guarded_socket.socket
        return certificate_names(connection.getpeercert()) if isinstance(connection, ssl.SSLSocket) else ()

    def admit(self, caller: Caller, identity: Identity | None = None) -> tuple[int, int, int] | None:
        """Decide about the request; return the code of the refusal, or None when it is accepted."""
        parts = self._parts
        calling = caller.calling_ae_title.strip()
        refusal = parts.associations.admit(self, caller, parts.access)
        if refusal is None:  # it has a place now, so the check of passcodes is not open to everybody
            refusal = parts.users.refuse(identity, calling, self.host)
            if refusal is not None:
                parts.associations.withdraw(self)
        if refusal is not None:
            parts.service.tally.association("rejected")
            parts.service.tally.refused(refusal.kind)
            log.warning("association.refused", reason=refusal.reason, source_address=self.source_address)
            return refusal.code
        self._max_pdu = caller.max_pdu
        peer = parts.access.peer_of(caller)
        self._quota = parts.quotas.of(peer)
        if peer is not None and peer.max_instance_mb is not None:
            self._max_bytes = peer.max_instance_mb * 1024**2
        self._sender = Sender(
            caller.calling_ae_title.strip(), caller.called_ae_title.strip(), self.host, self._id
        )
        if self._parts.commitment is not None:
            self.commitments = CommitmentSession(self._parts.commitment, self._sender)
        return None

    def confirms(self, identity: Identity | None) -> bool:
        """Say whether the request is owed a positive response to its user identity."""
        return self._parts.users.confirms(identity)

    def pause_after(self, n_bytes: int) -> None:
        """Hold a peer to its rate: nothing more is read for a moment after an object was answered."""
        if self._quota is not None and (pause_s := self._quota.took(n_bytes)) > 0:
            self._ending.wait(pause_s)

    def accepted_context(self, context_id: int) -> tuple[str, str] | None:
        """Return abstract and transfer syntax of an accepted context, or None."""
        context = self._accepted_cx.get(context_id)
        if context is None:
            return None
        return str(context.abstract_syntax), str(context.transfer_syntax[0])

    def kill(self) -> None:
        """End the upper layer: in order when it can, by cutting the connection when it cannot."""
        self._reactor_checkpoint.set()
        self._kill = True
        self.is_established = False
        self._is_paused = True
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while self.dul.is_alive() and not self.dul.stop_dul():
            if time.monotonic() > deadline:
                self.cut()
                return
            time.sleep(0.005)

    def stop(self) -> None:
        """End at the next occasion: after the request that is being served."""
        self._is_stopping = True
        self._ending.set()
        self._news.set()
        if not self.is_established:
            self.cut()

    def cut(self) -> None:
        """End at once: nothing more is read, sent or waited for."""
        self._kill = True
        self._ending.set()
        self.dul.kill_dul()
        self.dul.to_user_queue.put(WAKE)  # the wait for a request
        self.guarded_socket.shut()
        self._news.set()

    def run_reactor(self) -> None:
        """Negotiate, serve until the end, and leave nothing behind."""
        try:
            super().run_reactor()
        except Exception:  # the mouth of the thread
            log.exception("association.failed", source_address=self.source_address)
        finally:
            self.cut()
            if self.dul.ident is not None:
                self.dul.join()
            self.dul.close()
            self.guarded_socket.close()
            self.dimse.discard()
            self._close()

    def _run_reactor(self) -> None:
        """Serve requests as they come, until the peer releases or aborts, or is silent for too long."""
        self._open()
        while not self._kill:
            is_owing = self.commitments is not None and self.commitments.is_owing
            self._news.wait(OWING_LOOK_S if is_owing else LOOK_S)
            self._news.clear()
            self._serve_all()
            self._report()
            if self.acse.is_release_requested():
                self._serve_all()
                self.acse.send_release(is_response=True)
                self.is_released, self.is_established = True, False
                self.kill()
            elif self.acse.is_aborted() or not self.dul.is_alive():
                self.is_aborted, self.is_established = self.acse.is_aborted("a-abort"), False
                self.kill()
            elif self.dul.idle_timer_expired():
                log.warning("association.silent", **self._names(), seconds=self.network_timeout)
                self._give_up()
            elif self._is_stopping:
                self._give_up()

    def _serve_all(self) -> None:
        while self.dul.is_alive() and not self._kill:
            waiting = self.dimse.next_request()
            if waiting is None:
                return
            self._answer(*waiting)
            self._served_at = time.monotonic()
            self.dul.restart_idle_timer()

    def _report(self) -> None:
        """Send the result of a storage commitment that was asked for here, when it is there."""
        session = self.commitments
        if session is None or not session.is_owing or not self.is_established:
            return
        is_quiet = not self.dimse.is_receiving and time.monotonic() - self._served_at > QUIET_S
        if not is_quiet:  # one that goes on sending would take the report for the answer that it waits for
            return
        report = session.report()
        if report is not None:
            self.dimse.report(report)
        if report is not None or session.is_patient:
            self.dul.restart_idle_timer()

    def _give_up(self) -> None:
        """Abort an association that the peer did not end; it counts as lost."""
        self.acse.send_abort(0x02)
        self.is_aborted = False
        self.kill()

    def answer_at_once(self, context_id: int, request: Request) -> None:
        """Serve a request and send its response from the thread of the upper layer.

        A peer that does not take it is gone, which the next read tells.
        """
        encoded = cs.encode(self._serve(request))
        connection = self.guarded_socket.socket
        if connection is None:
            return
        try:
            connection.sendall(message(context_id, encoded, self._max_pdu))
        except OSError:
            self.guarded_socket.shut()

    def served_at_once(self, request: Request) -> None:
        """Hold the peer to its rate, and begin to count its silence."""
        if request.reception is not None:
            self.pause_after(request.reception.size)
        self._served_at = time.monotonic()
        self.dul.restart_idle_timer()

    def _answer(self, context_id: int, request: Request) -> None:
        self.dimse.respond(context_id, self._serve(request))
        if request.reception is not None:
            request.reception.settle()
            self.pause_after(request.reception.size)

    def _serve(self, request: Request) -> dict[int, int | str]:
        """Do what was asked; return the elements of the response."""
        elements: dict[int, int | str] = {
            cs.MESSAGE_ID_RESPONDED_TO: request.message_id,
            cs.DATA_SET_TYPE: cs.NO_DATA_SET,
        }
        if request.action is not None and self.commitments is not None:
            return elements | self.commitments.answer(request.action)
        if valid_uid(request.sop_class_uid):
            elements[cs.AFFECTED_SOP_CLASS_UID] = request.sop_class_uid
        if request.reception is None:
            return elements | {cs.COMMAND_FIELD: cs.C_ECHO_RSP, cs.STATUS: 0}
        answer = request.reception.finish()
        elements |= {cs.COMMAND_FIELD: cs.C_STORE_RSP, cs.STATUS: answer.status}
        if valid_uid(request.sop_instance_uid):
            elements[cs.AFFECTED_SOP_INSTANCE_UID] = request.sop_instance_uid
        if answer.comment:
            elements[cs.ERROR_COMMENT] = answer.comment
        if answer.status == 0:
            self._n_received += 1
            self._n_bytes += request.reception.size
        return elements

    def _begin(self, command: Command) -> Reception:
        if self._sender is None:
            raise ValueError("data before the association was accepted")
        return self._parts.service.begin(command, self._sender, max_bytes=self._max_bytes)

    def _open(self) -> None:
        self._parts.service.tally.association("accepted")
        log.info("association.accepted", **self._names())
        if self._sender is not None:
            self._parts.associations.opened(self._sender)

    def _close(self) -> None:
        if self.commitments is not None:
            self.commitments.close()
        was_admitted = self._parts.associations.remove(self)
        if not was_admitted:
            return
        end: End = "released" if self.is_released else "aborted" if self.is_aborted else "lost"
        self._parts.service.tally.association(end)
        log.info(ENDED[end], **self._names(), instances=self._n_received, bytes=self._n_bytes)
        self._parts.associations.closed(self._id, end, n_received=self._n_received, n_bytes=self._n_bytes)

    def _names(self) -> dict[str, str]:
        sender = self._sender
        return {
            "calling_aet": sender.calling_ae_title if sender else "",
            "called_aet": sender.called_ae_title if sender else "",
            "source_address": self.source_address,
        }


def _identity(item: UserIdentityNegotiation | None) -> Identity | None:
    """Return the user identity of a request, None when it has none."""
    if item is None:
        return None
    return Identity(
        item.user_identity_type or 0,
        item.primary_field or b"",
        item.secondary_field or b"",
        wants_response=bool(item.positive_response_requested),
    )


def _positive_response() -> UserIdentityNegotiation:
    """Return the answer to a name or a name with its passcode: it has no content (PS3.7 D.3.3.7.2)."""
    item = UserIdentityNegotiation()
    item.server_response = b""
    return item
