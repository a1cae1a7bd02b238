"""Every abuse behind every other on one association: guards that work alone may undo one another."""

import itertools
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from listeners import (
    RawPeer,
    associate_rq,
    cancel_rq,
    dataset,
    echo_rq,
    impatient,
    listening,
    p_data,
    pdu,
    pdv,
    store_rq,
    works,
)

STORE = p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 2, dataset(pixels=20_000)))
LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset

ABUSES: dict[str, bytes | Callable[[RawPeer], None]] = {
    "thirty C-CANCEL": b"".join(p_data(pdv(1, 3, cancel_rq(number))) for number in range(30)),
    "objects without reading answers": STORE * 20,
    "an object begun": p_data(pdv(1, 3, store_rq()), pdv(1, 0, dataset()[:50])),
    "a command begun": p_data(pdv(1, 1, store_rq()[:30])),
    "half a header": b"\4\0\0",
    "half a PDU": STORE[:-10],
    "a PDU of 4 GiB": pdu(4, b"", length=0xFFFFFFFF),
    "a command of noise": p_data(pdv(1, 3, b"\xee" * 200)),
    "a context that was not accepted": p_data(pdv(99, 3, store_rq())),
    "a second request": associate_rq(),
    "a release": pdu(5, bytes(4)),
    "an abort": pdu(7, bytes(4)),
    "echoes without reading answers": p_data(pdv(3, 3, echo_rq())) * 200,
    "end of what is sent": lambda peer: peer.socket.shutdown(1),
    "nothing": b"",
}


def commit(abuse: bytes | Callable[[RawPeer], None], peer: RawPeer) -> None:
    try:
        if callable(abuse):
            abuse(peer)
        else:
            peer.send(abuse)
    except OSError:  # the listener ended the association at the first abuse
        return


@pytest.mark.parametrize("first", ABUSES)
def test_every_pair_of_abuses_is_survived(first: str, tmp_path: Path, monkeypatch) -> None:
    """The peer hangs up, resets, or stays until the listener ends it; either way all comes to rest."""
    impatient(monkeypatch)
    limits = {"network_timeout_s": 1.5, "acse_timeout_s": 1.5}
    with listening(tmp_path, listener=limits) as node:

        def one(second: str, *, stays: bool, resets: bool) -> None:
            with RawPeer(node.port, timeout_s=15) as peer:
                if peer.associate() != "AC":
                    return
                commit(ABUSES[first], peer)
                commit(ABUSES[second], peer)
                while stays and peer.receive()[0] != "CLOSED":
                    pass
                if resets:
                    peer.socket.setsockopt(1, 13, LINGER_RESET)

        threads = [
            threading.Thread(target=one, args=(second,), kwargs={"stays": stays, "resets": resets})
            for second, (stays, resets) in itertools.product(
                ABUSES, ((True, False), (False, False), (False, True))
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a peer waits for an end that does not come"
        works(node)
        node.await_rest()
