"""The fast receive loop: an established association is read in large pieces, and C-STORE answered at once.

In state Sta6 (PS3.8 table 9-10) one thread blocks on the socket, walks the P-DATA-TF PDUs
where they lie in one buffer that is used again and again, streams fragments to the spool
and sends the response. So the memory of an association is constant, whatever the size of an
object, and no other thread takes part. PDUs of another type, and messages other than
C-STORE, go through pynetdicom's state machine as if it had read them. The names of
pynetdicom that this room uses are held by `tests/protocol/test_listener_contract.py`.

A PDU has a deadline, an object a lowest rate, and a silent association the network timeout.
"""

from __future__ import annotations

import math
import mmap
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pynetdicom
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from node import logs
from node.listener.guards import (
    HEADER_TIMEOUT_S,
    PDU_SLACK_BYTES,
    PDU_TIMEOUT_S,
    SEND_TIMEOUT_S,
    SLOWEST_BYTES_PER_S,
    GuardedProvider,
    GuardedSocket,
    Signalling,
    acknowledge_now,
)
from node.listener.pdata import PDUTooLongError, ProtocolError, Walker
from node.listener.store_stream import StoreStream

if TYPE_CHECKING:
    from node.listener.acceptor import Acceptor

KNOWN_PYNETDICOM = "3.0.4"
ESTABLISHED = "Sta6"
BUFFER_BYTES = 1048576  # a CT slice and more is digested after its answer; untouched pages cost no memory
LEAST_READ_BYTES = 65536
SLICE_S = 1.0  # the longest wait in one system call: then deadlines and the wishes of others are looked at
OBJECT_GRACE_S = 60.0  # an object may be slow for so long; then it has to come faster than
SLOWEST_OBJECT_BYTES_PER_S = 1024

_TIMEVAL = struct.Struct("ll")  # struct timeval, for SO_RCVTIMEO and SO_SNDTIMEO (socket(7))

log = logs.get("node.listener")


