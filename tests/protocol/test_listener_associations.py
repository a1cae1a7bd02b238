"""How associations begin and end: refusals, limits, TLS, silence, and a node that stops."""

import socket
import threading
import time
from pathlib import Path

import pytest

from listeners import RawPeer, dataset, listening, p_data, pdv, store_rq, wait_for_closed
from node.errors import ConfigError
from node.listener import open_associations
from nodes import await_that, free_port


def peers(*titles: str, **more) -> dict:
    return {"listener": {"peer": [{"calling_aet": title} | more for title in titles]}}


def rejection(port: int, **request) -> tuple[int, int, int]:
    with RawPeer(port) as peer:
        assert peer.associate(**request) == "RJ"
        assert peer.receive()[0] == "CLOSED"
        return peer.rejection


def test_a_wrong_called_title_is_rejected_and_told_in_plain_words(tmp_path: Path, caplog) -> None:
    with listening(tmp_path, listener={"require_called_aet": True}) as node:
        assert rejection(node.port, called=b"PREPNODE1", calling=b"PACS1") == (1, 1, 7)
        assert "PACS1 called us 'PREPNODE1'; our title is 'PREPNODE'" in caplog.text
        assert node.server.counters()["by_outcome"] == {"rejected": 1}
        node.await_rest()
    assert node.registrar.opened[0]["calling_ae_title"] == "PEER"


def test_only_listed_peers_are_accepted(tmp_path: Path) -> None:
    with listening(tmp_path, **peers("PACS1", "PEER")) as node:
        assert rejection(node.port, calling=b"STRANGER") == (1, 1, 3)
        with RawPeer(node.port) as peer:
            assert peer.associate(calling=b"PACS1") == "AC"
            peer.release()
        node.await_rest()


def test_a_listed_peer_from_another_network_is_rejected(tmp_path: Path) -> None:
    with listening(tmp_path, **peers("PACS1", hosts=["10.0.0.0/8"])) as node:
        assert rejection(node.port, calling=b"PACS1") == (1, 1, 3)


def test_the_limit_of_a_peer_holds_and_is_free_again_after_a_release(tmp_path: Path) -> None:
    with listening(tmp_path, **peers("PACS1", "PEER", max_associations=1)) as node:
        with RawPeer(node.port) as first:
            assert first.associate(calling=b"PACS1") == "AC"
            assert rejection(node.port, calling=b"PACS1") == (2, 3, 2)
            with RawPeer(node.port) as other:
                assert other.associate(calling=b"PEER") == "AC"
                other.release()
            first.release()
        wait_for_closed(node, 2)
        with RawPeer(node.port) as again:
            assert again.associate(calling=b"PACS1") == "AC"


def test_the_limit_of_all_associations_counts_established_ones_only(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"max_associations": 2}) as node:
        silent = [RawPeer(node.port) for _ in range(20)]
        with RawPeer(node.port) as first, RawPeer(node.port) as second:
            assert [first.associate(), second.associate()] == ["AC", "AC"]
            assert rejection(node.port) == (2, 3, 2)
            first.abort()
            wait_for_closed(node, 1)
            with RawPeer(node.port) as third:
                assert third.associate() == "AC"
        for each in silent:
            each.socket.close()
        node.await_rest()


def test_how_associations_ended_is_noted(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        with RawPeer(node.port) as released:
            released.associate(calling=b"RELEASED")
            released.store(dataset())
            released.release()
        wait_for_closed(node, 1)
        with RawPeer(node.port) as aborted:
            aborted.associate(calling=b"ABORTED")
            aborted.abort()
            wait_for_closed(node, 2)
        with RawPeer(node.port) as lost:
            lost.associate(calling=b"LOST")
        wait_for_closed(node, 3)
        assert [each["calling_ae_title"] for each in node.registrar.opened] == ["RELEASED", "ABORTED", "LOST"]
        assert [each["association"] for each in node.registrar.opened] == [
            each[0] for each in node.registrar.closed
        ]
        assert node.registrar.ends() == ["released", "aborted", "lost"]
        assert node.registrar.closed[0][2:] == (1, len(dataset()))
        assert node.server.counters()["by_outcome"] == {"accepted": 3, "released": 1, "aborted": 1, "lost": 1}
        assert {each["source_address"] for each in node.registrar.opened} == {"127.0.0.1"}
        node.await_rest()


def test_a_silent_association_is_aborted_after_the_network_timeout(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"network_timeout_s": 0.3}) as node:
        with RawPeer(node.port) as peer:
            peer.associate()
            assert peer.receive()[0] == "ABORT"
        wait_for_closed(node, 1)
        assert node.registrar.ends() == ["lost"]


