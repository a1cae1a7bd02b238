"""A listener in this process, with what it received; and a peer on a raw socket that may break every rule."""

import resource
import socket
import ssl
import struct
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from node.config import Config
from node.listener.server import ListenerServer
from node.receipts import Receipt
from node.registrar import arrival_of
from node.registry.arrivals import Arrival
from node.spool import Spool
from nodes import await_that

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
UID = "1.2.826.0.1.3680043.10.1.4"
CONTEXTS = ((1, CT, (IMPLICIT,)), (3, VERIFICATION, (IMPLICIT,)))
NAMES = {2: "AC", 3: "RJ", 4: "DATA", 5: "RELEASE-RQ", 6: "RELEASE-RP", 7: "ABORT"}


class Registrar:
    """Keeps what is submitted; `problem` makes the registry fail, as the real one tells it."""

    def __init__(self, new: Path = Path("new")) -> None:
        self.new = new
        self.arrivals: list[Arrival] = []
        self.opened: list[dict[str, str]] = []
        self.closed: list[tuple[str, str, int, int]] = []
        self.problem: str | None = None
        self.pending = 0

    def submit(self, receipt: Receipt, head: bytes = b"") -> None:
        self.arrivals.append(arrival_of(receipt, head, self.new))

    def open_association(self, association: str, **who: str) -> None:
        self.opened.append({"association": association} | who)

    def close_association(self, association: str, end: str, *, n_received: int = 0, n_bytes: int = 0) -> None:
        self.closed.append((association, end, n_received, n_bytes))

    def ends(self) -> list[str]:
        return [end for _, end, _, _ in self.closed]


class Listening:
    """A running listener: where it is, what it got, whether it is at rest."""

    def __init__(self, folder: Path, spool: Spool | None = None, accepting=None, **tables) -> None:
        tables["node"] = {"port": 0, "host": "127.0.0.1", "data_dir": folder} | tables.get("node", {})
        self.config = Config(**tables)
        self.spool = spool or Spool(self.config.spool_dir, "test", durability="flush")
        list(self.spool.recover())  # claims the spool, which takes a descriptor
        self.registrar = Registrar(self.config.spool_dir / "new")
        self.server = ListenerServer(self.config, self.spool, self.registrar, accepting=accepting)
        try:
            self.port = self.server.start()
        except BaseException:
            self.spool.close()
            raise
        self.base = census()

    @property
    def arrivals(self) -> list[Arrival]:
        """What was handed over; an object is so a moment after its answer, so one in flight is waited for."""
        self.server._service.wait_idle(1.0)
        return self.registrar.arrivals

    def temporary_files(self) -> list[str]:
        return sorted(path.name for path in (self.config.spool_dir / "tmp").iterdir())

    def await_rest(self, timeout_s: float = 15.0) -> None:
        """Wait until threads and descriptors are those of a listener without a connection, and it answers."""
        self._await_base(timeout_s)
        assert self.temporary_files() == []
        assert self.server.counters()["associations"] == 0
        with RawPeer(self.port) as peer:
            assert peer.associate() == "AC"
            assert peer.echo() == 0x0000
            peer.release()
        self._await_base(timeout_s)

    def _await_base(self, timeout_s: float) -> None:
        def is_back() -> bool:
            return all(now <= then for now, then in zip(census(), self.base, strict=True))

        try:
            await_that(is_back, "threads and descriptors to be back", timeout_s)
        except AssertionError:
            raise AssertionError(f"at rest {self.base}, now {census()}: {threading.enumerate()}") from None


@contextmanager
def listening(folder: Path, **options):
    """Run a listener; at the end it must stop in order and leave nothing behind."""
    with_spool = options.get("spool")
    node = Listening(folder, **options)
    try:
        yield node
    finally:
        node.server.stop(5)
        if with_spool is None:
            node.spool.close()
        assert node.server._associations.acceptors() == []
        assert not node.server._thread.is_alive()


def impatient(monkeypatch, seconds: float = 0.5) -> None:
    """Shorten what the listener grants to headers, PDUs and answers, wherever its rooms keep it."""
    names = ("HEADER_TIMEOUT_S", "PDU_TIMEOUT_S", "SEND_TIMEOUT_S")
    rooms = [module for name, module in sys.modules.items() if name.startswith("node.listener.")]
    found = [(room, name) for room in rooms for name in names if hasattr(room, name)]
    assert {name for _, name in found} == set(names)
    for room, name in found:
        monkeypatch.setattr(room, name, seconds)


