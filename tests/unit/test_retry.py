"""The retry schedule, by an injected clock."""

from datetime import datetime, timedelta
from random import Random

import pytest

from node.forwarding.retry import next_delay, until_next

START = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001 - the registry's times are UTC without zone


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (7, 1920), (8, 3600), (9, 3600), (5000, 3600)],
)
def test_the_wait_doubles_from_half_a_minute_to_an_hour(attempt, seconds):
    assert next_delay(attempt, random=lambda: 0.0) == seconds
    assert next_delay(attempt, random=lambda: 1.0) == pytest.approx(seconds * 1.2)


def outage(hours, max_age_h=168.0, seed=0):
    """Play a destination that takes nothing for so long; return the number of failed attempts, and how it ended."""
    random, now, attempts = Random(seed).random, START, 0
    while now < START + timedelta(hours=hours):
        attempts += 1
        delay_s = until_next(attempts, created_at=START, now=now, max_age_h=max_age_h, random=random)
        if delay_s is None:
            return attempts, "given up"
        now += timedelta(seconds=delay_s)
    return attempts, "delivered"


@pytest.mark.parametrize("seed", range(20))
def test_five_days_of_outage_cost_at_most_130_attempts_and_lose_nothing(seed):
    attempts, end = outage(5 * 24, seed=seed)
    assert end == "delivered"
    assert 90 < attempts <= 130


def test_a_delivery_is_given_up_after_its_maximum_age():
    attempts, end = outage(200, max_age_h=1.0)
    assert end == "given up"
    assert attempts >= 6


def test_the_last_attempt_falls_on_the_end_of_the_maximum_age():
    almost = START + timedelta(hours=168) - timedelta(seconds=10)
    assert until_next(150, created_at=START, now=almost, max_age_h=168, random=lambda: 0.0) == 10
    end = START + timedelta(hours=168)
    assert until_next(151, created_at=START, now=end, max_age_h=168, random=lambda: 0.0) is None