def test_the_time_that_the_node_needs_does_not_count_as_silence(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"network_timeout_s": 1.0}) as node:
        may_end = threading.Event()
        node.registrar.submit = lambda *_: may_end.wait(10)
        with RawPeer(node.port) as peer:
            peer.associate()
            answered = threading.Thread(target=lambda: statuses.append(peer.store(dataset())))
            statuses: list[int] = []
            answered.start()
            started = time.monotonic()
            await_that(lambda: time.monotonic() - started > 1.5, "the network timeout to pass")
            may_end.set()
            answered.join()
            assert statuses == [0]
            assert peer.echo() == 0
            peer.release()


def test_a_connection_that_never_asks_is_closed_after_the_acse_timeout(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"acse_timeout_s": 0.3}) as node:
        with RawPeer(node.port) as peer:
            assert peer.receive()[0] == "CLOSED"
        node.await_rest()


def test_of_too_many_silent_connections_the_oldest_goes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(open_associations, "MAX_SILENT", 5)
    with listening(tmp_path) as node:
        silent = [RawPeer(node.port) for _ in range(7)]
        assert [each.receive()[0] for each in silent[:2]] == ["CLOSED", "CLOSED"]
        assert silent[6].associate() == "AC"
        for each in silent:
            each.socket.close()
        node.await_rest()


def test_a_taken_port_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    with (
        listening(tmp_path / "1") as node,
        pytest.raises(ConfigError, match=str(node.port)),
        listening(tmp_path / "2", node={"port": node.port}),
    ):
        pass


def test_several_listeners_share_a_port(tmp_path: Path) -> None:
    both = {"node": {"port": free_port(), "listeners": 2}}
    with listening(tmp_path / "1", **both) as first, listening(tmp_path / "2", **both) as second:
        for _ in range(40):
            with RawPeer(first.port) as peer:
                assert peer.associate() == "AC"
                peer.release()
        await_that(
            lambda: len(first.registrar.closed) + len(second.registrar.closed) == 40, "40 associations"
        )
        assert first.registrar.closed
        assert second.registrar.closed


# stopping


def test_an_object_in_flight_gets_its_answer_when_the_node_stops(tmp_path: Path) -> None:
    with listening(tmp_path) as node, RawPeer(node.port) as peer, RawPeer(node.port) as idle:
        content = dataset(pixels=20_000)
        assert [peer.associate(), idle.associate()] == ["AC", "AC"]
        peer.send(p_data(pdv(1, 3, store_rq()), pdv(1, 0, content[:5000])))
        await_that(node.temporary_files, "the object to be begun")
        stopped: list[bool] = []
        stopping = threading.Thread(target=lambda: stopped.append(node.server.stop(10)))
        stopping.start()
        await_that(lambda: not _connects(node.port), "the port to be closed")
        for at in range(5000, len(content), 10_000):
            peer.send(p_data(pdv(1, 0 if at + 10_000 < len(content) else 2, content[at : at + 10_000])))
        assert peer.status() == 0x0000
        assert peer.receive()[0] == "ABORT"
        assert idle.receive()[0] == "ABORT"
        stopping.join()
        assert stopped == [True]
        assert node.arrivals[0].path.read_bytes().endswith(content)
        assert node.registrar.ends() == ["lost", "lost"]


def test_what_begins_while_the_node_stops_is_a700(tmp_path: Path) -> None:
    with listening(tmp_path) as node, RawPeer(node.port) as slow, RawPeer(node.port) as late:
        assert [slow.associate(), late.associate()] == ["AC", "AC"]
        slow.send(p_data(pdv(1, 3, store_rq()), pdv(1, 0, dataset()[:20])))
        await_that(node.temporary_files, "the object to be begun")
        stopping = threading.Thread(target=lambda: node.server.stop(10))
        stopping.start()
        await_that(lambda: not _connects(node.port), "the port to be closed")
        assert late.store(dataset("1.2.3.9"), uid="1.2.3.9") == 0xA700
        slow.send(p_data(pdv(1, 2, dataset()[20:])))
        assert slow.status() == 0x0000
        stopping.join()


def test_a_peer_that_never_finishes_does_not_hold_the_node(tmp_path: Path) -> None:
    with listening(tmp_path) as node, RawPeer(node.port) as peer, RawPeer(node.port) as half:
        half.send(b"\x01\x00\x00")
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq()), pdv(1, 0, dataset()[:20])))
        await_that(node.temporary_files, "the object to be begun")
        started = time.monotonic()
        assert node.server.stop(0.5) is False
        assert time.monotonic() - started < 4
        assert node.temporary_files() == []
        assert node.arrivals == []


def test_stopping_an_idle_node_takes_no_time(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        assert node.server.is_healthy()
        started = time.monotonic()
        assert node.server.stop(10) is True
        assert time.monotonic() - started < 2
        assert not node.server.is_healthy()


def test_health_follows_the_registry(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        node.registrar.problem = "locked"
        assert not node.server.is_healthy()
        node.registrar.problem = None
        assert node.server.is_healthy()


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
