"""kill -9 at random moments under load: what was acknowledged is registered once, and nothing else is left behind.

Any process of the tree, and all of them at once; some are killed again while they start. The
senders repeat what had no answer, so at the end the node has exactly what was acknowledged.
"""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from dcmtk_senders import acknowledgements, storescu, write_objects
from node.digest import digest
from storms import RECEIVING, Storm, assert_kept, await_settled, pids, registered, storm_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def weather(storm: Storm, *, kills: int, rounds: int) -> None:
    """Kill so many times; between rounds nothing is sent, and what there is is judged."""
    with storm.node:
        for number in range(1, rounds + 1):
            with storm.sending():
                while storm.kills.total() < kills * number / rounds:
                    storm.strike()
            assert_kept(storm.node, storm.acknowledged)
        assert storm.node.stop() == 0
    figures = f"{dict(storm.kills)}; {len(storm.acknowledged)} acknowledged; statuses {dict(storm.statuses)}"
    print(figures)  # noqa: T201 - for the record of a long run
    assert len(storm.acknowledged) >= kills


class Dcmtk(threading.Thread):
    """Sends files with storescu, again and again what was not acknowledged, until all are."""

    def __init__(self, port: int, files: dict[str, Path], tell: threading.Condition) -> None:
        super().__init__(daemon=True)
        self._port, self._left, self._tell = port, set(files.values()), tell
        self.n_processes = self.n_acknowledged = 0

    def run(self) -> None:
        while self._left:
            self.n_processes += 1
            for file in acknowledgements(storescu(self._port, sorted(self._left), pipe_bytes=4096)):
                self._left.remove(file)
                with self._tell:
                    self.n_acknowledged += 1
                    self._tell.notify_all()


def dcmtk_weather(folder: Path, *, kills: int, objects: int) -> None:
    """Kill the listener while two dcmtk senders send; each kill waits until something new was acknowledged."""
    chance = random.Random(20260306)
    sources = [write_objects(folder / f"{n}", objects, series_uid=f"2.25.6{n}", size=64) for n in range(2)]
    tell = threading.Condition()
    with storm_node(folder / "node", only=RECEIVING) as node:
        senders = [Dcmtk(node.port, source, tell) for source in sources]
        for sender in senders:
            sender.start()
        for _ in range(kills):
            with tell:
                enough = sum(each.n_acknowledged for each in senders) + chance.randint(1, objects // kills)
                assert tell.wait_for(
                    lambda enough=enough: sum(s.n_acknowledged for s in senders) >= enough, 60
                )
            assert any(sender.is_alive() for sender in senders), "the kill came too late"
            for pid in pids(node, ["listener"]):
                os.kill(pid, signal.SIGKILL)
        for sender in senders:
            sender.join(120)
            assert not sender.is_alive()
        assert any(sender.n_processes > 1 for sender in senders), "no kill met a sender"
        await_settled(node)
        found = registered(node)
        assert set(found) == set().union(*sources)
        for uid, file in {**sources[0], **sources[1]}.items():
            sha256, path = found[uid]
            assert digest(path) == sha256 == digest(file)


def test_kills_of_any_process_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node"), seed=20260301)
    weather(storm, kills=10, rounds=1)
    assert {"listener", "worker", "web"} & set(storm.kills)


def test_kills_of_what_receives_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING), seed=20260302)
    weather(storm, kills=15, rounds=1)


@pytest.mark.servers
def test_kills_under_dcmtk_senders_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    dcmtk_weather(tmp_path, kills=6, objects=400)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_three_hundred_kills_of_any_process(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node"), seed=20260303)
    weather(storm, kills=300, rounds=6)
    assert set(storm.kills) >= {"supervisor", "listener", "registrar", "worker", "web", "the whole tree"}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_thousand_kills_of_what_receives(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING), seed=20260304)
    weather(storm, kills=1000, rounds=10)
    assert set(storm.kills) >= {"supervisor", "listener", "registrar", "the whole tree"}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("kills", "rounds"), [(12, 1), pytest.param(200, 4, marks=pytest.mark.soak)], ids=["12", "200"]
)
def test_kills_of_two_listeners_on_one_port(kills: int, rounds: int, tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING, node={"listeners": 2}), seed=20260305)
    weather(storm, kills=kills, rounds=rounds)
