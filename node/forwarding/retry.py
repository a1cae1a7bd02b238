"""When a delivery that failed is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

BASE_S = 30.0  # a restarting peer is back within a minute
CAP_S = 3600.0  # an outage of five days costs about 120 attempts, an outage of a week about 165
JITTER = 0.2  # so that deliveries which failed together do not come back together


def next_delay(
    attempt: int, *, random: Callable[[], float], base_s: float = BASE_S, cap_s: float = CAP_S
) -> float:
    """Return the seconds to wait after the attempt of this number (from 1) failed.

    The wait doubles from `base_s` to `cap_s`; up to a fifth is added at random. `random`
    returns a number in [0, 1).
    """
    doublings = min(attempt - 1, 32)  # 2**32 * base is beyond every cap
    ceiling = min(cap_s, base_s * 2.0**doublings)
    return ceiling * (1 + JITTER * random())


def until_next(
    attempt: int, *, created_at: datetime, now: datetime, max_age_h: float, random: Callable[[], float]
) -> float | None:
    """Return the seconds until the next attempt, or None when the delivery is too old for another.

    The last attempt falls on the end of `max_age_h`, however long the wait would have been.
    """
    remaining = (created_at + timedelta(hours=max_age_h) - now).total_seconds()
    if remaining <= 0:
        return None
    return min(next_delay(attempt, random=random), remaining)
