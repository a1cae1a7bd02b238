"""Senders that know exactly which instances were acknowledged, and make them again from their UIDs."""

import random
import threading
from collections import Counter

from listeners import RawPeer, dataset, element

ANSWER_S = 60.0  # a node that does not answer for so long hangs
SERIES_OF = 200  # instances of one series


def instance(uid: str, series: str) -> bytes:
    """Return a data set whose bytes follow from its UID, so that nobody has to keep them; 1 to 64 KB."""
    chance = random.Random(uid)
    pixels = chance.randbytes(2 * chance.randint(500, 32_000))
    return dataset(uid, series=series, study=f"{series}.1") + element(0x7FE0, 0x10, pixels)


class Sender(threading.Thread):
    """Sends new instances over one association after another, each until it is acknowledged with 0x0000.

    What had no answer is sent again, as a modality's queue does. So when it has stopped,
    exactly `acknowledged` is what the node must have.
    """

    def __init__(self, port: int, name: str, tell: threading.Condition) -> None:
        super().__init__(name=name, daemon=True)
        self._port, self._tell = port, tell
        self._series = f"2.25.7.{int.from_bytes(name.encode())}"
        self._stopping = threading.Event()
        self.acknowledged: dict[str, str] = {}  # SOPInstanceUID -> its series
        self.statuses: Counter[int] = Counter()
        self.problem: str | None = None
        self._has_begun = False

    def run(self) -> None:
        while not self._stopping.is_set() or self._has_begun:
            try:
                with RawPeer(self._port, timeout_s=ANSWER_S) as peer:
                    if peer.associate() == "AC":
                        self._send(peer)
            except TimeoutError:
                self.problem = f"no answer within {ANSWER_S:.0f} s"
                return
            except (OSError, AssertionError):  # it was killed: what had no answer is not acknowledged
                self._stopping.wait(0.01)

    def stop(self) -> None:
        """End once the instance that was begun is acknowledged."""
        self._stopping.set()

    def _send(self, peer: RawPeer) -> None:
        while not self._stopping.is_set() or self._has_begun:
            number = len(self.acknowledged)
            series = f"{self._series}.{number // SERIES_OF}"
            uid = f"{series}.{number}"
            self._has_begun = True
            status = peer.store(instance(uid, series), uid=uid, message_id=number % 65536)
            self.statuses[status] += 1
            if status != 0x0000:
                self._stopping.wait(0.01)  # who is told to try again does not do so at once
                continue
            self._has_begun = False
            with self._tell:
                self.acknowledged[uid] = series
                self._tell.notify_all()
        peer.release()