def census() -> tuple[int, int]:
    """Return the number of threads and of open descriptors of this process."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


class RawPeer:
    """A DICOM client that sends whatever it is told to."""

    def __init__(self, port: int, *, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.rejection: tuple[int, int, int] | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def try_send(self, data: bytes) -> None:
        """Send what the listener may refuse to read to the end."""
        try:
            self.socket.sendall(data)
        except OSError:
            return

    def receive(self) -> tuple[str, bytes]:
        """Return the next PDU by name, or "CLOSED"; a timeout is a failure of the listener."""
        try:
            kind, _, length = struct.unpack(">BBI", self._exactly(6))
            return NAMES[kind], self._exactly(length)
        except (EOFError, ConnectionError, ssl.SSLError):
            return "CLOSED", b""

    def ended(self) -> bool:
        """Say whether the listener ends this connection now: by A-ABORT, or by closing it."""
        return self.receive()[0] in ("ABORT", "CLOSED")

    def associate(self, **request) -> str:
        self.send(associate_rq(**request))
        name, body = self.receive()
        if name == "RJ":
            self.rejection = (body[1], body[2], body[3])
        return name

    def echo(self, context: int = 3) -> int:
        self.send(p_data(pdv(context, 3, echo_rq())))
        return self.status()

    def store(self, dataset: bytes, *, context: int = 1, fragment: int = 16000, **command) -> int:
        self.send(p_data(pdv(context, 3, store_rq(**command))))
        for at in range(0, max(len(dataset), 1), fragment):
            self.send(
                p_data(pdv(context, 0 if at + fragment < len(dataset) else 2, dataset[at : at + fragment]))
            )
        return self.status()

    def status(self) -> int:
        """Return the status of the next response."""
        return self.response()[0]

    def response(self) -> tuple[int, str]:
        """Return status and Error Comment of the next response."""
        name, body = self.receive()
        assert name == "DATA", name
        elements = {}
        at = 6
        while at < len(body):
            _, element, length = struct.unpack_from("<HHI", body, at)
            elements[element] = body[at + 8 : at + 8 + length]
            at += 8 + length
        return struct.unpack("<H", elements[0x0900])[0], elements.get(0x0902, b"").decode().strip()

    def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        assert self.receive()[0] == "RELEASE-RP"

    def abort(self) -> None:
        self.send(pdu(7, bytes(4)))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, context, control) + fragment


def p_data(*pdvs: bytes) -> bytes:
    return pdu(4, b"".join(pdvs))


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(
    *, called=b"PREPNODE", calling=b"PEER", contexts=CONTEXTS, max_pdu=16384, user=b"", version=1
) -> bytes:
    variable = item(0x10, b"1.2.840.10008.3.1.1.1")
    for identifier, abstract, syntaxes in contexts:
        proposed = b"".join(item(0x40, uid.encode()) for uid in syntaxes)
        variable += item(0x20, bytes((identifier, 0, 0, 0)) + item(0x30, abstract.encode()) + proposed)
    variable += item(0x50, item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.4") + user)
    return pdu(
        1, struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32) + variable
    )


def element(group: int, number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def command(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return element(0, 0, struct.pack("<I", len(body))) + body


def store_rq(*, uid: str | bytes = UID, sop_class: str = CT, message_id: int = 1, data_set: int = 1) -> bytes:
    return command(
        element(0, 0x0002, sop_class.encode()),
        element(0, 0x0100, us(0x0001)),
        element(0, 0x0110, us(message_id)),
        element(0, 0x0700, us(0)),
        element(0, 0x0800, us(data_set)),
        element(0, 0x1000, uid if isinstance(uid, bytes) else uid.encode()),
    )


def echo_rq(message_id: int = 1) -> bytes:
    return command(
        element(0, 0x0002, VERIFICATION.encode()),
        element(0, 0x0100, us(0x0030)),
        element(0, 0x0110, us(message_id)),
        element(0, 0x0800, us(0x0101)),
    )


def cancel_rq(message_id: int = 1) -> bytes:
    return command(
        element(0, 0x0100, us(0x0FFF)), element(0, 0x0120, us(message_id)), element(0, 0x0800, us(0x0101))
    )


def dataset(
    uid: str = UID,
    *,
    sop_class: str = CT,
    study: str = "1.2.3.1",
    series: str = "1.2.3.2",
    pixels: int = 0,
    extra: bytes = b"",
) -> bytes:
    """Return a small data set in Implicit VR Little Endian; `extra` goes in front of the study's UID."""
    encoded = element(8, 0x16, sop_class.encode()) + element(8, 0x18, uid.encode()) + extra
    encoded += element(0x20, 0x0D, study.encode()) + element(0x20, 0x0E, series.encode())
    return encoded + (element(0x7FE0, 0x10, bytes(range(256)) * (pixels // 256)) if pixels else b"")


def wait_for_closed(node: Listening, count: int) -> None:
    await_that(lambda: len(node.registrar.closed) >= count, f"{count} associations to be noted as closed", 15)


def works(node) -> None:
    """Assert that another peer is served now, quickly."""
    started = time.monotonic()
    with RawPeer(node.port) as peer:
        assert peer.associate(calling=b"GOOD") == "AC"
        assert peer.echo() == 0x0000
        peer.release()
    assert time.monotonic() - started < 2


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
