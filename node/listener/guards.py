"""Bounds on pynetdicom's upper layer: every read and send has a limit of bytes and of time.

pynetdicom waits for the rest of a PDU as long as the peer likes, believes its length, reads
on while requests pile up, and lets its timers follow the wall clock. These subclasses put
an end to each; `tests/protocol/test_listener_contract.py` holds every name that they use of
pynetdicom.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationSocket

from node import logs
from node.listener.request_items import known_items_only
from node.sockets import shut

if TYPE_CHECKING:
    from node.listener.acceptor import Acceptor

ASSOCIATE_LIMIT_BYTES = 65536  # 128 contexts of 5 transfer syntaxes are 21 KiB; 64 KiB decode in 0.13 s
PDU_SLACK_BYTES = 4096  # over the maximum length that was negotiated
PDU_HEADER_BYTES = 6
HEADER_TIMEOUT_S = 5.0  # for six bytes of which the first has come
PDU_TIMEOUT_S = 10.0  # at least, and longer for long PDUs:
SLOWEST_BYTES_PER_S = 65536
SEND_TIMEOUT_S = 30.0  # for a peer that does not read its answers
BUSY_POLL_S = 0.001  # how long an outgoing answer may wait while requests come
IDLE_POLL_S = 0.1
IDLE_AFTER_S = 0.25
WAKE: Any = None  # what a wait for a message of pynetdicom ends with when there is none
NEGOTIATING = ("Sta1", "Sta2", "Sta3")  # PS3.8 table 9-1: no association yet

log = logs.get("node.listener")


class GuardedSocket(AssociationSocket):
    """A socket on which no read or send lasts for ever, and nothing is read that is not wanted yet."""

    def __init__(self, assoc: Acceptor, connection: socket.socket) -> None:
        super().__init__(assoc, client_socket=connection)
        self._acceptor = assoc
        self._last_read = time.monotonic()
        self._unread = bytearray()
        self.is_over = False  # nothing more is to be read

    @property
    def ready(self) -> bool:
        """Say whether a PDU is to be read; wait a moment for one."""
        connection, provider = self.socket, self._acceptor.dul
        if connection is None or self.is_over:
            if provider.state_machine.current_state == "Sta1":
                provider.kill_dul()
            time.sleep(BUSY_POLL_S)
            return False
        if self._unread:
            return True
        if not self._acceptor.dimse.requests.empty():  # one request is served, one waits: enough
            time.sleep(BUSY_POLL_S)
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        is_idle = time.monotonic() - self._last_read > IDLE_AFTER_S
        try:
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN)
            return bool(poller.poll((IDLE_POLL_S if is_idle else BUSY_POLL_S) * 1000))
        except (OSError, ValueError):
            self.is_over = True
            self.event_queue.put("Evt17")
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes; fewer only when the peer has closed.

        Raises:
            OSError: more is announced than is allowed now, or it does not come in time.
        """
        try:
            return self._recv(nr_bytes)
        except OSError:
            self.is_over = True
            raise

    def _recv(self, nr_bytes: int) -> bytearray:
        limit = self._limit()
        if nr_bytes > limit:
            self._tell("pdu.too_long", length=nr_bytes, limit=limit)
            raise OSError(f"a PDU of {nr_bytes} bytes, {limit} are allowed")
        is_header = nr_bytes == PDU_HEADER_BYTES
        wait_s = HEADER_TIMEOUT_S if is_header else max(PDU_TIMEOUT_S, nr_bytes / SLOWEST_BYTES_PER_S)
        deadline = time.monotonic() + wait_s
        data = bytearray(nr_bytes)
        at = min(len(self._unread), nr_bytes)
        data[:at] = self._unread[:at]
        del self._unread[:at]
        with memoryview(data) as view:
            while at < nr_bytes:
                count = self._receive_into(view[at:], deadline)
                if not count:
                    self.is_over = True
                    break
                at += count
        self._last_read = time.monotonic()
        del data[at:]
        return data

    def send(self, bytestream: bytes) -> None:
        """Send, for as long as `SEND_TIMEOUT_S` at a time."""
        connection = self.socket
        if connection is None:
            return
        try:
            connection.settimeout(SEND_TIMEOUT_S)
        except OSError:
            self.event_queue.put("Evt17")
            return
        super().send(bytestream)

    def unread(self, data: bytes) -> None:
        """Put back what was read but belongs to whoever reads next."""
        self._unread += data

    def shut(self) -> None:
        """Cut the connection; whoever waits on it is woken."""
        connection = self.socket
        if connection is not None:
            shut(connection)

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is not None:
            shut(connection)
            connection.close()

    def _receive_into(self, view: memoryview, deadline: float) -> int:
        connection = self.socket
        if connection is None:
            return 0
        left = deadline - time.monotonic()
        if left <= 0:
            self._tell("pdu.too_slow", expected=len(view))
            raise TimeoutError("a PDU did not come in time")
        connection.settimeout(left)
        acknowledge_now(connection)
        return connection.recv_into(view)

    def _limit(self) -> int:
        if self._acceptor.dul.state_machine.current_state in NEGOTIATING:
            return ASSOCIATE_LIMIT_BYTES
        return max(ASSOCIATE_LIMIT_BYTES, int(self._acceptor.ae.maximum_pdu_size) + PDU_SLACK_BYTES)

    def _tell(self, event: str, **facts: Any) -> None:
        log.warning(event, source_address=self._acceptor.source_address, **facts)


