"""The fast receive loop does what pynetdicom's own loop does: the same answers, the same files, the same digests."""

import random
from pathlib import Path

import pynetdicom
import pytest

from listeners import (
    CONTEXTS,
    CT,
    IMPLICIT,
    UID,
    RawPeer,
    cancel_rq,
    dataset,
    echo_rq,
    listening,
    p_data,
    pdv,
    store_rq,
)
from node.digest import digest
from node.listener import server, upper_layer
from node.listener.guards import GuardedProvider

LONG = dataset(f"{UID}.9", pixels=300_000)


def stock(monkeypatch) -> None:
    monkeypatch.setattr(server, "provider", lambda: GuardedProvider)


def stored(content: bytes, uid: str, *, fragment: int, message_id: int = 1, joined: bool = False) -> bytes:
    """Return a C-STORE as bytes: its fragments in PDUs of their own, or all in as few as fit."""
    parts = [pdv(1, 3, store_rq(uid=uid, message_id=message_id))]
    starts = range(0, len(content), fragment)
    parts += [pdv(1, 2 if at == starts[-1] else 0, content[at : at + fragment]) for at in starts]
    if not joined:
        return b"".join(map(p_data, parts))
    together, size = [[]], 0
    for part in parts:
        if size + len(part) > 60_000:
            together.append([])
            size = 0
        together[-1].append(part)
        size += len(part)
    return b"".join(p_data(*each) for each in together)


def session(port: int, sent: bytes, *, answers: int, piece: int) -> list:
    """Send bytes in pieces, however they fall; return status and comment of each answer."""
    with RawPeer(port) as peer:
        assert peer.associate(contexts=CONTEXTS) == "AC"
        for at in range(0, len(sent), piece):
            peer.send(sent[at : at + piece])
        found = [peer.response() for _ in range(answers)]
        peer.release()
    return found


SESSIONS = {
    "one object": (stored(LONG, f"{UID}.9", fragment=16000), 1),
    "several values in one PDU": (stored(LONG, f"{UID}.9", fragment=9000, joined=True), 1),
    "command and data set in one PDU": (stored(dataset(), UID, fragment=1000, joined=True), 1),
    "fragments of one byte": (stored(dataset(), UID, fragment=1), 1),
    "a command in two fragments": (
        p_data(pdv(1, 1, store_rq()[:30]))
        + p_data(pdv(1, 3, store_rq()[30:]))
        + p_data(pdv(1, 2, dataset())),
        1,
    ),
    "an empty last fragment": (
        p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, dataset())) + p_data(pdv(1, 2, b"")),
        1,
    ),
    "objects and echoes in turn": (
        b"".join(
            stored(dataset(f"{UID}.{n}", pixels=2048 * n), f"{UID}.{n}", fragment=1500, message_id=n)
            + p_data(pdv(3, 3, echo_rq(n)))
            for n in range(1, 9)
        ),
        16,
    ),
    "a cancel in between": (p_data(pdv(1, 3, cancel_rq())) + stored(dataset(), UID, fragment=1000), 1),
    "another instance in the data set": (stored(dataset(), "1.2.3", fragment=1000), 1),
    "no data set": (p_data(pdv(1, 3, store_rq(data_set=0x0101))), 1),
    "no UID at all": (stored(b"not a data set, really", UID, fragment=1000), 1),
    "a UID that leads elsewhere": (
        p_data(pdv(1, 3, store_rq(uid="../../x"))) + p_data(pdv(1, 2, dataset())),
        1,
    ),
}


def kept(node) -> list[tuple]:
    """Return what is in new/, by content: names are random."""
    found = sorted((node.config.spool_dir / "new").iterdir(), key=lambda path: path.read_bytes())
    digests = sorted(arrival.sha256 for arrival in node.arrivals)
    assert digests == sorted(map(digest, found))
    return [path.read_bytes() for path in found]


@pytest.mark.parametrize("name", SESSIONS)
def test_both_loops_answer_and_keep_the_same(name: str, tmp_path: Path, monkeypatch) -> None:
    sent, answers = SESSIONS[name]
    chance = random.Random(name)
    with listening(tmp_path / "fast") as fast:
        assert fast.server._provider is upper_layer.StreamingProvider
        results = {
            repr(session(fast.port, sent, answers=answers, piece=piece))
            for piece in (len(sent), 1460, chance.randint(1, 50) * 7)
        }
        files = kept(fast)
        facts = [arrival.facts for arrival in fast.arrivals]
    stock(monkeypatch)
    with listening(tmp_path / "stock") as slow:
        assert slow.server._provider is GuardedProvider
        results |= {repr(session(slow.port, sent, answers=answers, piece=len(sent))) for _ in range(3)}
        assert kept(slow) == files
        assert [arrival.facts for arrival in slow.arrivals] == facts
    assert len(results) == 1


def test_another_pynetdicom_gets_its_own_loop_and_a_warning(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(pynetdicom, "__version__", "3.1.0")
    with listening(tmp_path) as node:
        assert node.server._provider is GuardedProvider
        with RawPeer(node.port) as peer:
            assert peer.associate(contexts=((1, CT, (IMPLICIT,)),)) == "AC"
            assert peer.store(dataset()) == 0x0000
            peer.release()
    assert "listener.slow_loop" in caplog.text


def test_an_object_larger_than_the_buffer_is_kept_whole(tmp_path: Path) -> None:
    content = dataset(pixels=3 * upper_layer.BUFFER_BYTES)
    sent = stored(content, UID, fragment=100_000)
    with listening(tmp_path) as node:
        assert session(node.port, sent * 2, answers=2, piece=777_777) == [(0, ""), (0, "")]
        assert all(each.endswith(content) for each in kept(node))
        assert len(kept(node)) == 2
