"""What a peer may send in a time: the pauses add up to its rate, whoever shares it."""

import threading

import pytest

from node.config import Peer
from node.listener.quotas import BURST_S, MAX_DEBT_S, MAX_PAUSE_S, Quota, Quotas

MB = 1024**2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def peer(**limits) -> Peer:
    return Peer(calling_aet="CT", **limits)


def send(quota: Quota, clock: Clock, sizes: list[int]) -> float:
    """Send objects as fast as the pauses allow; return how long that took."""
    started = clock.now
    for size in sizes:
        clock.now += quota.took(size)
    return clock.now - started


def test_a_peer_without_limits_never_pauses() -> None:
    clock = Clock()
    assert send(Quota(peer(), clock), clock, [100 * MB] * 1000) == 0


def test_a_second_worth_may_come_at_once() -> None:
    quota = Quota(peer(max_mb_per_s=10), Clock())
    assert quota.took(int(10 * MB * BURST_S)) == 0
    assert quota.took(MB) == pytest.approx(0.1)


@pytest.mark.parametrize("size", [1000, MB // 2, 3 * MB])
def test_bytes_are_held_to_their_rate_whatever_the_size_of_objects(size: int) -> None:
    clock = Clock()
    count = 200 * MB // size
    took = send(Quota(peer(max_mb_per_s=4), clock), clock, [size] * count)
    assert took == pytest.approx(count * size / (4 * MB) - BURST_S, rel=0.01)


def test_objects_are_held_to_their_rate_whatever_their_size() -> None:
    clock = Clock()
    quota = Quota(peer(max_instances_per_s=20), clock)
    assert send(quota, clock, [1, 50 * MB] * 100) == pytest.approx(200 / 20 - BURST_S)


def test_of_two_limits_the_tighter_one_holds() -> None:
    clock = Clock()
    quota = Quota(peer(max_mb_per_s=1000, max_instances_per_s=5), clock)
    assert send(quota, clock, [MB] * 50) == pytest.approx(50 / 5 - BURST_S)


def test_associations_of_one_peer_share_its_rate() -> None:
    clock = Clock()
    quotas = Quotas([peer(max_instances_per_s=10)], clock)
    first, second = quotas.of(peer(max_instances_per_s=10)), quotas.of(peer(max_instances_per_s=10))
    assert first is second
    pauses = [each.took(1) for _ in range(10) for each in (first, second)]
    assert max(pauses) == pytest.approx(20 / 10 - BURST_S)


def test_silence_is_no_credit_beyond_the_burst() -> None:
    clock = Clock()
    quota = Quota(peer(max_instances_per_s=10), clock)
    send(quota, clock, [1] * 100)
    clock.now += 3600
    assert send(quota, clock, [1] * 100) == pytest.approx(100 / 10 - BURST_S)


def test_no_pause_is_so_long_that_a_sender_gives_up_and_the_rest_is_paid_later() -> None:
    clock = Clock()
    quota = Quota(peer(max_mb_per_s=1), clock)
    assert quota.took(21 * MB) == MAX_PAUSE_S
    clock.now += MAX_PAUSE_S
    assert quota.took(0) == MAX_PAUSE_S
    clock.now += 15
    assert quota.took(0) == 0


def test_a_huge_object_costs_the_next_ones_a_minute_and_no_more() -> None:
    clock = Clock()
    quota = Quota(peer(max_mb_per_s=1), clock)
    quota.took(4096 * MB)
    clock.now += MAX_DEBT_S + BURST_S
    assert quota.took(0) == 0


def test_parts_of_an_object_may_be_told_as_they_come() -> None:
    clock = Clock()
    quota = Quota(peer(max_mb_per_s=1, max_instances_per_s=1000), clock)
    pauses = [quota.took(MB // 2, instances=0) for _ in range(4)]
    assert pauses == pytest.approx([0, 0, 0.5, 1.0])


def test_a_reload_changes_the_rate_of_open_associations_and_forgives_nothing() -> None:
    clock = Clock()
    quotas = Quotas([peer(max_instances_per_s=10)], clock)
    quota = quotas.of(peer())
    send(quota, clock, [1] * 20)
    quotas.reload([peer(max_instances_per_s=100)])
    assert quotas.of(peer()) is quota
    assert quota.took(1) == pytest.approx(0.01)
    quotas.reload([peer()])
    assert quota.took(10**12) == 0
    quotas.reload([])
    assert quotas.of(peer()) is None
    assert quota.took(1) == 0


def test_peers_of_one_title_in_two_networks_have_quotas_of_their_own() -> None:
    near, far = peer(hosts=("10.0.0.0/8",), max_instances_per_s=1), peer(hosts=("192.0.2.0/24",))
    quotas = Quotas([near, far], Clock())
    assert quotas.of(near) is not quotas.of(far)
    assert quotas.of(None) is None


def test_threads_lose_nothing_that_was_taken() -> None:
    clock = Clock()
    quota = Quota(peer(max_instances_per_s=1000), clock)
    threads = [threading.Thread(target=lambda: [quota.took(1) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quota.took(0, instances=0) == pytest.approx(4000 / 1000 - BURST_S)
