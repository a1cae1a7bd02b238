"""What is done to a receiver, and what is seen of it: each abuse gives one sentence, within a bounded time."""

import contextlib
import signal
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from opponents import Running, ours

from listeners import (
    CT,
    EXPLICIT,
    VERIFICATION,
    RawPeer,
    associate_rq,
    cancel_rq,
    item,
    p_data,
    pdu,
    pdv,
    store_rq,
)

MB = 1 << 20
BOUND_S = 20.0  # how long a cell waits for what should have happened at once
STOP_S = 35.0
CONTEXTS = ((1, CT, (EXPLICIT,)), (3, VERIFICATION, (EXPLICIT,)))
MANY_CONTEXTS = (
    *((2 * n + 1, f"1.2.840.10008.5.1.4.1.1.{n}", (EXPLICIT,)) for n in range(2, 120)),
    *CONTEXTS,
)


# what is done


def silent_connections(peer: Running) -> str:
    with peers(peer, 10):
        return served(peer)


def half_headers(peer: Running) -> str:
    base = peer.usage()
    with peers(peer, 20) as held:
        for each in held:
            each.try_send(b"\1\0\0")
        then, started = served(peer), time.monotonic()
        while time.monotonic() - started < BOUND_S and not is_back(peer, base):
            time.sleep(0.1)
        if is_back(peer, base):
            return f"{then}; let go after {time.monotonic() - started:.0f} s"
        return f"{then}; still held after {BOUND_S:.0f} s: {held_more(peer, base)}"


def four_gibibytes(peer: Running) -> str:
    base, sent = peer.usage(), 0
    with connection(peer) as raw:
        raw.socket.settimeout(5)
        try:
            raw.send(pdu(1, b"\0\1\0\0", length=0xFFFFFFFF))
            while sent < 256:
                raw.send(bytes(MB))
                sent += 1
        except OSError:
            pass
        return f"{'cut' if sent < 256 else 'read'} after {sent} MB, {growth(peer, base)}"


def two_megabytes_of_items(peer: Running) -> str:
    one = item(0x54, struct.pack(">H", 5) + b"1.2.3" + b"\1\1")
    # An item of the request is limited to 64 KiB: so as many user informations as are needed.
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + one * 4000)
    request = associate_rq(contexts=CONTEXTS) + user * 40
    request = pdu(1, request[6:])
    base = peer.usage()
    with connection(peer) as raw:
        raw.socket.settimeout(BOUND_S)
        raw.try_send(request)
        heard = hear(raw)
    return f"{heard}, {peer.usage().cpu_s - base.cpu_s:.1f} s of CPU" if peer.is_alive() else death(peer)


def unread_answers(peer: Running) -> str:
    """200 objects of 1 MB are pushed as fast as they are taken, and no answer is read."""
    base, most, sent = peer.usage(), 0.0, [0]
    with connection(peer) as raw:
        if not associated(raw):
            return "no association"

        def push() -> None:
            with contextlib.suppress(OSError):
                for number in range(200):
                    raw.send(whole_store(f"1.2.3.9.{number}", MB))
                    sent[0] += 1

        sender = threading.Thread(target=push)
        sender.start()
        deadline = time.monotonic() + BOUND_S
        while sender.is_alive() and time.monotonic() < deadline and (now := peer.usage()) and base:
            most = max(most, now.resident_mb - base.resident_mb)
            time.sleep(0.02)
        raw.socket.shutdown(2)
        sender.join()
    return f"{sent[0]} MB taken, +{most:.0f} MB" if peer.is_alive() else death(peer)


