"""DICOM peers that misbehave: on raw sockets (they hang, drip, reset), and scripted ones that answer with a status."""

import contextlib
import socket
import struct
import threading
import time

from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

ASSOCIATE_RJ = struct.pack(">BBIBBBB", 3, 0, 4, 0, 1, 1, 7)  # called AE title not recognized, PS3.8 9.3.4
IMPLEMENTATION = b"1.2.826.0.1.3680043.8.498.99"
LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class RawPeer:
    """Accepts connections and treats each in one bad way.

    "silent": takes the connection and says nothing. "refuses": rejects the association.
    "never reads": accepts the association, then reads nothing. "never answers": reads all and says
    nothing. "half reply": answers the first C-STORE with four bytes. "drips": answers with a
    byte now and then. "resets": cuts the connection in the middle of the data set.
    """

    def __init__(self, mode):
        self.mode = mode
        self.connections = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._open = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for connection in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._treat, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _treat(self, connection):
        try:
            if self.mode == "silent":
                return
            request = _read_pdu(connection)
            if self.mode == "refuses":
                connection.sendall(ASSOCIATE_RJ)
                return
            connection.sendall(_associate_ac(request))
            if self.mode == "resets":
                connection.recv(20_000)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                connection.close()
            elif self.mode != "never reads":
                self._swallow(connection)
        except OSError:
            return

    def _swallow(self, connection):
        """Read a C-STORE request to its last fragment, then answer badly or not at all."""
        while True:
            pdu = _read_pdu(connection)
            if pdu[11] & 3 == 2:  # the last fragment of a data set, PS3.8 annex E.2
                break
        if self.mode == "half reply":
            connection.sendall(b"\4\0\0\0")
        while self.mode == "drips" and not self._stopped.wait(0.1):
            connection.sendall(b"\4")
        while connection.recv(65536):
            pass


class ScriptedPeer:
    """A correct DICOM node (pynetdicom) that answers the n-th C-STORE with the n-th status of its script.

    A status of None aborts the association instead. After the script everything succeeds.
    """

    def __init__(self, *script, transfer_syntaxes=("1.2.840.10008.1.2.1",), delay_s=0.0):
        self.script = list(script)
        self.received = []
        self.delay_s = delay_s
        ae = AE("PACS")
        ae.add_supported_context(CTImageStorage, list(transfer_syntaxes))
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()

    def _store(self, event):
        time.sleep(self.delay_s)
        status = self.script.pop(0) if self.script else 0x0000
        if status is None:
            event.assoc.abort()
            return 0xC001
        if status == 0 or status & 0xF000 == 0xB000:
            self.received.append(event.request.AffectedSOPInstanceUID)
        return status


def _read_pdu(connection):
    head = _read(connection, 6)
    return head + _read(connection, struct.unpack(">I", head[2:])[0])


def _read(connection, count):
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise OSError("closed")
        data += chunk
    return data


def _associate_ac(request):
    """Accept every proposed context, with its first transfer syntax (PS3.8 9.3.3)."""
    contexts, at = b"", 74
    while at < len(request):
        kind, length = request[at], struct.unpack_from(">H", request, at + 2)[0]
        value = request[at + 4 : at + 4 + length]
        if kind == 0x20:
            inner = 4
            while value[inner] != 0x40:
                inner += 4 + struct.unpack_from(">H", value, inner + 2)[0]
            contexts += _item(0x21, bytes((value[0], 0, 0, 0)) + value[inner:])
        at += 4 + length
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, IMPLEMENTATION)
    body = request[6:74] + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + _item(0x50, user)
    return struct.pack(">BBI", 2, 0, len(body)) + body


def _item(kind, value):
    return struct.pack(">BBH", kind, 0, len(value)) + value