class Wakeup:
    """Wakes a thread that waits in poll(2); looks like an event to those who set it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading; -1 once closed."""
        return -1 if self._fd is None else self._fd

    def set(self) -> None:
        """Wake the thread, or keep it from its next wait."""
        with self._lock:
            if self._fd is not None:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Be quiet until the next `set`."""
        try:
            os.eventfd_read(self.fileno())
        except OSError:  # nobody has set it, or it is closed
            return

    def close(self) -> None:
        """Give the descriptor back; `set` does nothing from now on."""
        with self._lock:
            fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class StreamingProvider(GuardedProvider):
    """pynetdicom's upper layer provider with a receive loop of its own in state Sta6."""

    def __init__(self, assoc: Acceptor, news: threading.Event) -> None:
        super().__init__(assoc, news)
        self._wakeup = Wakeup()
        self.to_provider_queue = Signalling(self._wakeup)
        self._outbox: deque[bytes] = deque()
        self._stream: StoreStream | None = None
        self._walker: Walker | None = None
        self._buffer = memoryview(b"")
        self._lo = self._hi = 0
        self._is_hungry = True
        self._heard_at = time.monotonic()
        self._due: tuple[int, bool] | None = None  # the PDU that has begun, or the header after it
        self._deadline: float | None = None
        self._object_began_at: float | None = None

    def kill_dul(self) -> None:
        """End the loop at its next turn, and wake it."""
        super().kill_dul()
        self._wakeup.set()

    def idle_timer_expired(self) -> bool:
        """Say whether the peer has been silent for the network timeout."""
        timeout = self.network_timeout
        return timeout is not None and min(self._idle_s(), -self._idle_timer.remaining + timeout) > timeout

    def restart_idle_timer(self) -> None:
        """Begin to count the silence of the peer anew."""
        super().restart_idle_timer()
        self._heard_at = time.monotonic()

    @property
    def is_receiving(self) -> bool:
        """Whether a C-STORE is on its way in."""
        return self._stream is not None and self._stream.is_inside

    def send_whole(self, message: Sequence[P_DATA]) -> None:
        """Send one message when no C-STORE is being served: its answer must not come in between."""
        encoded = bytearray()
        for primitive in message:
            pdu = P_DATA_TF()
            pdu.from_primitive(primitive)
            encoded += pdu.encode()
        self._outbox.append(bytes(encoded))
        self._wakeup.set()

    def close(self) -> None:
        """Drop what is not complete, and give the descriptor back; the thread must have ended."""
        if self._stream is not None:
            self._stream.discard()
        self._wakeup.close()

    def _idle_s(self) -> float:
        return time.monotonic() - self._heard_at

    def _is_transport_event(self) -> bool:
        connection = self.socket
        if self.state_machine.current_state != ESTABLISHED or not isinstance(connection, GuardedSocket):
            return super()._is_transport_event()
        if connection.is_over or connection.socket is None:
            return super()._is_transport_event()
        if not self.event_queue.empty():  # what was handed on is refused
            return True
        if self._walker is None or self._stream is None:
            self._stream = StoreStream(
                self._acceptor.dimse, self._acceptor.answer_at_once, self._acceptor.served_at_once
            )
            self._walker = Walker(self._stream, limit=self._limit())
            self._buffer = memoryview(
                mmap.mmap(-1, BUFFER_BYTES)
            )  # given back whole when the association ends
            self._deadline, self._heard_at = None, time.monotonic()
        prepare(connection.socket)
        try:
            return self._turn(connection, self._walker, self._stream)
        except PDUTooLongError as error:
            self._give_up(connection, "pdu.too_long", error)
        except TimeoutError as error:
            self._give_up(connection, "pdu.too_slow", error)
        except ProtocolError as error:
            self._give_up(connection, "association.protocol_error", error)
        return True

    def _turn(self, connection: GuardedSocket, walker: Walker, stream: StoreStream) -> bool:
        """Receive until others are to have their turn; return whether the state machine has an event."""
        while True:
            if self._outbox and not stream.is_inside and not self._send_outbox(connection):
                return True
            if not self._acceptor.dimse.requests.empty():  # one is served: what follows it can wait
                self._await(None, SLICE_S)
                return False
            if not self._is_hungry:
                self._heard_at = math.inf  # what this node needs to answer is no silence of the peer
                self._lo += walker.feed(self._buffer[self._lo : self._hi])
                stream.flush()
                self._note_progress(walker, stream)
                if stream.handed_on is not None:
                    return self._hand_on(stream)
                if walker.is_at_other:
                    return self._read_other(connection)
                self._make_room(stream)
            read = self._read(
                connection, is_inside=walker.is_inside or stream.is_inside or self._lo < self._hi
            )
            if read is None:
                self._end(connection)
                return True
            if read:
                self._is_hungry = False
            elif self._kill_thread or not self.to_provider_queue.empty():
                return False
            self._check_deadlines(stream)

    def _read(self, connection: GuardedSocket, *, is_inside: bool) -> int | None:
        """Read what there is; 0 when there was nothing in `SLICE_S`, None when the peer is gone."""
        plain = connection.socket
        if plain is None:
            return None
        if not is_inside and not self._await(plain, SLICE_S):
            return 0
        try:
            acknowledge_now(plain)
            count = plain.recv_into(self._buffer[self._hi :])
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return 0
        except OSError:
            return None
        if not count:
            return None
        self._hi += count
        self._heard_at = time.monotonic()
        return count

    def _await(self, connection: socket.socket | None, timeout_s: float) -> bool:
        """Wait for bytes from the peer, or for somebody's wish; return whether there are bytes."""
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        poller = select.poll()
        poller.register(self._wakeup.fileno(), select.POLLIN)
        if connection is not None:
            poller.register(connection.fileno(), select.POLLIN)
        found = [fd for fd, _ in poller.poll(timeout_s * 1000)]
        if self._wakeup.fileno() in found:
            self._wakeup.clear()
            return False
        return bool(found)

    def _make_room(self, stream: StoreStream) -> None:
        """Make room for the next read: what was taken is done with, but for what waits for its digest."""
        self._is_hungry = True
        if stream.holds_memory and self._hi + LEAST_READ_BYTES <= BUFFER_BYTES:
            return
        stream.digest()
        left = self._hi - self._lo
        if left:
            self._buffer[:left] = self._buffer[self._lo : self._hi]
        self._lo, self._hi = 0, left

    def _note_progress(self, walker: Walker, stream: StoreStream) -> None:
        """Set the deadlines of what has begun, and lift those of what has ended."""
        self._heard_at = time.monotonic()
        due = (walker.begun, walker.is_inside)
        if not walker.is_inside and self._lo == self._hi:
            self._due = self._deadline = None
        elif due != self._due:
            pdu_s = max(PDU_TIMEOUT_S, walker.length / SLOWEST_BYTES_PER_S)
            self._due, self._deadline = (
                due,
                self._heard_at + (pdu_s if walker.is_inside else HEADER_TIMEOUT_S),
            )
        if not stream.is_inside:
            self._object_began_at = None
        elif self._object_began_at is None:
            self._object_began_at = self._heard_at

    def _check_deadlines(self, stream: StoreStream) -> None:
        now = time.monotonic()
        if self._deadline is not None and now > self._deadline and self._is_hungry:
            raise TimeoutError("the rest of a PDU did not come in time")
        if self._object_began_at is not None:
            lasted_s = now - self._object_began_at
            if lasted_s > OBJECT_GRACE_S and stream.size < lasted_s * SLOWEST_OBJECT_BYTES_PER_S:
                raise TimeoutError(f"{stream.size} bytes of an object in {lasted_s:.0f} s")

    def _send_outbox(self, connection: GuardedSocket) -> bool:
        """Send what others want sent; return False when the peer is gone."""
        plain = connection.socket
        try:
            while self._outbox and plain is not None:
                plain.sendall(self._outbox.popleft())
        except OSError:
            self._end(connection)
            return False
        return True

    def _hand_on(self, stream: StoreStream) -> bool:
        """Give a message that is no C-STORE to pynetdicom."""
        handed, stream.handed_on = stream.handed_on, None
        if handed is not None:
            pdu, event = self._decode_pdu(bytearray(handed))
            self.event_queue.put(event)
            self._recv_pdu.put(pdu)
        return True

    def _read_other(self, connection: GuardedSocket) -> bool:
        """Let pynetdicom read a PDU of another type, beginning with what is in the buffer."""
        connection.unread(bytes(self._buffer[self._lo : self._hi]))
        self._lo = self._hi = 0
        self._is_hungry = True
        return super()._is_transport_event()

    def _end(self, connection: GuardedSocket) -> None:
        connection.is_over = True
        self.event_queue.put("Evt17")

    def _give_up(self, connection: GuardedSocket, event: str, error: Exception) -> None:
        log.warning(event, source_address=self._acceptor.source_address, error=str(error))
        connection.is_over = True
        self.event_queue.put("Evt19")

    def _limit(self) -> int:
        return int(self._acceptor.ae.maximum_pdu_size) + PDU_SLACK_BYTES


Provider = Callable[["Acceptor", threading.Event], GuardedProvider]


def provider() -> Provider:
    """Return the upper layer for the installed pynetdicom; for a version not known, the stock loop."""
    if pynetdicom.__version__ == KNOWN_PYNETDICOM:
        return StreamingProvider
    log.warning(
        "listener.slow_loop",
        reason=f"the fast receive loop is made for pynetdicom {KNOWN_PYNETDICOM}",
        pynetdicom=pynetdicom.__version__,
    )
    return GuardedProvider


def prepare(connection: socket.socket) -> None:
    """Have a socket block for at most `SLICE_S` at a time; pynetdicom's path sets other timeouts."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(SLICE_S)
    elif connection.gettimeout() is not None:
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(SLICE_S), 0))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(SEND_TIMEOUT_S), 0))
