"""SIGHUP under load (B21): associations live on, the last good configuration holds, and the metric says so."""

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from itertools import count
from pathlib import Path

import pytest

from listeners import RawPeer, dataset
from node.demo import TemporaryNode
from nodes import await_that, free_port
from notifications import Systemd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SENDERS = ("LONG1", "LONG2", "SHORT1", "SHORT2")
MISTAKES = (
    "listener = {{ peer = [ {peers} ], max_pdu = 1 }}",  # a value that is out of range
    "listener = {{ peer = [ {peers} ] ",  # no TOML
    "listener = {{ peer = [ {peers} ] }}\nnodes = 1",  # an unknown table
    "listener = {{ peer = [ {peers} ] }}\ntls = {{ enabled = true, cert = '/no', key = '/no', ca = '/no' }}",
    "listener = {{ peer = [ {peers} ] }}\nroute = [ {{ name = 'r', match = {{ Modalty = 'CT' }} }} ]",
)
LAST_STALE = "stale: the file has 1 mistake, named in the log"  # what the last of these says


class Sender(threading.Thread):
    """Sends one object again and again, over one association or over many, until it is told to stop."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name)
        self.port, self.title = port, name.encode()
        self.stop = threading.Event()
        self.problems: list[str] = []
        self.acknowledged = 0

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                with RawPeer(self.port, timeout_s=30) as peer:
                    answer = peer.associate(calling=self.title)
                    assert answer == "AC", (answer, peer.rejection)
                    objects = count() if self.name.startswith("LONG") else range(5)
                    for _ in objects:
                        assert peer.store(dataset(pixels=4096)) == 0x0000
                        self.acknowledged += 1
                        if self.stop.wait(0.02):
                            break
                    peer.release()
        except (AssertionError, OSError) as error:
            self.problems.append(f"{self.name}: {type(error).__name__}: {error}")


class Reloading:
    """A node whose file is changed and which is told so, one change after the other."""

    def __init__(self, node: TemporaryNode) -> None:
        self.node = node
        self.text = node.config_file.read_text().split("\nlistener =")[0]
        self.done = {"config.reloaded": 0, "config.rejected": 0, "listener.reloaded": 0}

    def good(self, name: str, listeners: int) -> None:
        self._write(f"listener = {{ peer = [ {peers(*SENDERS, name)} ] }}")
        self._await("config.reloaded", 1)
        self._await("listener.reloaded", listeners)

    def broken(self, name: str, number: int) -> None:
        self._write(MISTAKES[number % len(MISTAKES)].format(peers=peers(name)))
        self._await("config.rejected", 1)

    def _write(self, text: str) -> None:
        self.done = {event: self._count(event) for event in self.done}
        self.node.config_file.write_text(f"{self.text}\n{text}\n")
        os.kill(self.node.process.pid, signal.SIGHUP)

    def _await(self, event: str, more: int) -> None:
        await_that(
            lambda: self._count(event) >= self.done[event] + more, f"{event} in {self.node.log_file}", 90
        )

    def _count(self, event: str) -> int:
        return self.node.log_file.read_text().count(f'"event": "{event}"')


def peers(*titles: str) -> str:
    return ", ".join(f"{{ calling_aet = '{title}' }}" for title in titles)


def is_accepted(port: int, title: str) -> bool:
    with RawPeer(port) as peer:
        return peer.associate(calling=title.encode()) == "AC"


def metric(node: TemporaryNode, name: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.web_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)
    }


def is_stale(node: TemporaryNode) -> float:
    (value,) = metric(node, "prepnode_config_stale{").values()
    return value


def configuration(node: TemporaryNode) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.web_port}/healthz", timeout=10) as answer:
        return json.load(answer)["parts"]["configuration"]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch):
    path = tmp_path / "notify"
    listening = Systemd(path)
    listening.start()
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    yield listening
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"", str(path))
    listening.join()


@pytest.mark.parametrize("signals", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_hangups_under_load_drop_nothing_and_keep_the_last_good_configuration(
    tmp_path: Path, signals: int
) -> None:
    tables = {"listener": {"peer": [{"calling_aet": title} for title in SENDERS]}, "node": {"listeners": 1}}
    with TemporaryNode(tables, folder=tmp_path) as node:
        reloading = Reloading(node)
        senders = [Sender(node.port, name) for name in SENDERS]
        for sender in senders:
            sender.start()
        try:
            for number in range(signals // 2):
                reloading.good(f"GOOD{number}", listeners=1)
                assert is_accepted(node.port, f"GOOD{number}")
                reloading.broken(f"BAD{number}", number)
                assert is_accepted(node.port, f"GOOD{number}")
                assert not is_accepted(node.port, f"BAD{number}")
            # The page learns of a reload a moment later: until then it may still speak of the reload before.
            await_that(lambda: is_stale(node) == 1, "the metric to say that the file has mistakes", 10)
            await_that(lambda: configuration(node)["detail"].startswith(LAST_STALE), LAST_STALE, 10)
            assert configuration(node)["ok"]
            reloads = metric(node, "prepnode_config_reloads_total")
            assert sorted(reloads.values()) == [signals / 2, signals / 2]
        finally:
            for sender in senders:
                sender.stop.set()
            for sender in senders:
                sender.join()
        assert [problem for sender in senders for problem in sender.problems] == []
        assert all(sender.acknowledged > signals for sender in senders)
        print(f"acknowledged under {signals} hang-ups:", sum(each.acknowledged for each in senders))  # noqa: T201
        reloading.good("LAST", listeners=1)
        await_that(lambda: is_stale(node) == 0, "the metric to be clear again", 10)
        assert "in force since 20" in configuration(node)["detail"]


def test_every_listener_follows_one_that_starts_again_too_and_systemd_hears_of_it(
    tmp_path: Path, systemd
) -> None:
    tables = {
        "listener": {"peer": [{"calling_aet": "FIRST"}]},
        "node": {"listeners": 2, "port": free_port()},
    }
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        reloading = Reloading(node)
        before = len(systemd.messages)
        reloading.good("SECOND", listeners=2)

        def told() -> list[str]:
            return [
                each.splitlines()[0] for each in systemd.messages[before:] if not each.startswith("WATCHDOG")
            ]

        await_that(lambda: told() == ["RELOADING=1", "READY=1"], "systemd to hear of the reload", 10)
        reloading_line = next(each for each in systemd.messages[before:] if each.startswith("RELOADING"))
        assert 0 < int(reloading_line.partition("MONOTONIC_USEC=")[2]) <= time.monotonic_ns() // 1000
        assert all(is_accepted(node.port, "SECOND") for _ in range(20))
        assert not any(is_accepted(node.port, "FIRST") for _ in range(20))

        started = node.log_file.read_text().count("listener.started")
        for beat in (node.data_dir / "run").glob("*.listener-*.json"):
            os.kill(json.loads(beat.read_text())["pid"], signal.SIGKILL)
        await_that(
            lambda: node.log_file.read_text().count("listener.started") == started + 2, "new listeners", 60
        )
        assert all(is_accepted(node.port, "SECOND") for _ in range(20))
        assert not any(is_accepted(node.port, "FIRST") for _ in range(20))
        reloading.good("THIRD", listeners=2)
        assert all(is_accepted(node.port, "THIRD") for _ in range(20))


def test_a_port_that_changes_is_named_and_waits(tmp_path: Path) -> None:
    with TemporaryNode(folder=tmp_path) as node:
        text = node.config_file.read_text()
        node.config_file.write_text(text.replace('"port" = 0', '"port" = 104', 1))
        assert node.config_file.read_text() != text
        os.kill(node.process.pid, signal.SIGHUP)
        await_that(lambda: "config.waits" in node.log_file.read_text(), "the key to be named", 60)
        line = next(each for each in node.log_file.read_text().splitlines() if "config.waits" in each)
        assert json.loads(line)["keys"] == ["node.port"]
        assert json.loads(line)["reason"] == "takes effect at the next start"
        assert is_accepted(node.port, "ANY")
