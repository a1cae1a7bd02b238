"""How much one peer may send in a time: a bucket of bytes and one of objects, for all its associations.

Whoever sends faster is not refused, but read more slowly: after an object the thread that
reads pauses, TCP holds the sender back, and the sender notices nothing but its own rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from node.config import Peer
from node.listener.access import account

BURST_S = 1.0  # worth of its rate that a peer may send at once
MAX_PAUSE_S = 5.0  # the shortest time that senders wait for an answer is 10 s (Orthanc)
MAX_DEBT_S = 60.0  # what a single huge object may cost the objects after it

Clock = Callable[[], float]


class Bucket:
    """A token bucket that lets its taker go below zero, and says how long that takes to fill again."""

    def __init__(self, per_s: float, clock: Clock) -> None:
        self.per_s = per_s
        self._clock = clock
        self._full_at = clock()

    def take(self, amount: float) -> float:
        """Take, and return for how many seconds nothing more should be taken."""
        now = self._clock()
        self._full_at = min(max(self._full_at, now) + amount / self.per_s, now + BURST_S + MAX_DEBT_S)
        return max(0.0, self._full_at - now - BURST_S)


class Quota:
    """What one peer may send; its associations share it, from whatever threads."""

    def __init__(self, peer: Peer, clock: Clock = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._bytes: Bucket | None = None
        self._instances: Bucket | None = None
        self.change(peer)

    def change(self, peer: Peer) -> None:
        """Let new limits hold from now on, for open associations too; what was taken stays taken."""
        bytes_per_s = None if peer.max_mb_per_s is None else peer.max_mb_per_s * 1024**2
        with self._lock:
            self._bytes = self._changed(self._bytes, bytes_per_s)
            self._instances = self._changed(self._instances, peer.max_instances_per_s)

    def took(self, n_bytes: int, *, instances: int = 1) -> float:
        """Note what was received; return the seconds to pause before more is read.

        The pause is never longer than `MAX_PAUSE_S`; what is left of it is paid after the next object.
        """
        with self._lock:
            pauses = (
                bucket.take(amount)
                for bucket, amount in ((self._bytes, n_bytes), (self._instances, instances))
                if bucket is not None
            )
            return min(max(pauses, default=0.0), MAX_PAUSE_S)

    def _changed(self, bucket: Bucket | None, per_s: float | None) -> Bucket | None:
        if per_s is None:
            return None
        if bucket is None:
            return Bucket(per_s, self._clock)
        bucket.per_s = per_s
        return bucket


class Quotas:
    """The quotas of a listener process, by peer."""

    def __init__(self, peers: Iterable[Peer], clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._by_account: dict[str, Quota] = {}
        self.reload(peers)

    def reload(self, peers: Iterable[Peer]) -> None:
        """Take over changed peers. One that is gone keeps its quota for the associations it has open."""
        by_account = {}
        for peer in peers:
            quota = self._by_account.get(account(peer))
            if quota is None:
                quota = Quota(peer, self._clock)
            else:
                quota.change(peer)
            by_account[account(peer)] = quota
        self._by_account = by_account

    def of(self, peer: Peer | None) -> Quota | None:
        """Return the quota of a peer, also of one that nothing limits yet; None of a caller that is none."""
        return None if peer is None else self._by_account.get(account(peer))
