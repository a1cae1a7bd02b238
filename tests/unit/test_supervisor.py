"""The supervisor: what it tells systemd, and when it restarts a process."""

import socket
import time
from pathlib import Path

from node import heartbeat, supervisor
from node.config import Config, load
from node.reload import Reload
from node.supervisor import Child, Supervisor


def supervised(config: Config, roles: list[tuple[str, int]]) -> Supervisor:
    return Supervisor(Reload(config, lambda: config, lambda _: []), roles)


def test_notify_reaches_a_path_and_an_abstract_socket(tmp_path: Path, monkeypatch) -> None:
    for address in (str(tmp_path / "notify"), "@prepnode-test"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("\0" + address[1:] if address.startswith("@") else address)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            supervisor.notify("READY=1", "STATUS=here")
            assert listener.recv(100) == b"READY=1\nSTATUS=here"


def test_notify_is_silent_without_systemd(monkeypatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervisor.notify("READY=1")


def test_a_process_that_dies_often_is_restarted_more_and_more_slowly(tmp_path: Path) -> None:
    config = load(None, {"node": {"data_dir": str(tmp_path)}})
    keeper, child, now = supervised(config, [("worker", 0)]), Child("worker", 0), time.monotonic()
    pauses = []
    for _ in range(8):
        keeper._note_death(child, now)
        pauses.append(round(child.restart_at - now, 3))
    assert pauses == [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0]


def test_a_process_that_died_long_ago_is_restarted_at_once(tmp_path: Path) -> None:
    config = load(None, {"node": {"data_dir": str(tmp_path)}})
    keeper, child = supervised(config, [("worker", 0)]), Child("worker", 0, deaths=[-10_000.0])
    keeper._note_death(child, time.monotonic())
    assert child.restart_at - time.monotonic() <= 0.5


def test_listeners_are_told_apart_by_index() -> None:
    assert Child("listener", 2).part == "listener-2"
    assert Child("worker", 0).part == "worker"


def test_the_heartbeat_of_a_process_that_died_no_longer_says_that_it_works(tmp_path: Path) -> None:
    config = load(None, {"node": {"data_dir": str(tmp_path)}})
    heartbeat.write(tmp_path / "run", "worker", ok=True)
    heartbeat.write(tmp_path / "run", "web", ok=True)
    supervised(config, [("worker", 0), ("web", 0)])._note_death(Child("worker", 0), time.monotonic())
    assert [beat.part for beat in heartbeat.read_all(tmp_path / "run")] == ["web"]