def nested_sequences(peer: Running) -> str:
    levels = 100_000
    begins = struct.pack("<HH2s2xI", 8, 0x1140, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    content = header("1.2.3.9")
    at = content.index(struct.pack("<HH", 0x20, 0x0D))
    heard = store(peer, "1.2.3.9", content[:at] + begins * levels + ends * levels + content[at:])
    time.sleep(1)
    return f"{heard}, lives" if peer.is_alive() else f"{heard}, {death(peer)}"


def full_disk(peer: Running) -> str:
    """An object of 40 MB for a storage of 20 MB, then one of 20 KB on the same association."""
    before = peer.n_bytes_kept()
    with connection(peer) as raw:
        associated(raw)
        raw.socket.settimeout(BOUND_S)
        raw.try_send(whole_store("1.2.3.9.1", 40 * MB))
        first = hear(raw)
        left = (peer.n_bytes_kept() - before) / 1e6
        raw.try_send(whole_store("1.2.3.9.2", 20_000))
        second = hear(raw)
    return f"{first}, {left:.1f} MB stay; the next: {second}"


def stop_with_an_object_in_flight(peer: Running) -> str:
    whole = whole_store("1.2.3.9", 200_000)
    with connection(peer) as raw:
        associated(raw)
        raw.send(whole[:100_000])
        time.sleep(0.3)
        started = time.monotonic()
        peer.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        raw.try_send(whole[100_000:])
        heard = hear(raw)
        return f"{heard}, {stopped(peer, started)}"


def stop_with_a_half_open_peer(peer: Running) -> str:
    with connection(peer) as raw:
        raw.try_send(b"\1\0\0")
        time.sleep(0.5)
        started = time.monotonic()
        peer.process.send_signal(signal.SIGTERM)
        return stopped(peer, started)


def many_cancels(peer: Running) -> str:
    base, heard = peer.usage(), []
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            raw = stack.enter_context(connection(peer, timeout_s=3))
            if not associated(raw):
                heard.append("no association")
                continue
            raw.try_send(b"".join(p_data(pdv(1, 3, cancel_rq(number))) for number in range(30)))
            heard.append(echo_on(raw))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not is_back(peer, base):
            time.sleep(0.1)
        held = "" if "served" in heard else f", {held_more(peer, base)} while the peers stay"
    return f"{most_common(heard)}{held}"


def idle_associations(count: int) -> Callable[[Running], str]:
    def measured(peer: Running) -> str:
        with contextlib.ExitStack() as stack:
            open_ = 0
            for _ in range(count):
                raw = stack.enter_context(connection(peer, timeout_s=1))
                open_ += associated(raw)
                if not open_:
                    break
            before, started = peer.usage(), time.monotonic()
            time.sleep(5)
            used = (peer.usage().cpu_s - before.cpu_s) / (time.monotonic() - started)
        return f"{used:.2f} core" + ("" if open_ == count else f", {open_} established")

    return measured


def one_association(contexts) -> Callable[[Running], str]:
    def measured(peer: Running) -> str:
        for _ in range(3):
            echo(peer, contexts=contexts)
        count, before, started = 30, peer.usage(), time.monotonic()
        for _ in range(count):
            echo(peer, contexts=contexts)
        wall, cpu = time.monotonic() - started, peer.usage().cpu_s - before.cpu_s
        return f"{1000 * wall / count:.1f} ms, {1000 * cpu / count:.1f} ms of CPU"

    return measured


def silent_on_tls(folder: Path) -> str:
    """20 clients that never shake hands, on a node of ours with mutual TLS."""
    context, tables = tls(folder)
    with ours(folder / "node", tables) as peer:
        silent = [RawPeer(peer.port) for _ in range(20)]
        started = time.monotonic()
        with RawPeer(peer.port, tls=context) as raw:
            heard = raw.associate(contexts=CONTEXTS)
        took = 1000 * (time.monotonic() - started)
        for each in silent:
            each.socket.settimeout(BOUND_S)
            assert each.receive()[0] == "CLOSED"
            each.socket.close()
        return f"{heard} in {took:.0f} ms with 20 of them; cut after {time.monotonic() - started:.0f} s"


ROWS: dict[str, Callable[[Running], str]] = {
    "10 silent connections, then a C-ECHO": silent_connections,
    "20 connections with half a header": half_headers,
    "an A-ASSOCIATE-RQ of 4 GiB, 256 MB sent": four_gibibytes,
    "an A-ASSOCIATE-RQ of 2 MB of user items": two_megabytes_of_items,
    "200 C-STOREs of 1 MB, answers unread": unread_answers,
    "sequences nested 100 000 deep": nested_sequences,
    "storage of 20 MB, object of 40 MB": full_disk,
    "SIGTERM with a C-STORE in flight, the peer stays": stop_with_an_object_in_flight,
    "SIGTERM with half a header open, the peer stays": stop_with_a_half_open_peer,
    "8 times 30 C-CANCEL, then a C-ECHO": many_cancels,
    "10 idle associations": idle_associations(10),
    "50 idle associations": idle_associations(50),
    "one association of 2 contexts and a C-ECHO": one_association(CONTEXTS),
    "one association of 120 contexts and a C-ECHO": one_association(MANY_CONTEXTS),
}
TLS_ROW = "TLS port, 20 clients that never shake hands"


# what is seen


def connection(peer: Running, *, timeout_s: float = BOUND_S) -> RawPeer:
    return RawPeer(peer.port, timeout_s=timeout_s)


@contextlib.contextmanager
def peers(peer: Running, count: int):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connection(peer)) for _ in range(count)]


