"""The node under an operator's hands: systemd, killed parts, a second node, a taken port, memory, the stop."""

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from census import processes_of
from node.demo import TemporaryNode
from node.errors import NodeError
from nodes import await_that, run_cli
from notifications import Systemd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
IDLE_MEMORY_MB = 400
PARTS = {"listener 0": "listener-0", "registrar 0": "registrar", "worker 0": "worker", "web 0": "web"}


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def health(node: TemporaryNode) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.web_port}/healthz", timeout=5) as answer:
            return answer.status, json.load(answer)["parts"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["parts"]
    except OSError:
        return 0, {}


@pytest.fixture(scope="module")
def systemd(tmp_path_factory):
    path = tmp_path_factory.mktemp("notify") / "socket"
    listening = Systemd(path)
    listening.start()
    os.environ["NOTIFY_SOCKET"] = str(path)
    yield listening
    del os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"", str(path))
    listening.join()


@pytest.fixture(scope="module")
def node(tmp_path_factory, systemd):
    with TemporaryNode(folder=tmp_path_factory.mktemp("operations")) as started:
        yield started


def test_systemd_hears_that_the_node_is_ready_and_lives(node: TemporaryNode, systemd: Systemd) -> None:
    await_that(lambda: systemd.messages.count("WATCHDOG=1") > 5, "the watchdog to be fed")
    assert systemd.messages[0].splitlines()[0] == "READY=1"


def test_the_idle_node_takes_little_memory(node: TemporaryNode) -> None:
    tree = processes_of(node.process.pid)
    sizes = {command: rss_mb(pid) for pid, command in tree.items()}
    assert len(sizes) == 5
    assert sum(sizes.values()) <= IDLE_MEMORY_MB, sizes


@pytest.mark.parametrize("role", PARTS)
def test_a_part_that_is_killed_shows_as_down_and_comes_back(role: str, node: TemporaryNode) -> None:
    await_that(lambda: health(node)[0] == 200, "a healthy node")
    victim = next(pid for pid, command in processes_of(node.process.pid).items() if f"role {role}" in command)
    os.kill(victim, signal.SIGKILL)

    def is_down() -> bool:
        code, parts = health(node)
        return code == 0 if role == "web 0" else code == 503 and not parts[PARTS[role]]["ok"]

    await_that(is_down, "the part to be down")
    await_that(lambda: health(node)[0] == 200, "a healthy node again")
    run_cli("echo", f"127.0.0.1:{node.port}/PREPNODE")


def test_a_second_node_on_the_same_data_is_refused_in_plain_words(node: TemporaryNode) -> None:
    done = run_cli("serve", "-c", str(node.config_file), expect=75)
    assert "another node uses this spool; stop it first" in done.stderr


@pytest.mark.parametrize("table", ["node", "web"])
def test_a_port_that_is_taken_is_told_in_plain_words(table: str, node: TemporaryNode, tmp_path: Path) -> None:
    taken = {"node": node.port, "web": node.web_port}[table]
    own = {table: {"port": taken, "host": "127.0.0.1"}}
    with (
        pytest.raises(NodeError, match=rf"cannot listen .*{taken}: Address already in use"),
        TemporaryNode(own, folder=tmp_path / "node"),
    ):
        pass


def test_the_node_says_that_it_stops_and_leaves_no_process(node: TemporaryNode, systemd: Systemd) -> None:
    before = processes_of(node.process.pid)
    assert node.stop() == 0
    assert systemd.messages[-1] == "STOPPING=1"
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]