class MonotonicTimer(Timer):
    """pynetdicom's timer on a clock that nobody sets."""

    @property
    def remaining(self) -> float:
        """Seconds until the timer expires; 1 when it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        end = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (end - self._start_time)

    def start(self) -> None:
        """Reset the timer and let it run."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Stop the timer."""
        self._end_time = time.monotonic()


class Settable(Protocol):
    """What is needed of `threading.Event`."""

    def set(self) -> None:
        """Tell whoever waits."""


class Signalling(queue.Queue[Any]):
    """A queue that also sets an event, so that one thread can wait for several queues."""

    def __init__(self, news: Settable) -> None:
        super().__init__()
        self._news = news

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - as Queue
        """Append an item and tell."""
        super().put(item, block, timeout)
        self._news.set()


class GuardedProvider(DULServiceProvider):
    """pynetdicom's upper layer provider, which ends by itself whatever happens in it."""

    def __init__(self, assoc: Acceptor, news: threading.Event) -> None:
        super().__init__(assoc)
        self.name = f"upper-layer@{assoc.source_address}"
        self.daemon = True
        self._acceptor = assoc
        self._news = news
        self._run_loop_delay = 0  # `GuardedSocket.ready` waits
        self._idle_timer = MonotonicTimer(assoc.network_timeout)
        self.artim_timer = MonotonicTimer(assoc.acse_timeout)
        self.to_user_queue = Signalling(news)

    def run_reactor(self) -> None:
        """Run until the association is over; an exception ends it with an A-ABORT and one log line."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the mouth of the loop: a bad PDU is worth one line
            log.warning(
                "association.malformed",
                source_address=self._acceptor.source_address,
                error=f"{type(error).__name__}: {error}",
            )
            self._abort_now()
        finally:
            self.to_user_queue.put(WAKE)  # the association, whatever it waits for

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        decoded: tuple[Any, str] = super()._decode_pdu(bytearray(known_items_only(bytes(bytestream))))
        if isinstance(decoded[0], A_ASSOCIATE_RQ):
            _check_contexts(decoded[0])
        return decoded

    def restart_idle_timer(self) -> None:
        """Begin to count the silence of the peer anew: what this node needed to answer does not count."""
        self._idle_timer.restart()

    @property
    def is_receiving(self) -> bool:
        """Whether a message that only this thread knows of is on its way in."""
        return False

    def send_whole(self, message: Sequence[P_DATA]) -> None:
        """Send one message, with nothing in between."""
        for primitive in message:
            self.send_pdu(primitive)

    def close(self) -> None:
        """Give back what is left; the thread must have ended."""

    def _abort_now(self) -> None:
        self._acceptor.is_aborted = True
        self._acceptor.is_established = False
        connection = self._acceptor.guarded_socket
        pdu = A_ABORT_RQ()
        pdu.source = 0x02
        pdu.reason_diagnostic = 0x00
        connection.send(pdu.encode())
        connection.shut()


def acknowledge_now(connection: socket.socket) -> None:
    """Re-arm TCP_QUICKACK, which the kernel drops: a delayed ACK costs senders with Nagle 40 ms an object."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    except OSError:
        return


def _check_contexts(request: A_ASSOCIATE_RQ) -> None:
    """Refuse what pynetdicom would fail at in the middle of a negotiation. Source: PS3.8 table 9-13.

    Raises:
        ValueError: a presentation context proposes nothing.
    """
    for context in request.presentation_context:
        if not context.abstract_syntax or not any(context.transfer_syntax):
            raise ValueError(
                f"presentation context {context.context_id} is proposed without abstract or transfer syntax"
            )