def associated(raw: RawPeer, contexts=CONTEXTS) -> bool:
    try:
        return raw.associate(contexts=contexts) == "AC"
    except OSError:
        return False


def echo(peer: Running, contexts=CONTEXTS) -> str:
    """Do a C-ECHO on an association of its own; say "served", or why not."""
    try:
        with connection(peer, timeout_s=BOUND_S) as raw:
            heard = raw.associate(contexts=contexts)
            if heard != "AC":
                return f"{heard} {raw.rejection or ''}".strip()
            heard = echo_on(raw)
            if heard == "served":
                raw.release()
            return heard
    except TimeoutError:
        return f"blocked for {BOUND_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)


def echo_on(raw: RawPeer) -> str:
    try:
        return "served" if raw.echo() == 0 else "refused"
    except AssertionError as error:
        return str(error).splitlines()[0]
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)


def served(peer: Running) -> str:
    started = time.monotonic()
    heard = echo(peer)
    return (
        f"C-ECHO in {1000 * (time.monotonic() - started):.0f} ms" if heard == "served" else f"C-ECHO {heard}"
    )


def hear(raw: RawPeer) -> str:
    try:
        name, body = raw.receive()
    except TimeoutError:
        return "no answer"
    at = body.find(struct.pack("<HHI", 0, 0x0900, 2))
    return f"0x{struct.unpack_from('<H', body, at + 8)[0]:04X}" if name == "DATA" else name


def header(uid: str) -> bytes:
    def text(group: int, number: int, value: str) -> bytes:
        encoded = value.encode() + b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, b"UI", len(encoded)) + encoded

    return text(8, 0x16, CT) + text(8, 0x18, uid) + text(0x20, 0x0D, "1.2.3.1") + text(0x20, 0x0E, "1.2.3.2")


def whole_store(uid: str, size: int, content: bytes | None = None) -> bytes:
    if content is None:
        content = header(uid) + struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", size) + bytes(size)
    fragments = (
        p_data(pdv(1, 0 if at + 16000 < len(content) else 2, content[at : at + 16000]))
        for at in range(0, len(content), 16000)
    )
    return p_data(pdv(1, 3, store_rq(uid=uid))) + b"".join(fragments)


def store(peer: Running, uid: str, content: bytes) -> str:
    with connection(peer) as raw:
        associated(raw)
        raw.try_send(whole_store(uid, 0, content))
        return hear(raw)


def is_back(peer: Running, base) -> bool:
    now = peer.usage()
    return now is not None and now.is_within(base)


def held_more(peer: Running, base) -> str:
    now = peer.usage()
    if now is None:
        return death(peer)
    return f"+{now.threads - base.threads} threads, +{now.descriptors - base.descriptors} descriptors"


def growth(peer: Running, base) -> str:
    now = peer.usage()
    return death(peer) if now is None else f"+{max(0, now.resident_mb - base.resident_mb):.0f} MB"


def death(peer: Running) -> str:
    code = peer.process.wait(5)
    return f"**died** ({signal.Signals(-code).name if code < 0 else f'exit {code}'})"


def stopped(peer: Running, started: float) -> str:
    try:
        code = peer.process.wait(STOP_S - (time.monotonic() - started))
    except subprocess.TimeoutExpired:
        return f"**does not end** in {STOP_S:.0f} s"
    how = f"exit {code}" if code >= 0 else signal.Signals(-code).name
    return f"{how} after {time.monotonic() - started:.1f} s"


def most_common(heard: list[str]) -> str:
    return max(set(heard), key=heard.count)


def tls(folder: Path) -> tuple[ssl.SSLContext, dict]:
    """Make a key of our own; return a client's context and the node's configuration."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(cafile=str(folder / "crt"))
    context.load_cert_chain(folder / "crt", folder / "key")
    files = {"cert": str(folder / "crt"), "key": str(folder / "key"), "ca": str(folder / "crt")}
    return context, {"tls": {"enabled": True} | files}
