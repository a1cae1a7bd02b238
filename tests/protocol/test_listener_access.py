"""What a site sets for its senders: titles, users, rates, sizes and connections, as raw peers and pynetdicom meet them."""

import struct
import threading
import time
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from listeners import UID, VERIFICATION, RawPeer, dataset, item, listening
from node.listener import users as users_room
from node.listener.users import line_for
from nodes import await_that

PASSCODE = "correct horse battery"


@pytest.fixture
def users_file(tmp_path: Path) -> str:
    path = tmp_path / "users"
    path.write_text(f"{line_for('anna', PASSCODE)}\nvisitor:none\n")
    return str(path)


def identity(kind: int, name: bytes, passcode: bytes = b"", *, respond: int = 0) -> bytes:
    """Return a user identity item of an A-ASSOCIATE-RQ (PS3.7 table D.3-14)."""
    fields = (
        struct.pack(">BBH", kind, respond, len(name)) + name + struct.pack(">H", len(passcode)) + passcode
    )
    return item(0x58, fields)


def store(sender: RawPeer, number: int | str = 0, *, pixels: int = 0) -> int:
    uid = f"{UID}.{number}"
    return sender.store(dataset(uid=uid, pixels=pixels), uid=uid)


def associate(port: int, **request) -> tuple[str, tuple[int, int, int] | None]:
    with RawPeer(port) as peer:
        return peer.associate(**request), peer.rejection


def test_the_node_answers_under_each_of_its_titles_and_no_other(tmp_path: Path, caplog) -> None:
    with listening(tmp_path, listener={"called_aets": ["CTNODE"]}) as node:
        for title in (b"PREPNODE", b"CTNODE"):
            with RawPeer(node.port) as peer:
                assert peer.associate(called=title) == "AC"
                assert store(peer, len(node.arrivals)) == 0x0000
                peer.release()
        assert associate(node.port, called=b"OTHER") == ("RJ", (1, 1, 7))
        assert [arrival.called_ae_title for arrival in node.arrivals] == ["PREPNODE", "CTNODE"]
        assert node.server.counters()["by_refusal"] == {"called_title": 1}
    assert "PEER called us 'OTHER'; our titles are 'PREPNODE', 'CTNODE'" in caplog.text


# users


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        (identity(2, b"anna", PASSCODE.encode()), ("AC", None)),
        (identity(2, b"anna", b"guess-7781"), ("RJ", (1, 2, 1))),
        (identity(1, b"anna"), ("RJ", (1, 2, 1))),
        (identity(1, b"visitor"), ("AC", None)),
        (identity(3, b"krb-7781"), ("RJ", (1, 2, 1))),
        (identity(4, b"<saml-7781/>"), ("RJ", (1, 2, 1))),
        (identity(5, b"jwt-7781"), ("RJ", (1, 2, 1))),
        (b"", ("RJ", (1, 2, 1))),
    ],
)
def test_where_users_are_required_only_known_ones_associate(
    tmp_path: Path, users_file: str, caplog, user: bytes, answer: tuple
) -> None:
    rules = {"users_file": users_file, "require_user_identity": True}
    with listening(tmp_path / "node", listener=rules) as node:
        assert associate(node.port, user=user) == answer
        if answer[0] == "RJ":
            assert node.server.counters()["by_refusal"] == {"user": 1}
            await_that(lambda: node.server.counters()["associations"] == 0, "the place to be free again")
    assert PASSCODE not in caplog.text
    assert "7781" not in caplog.text


def test_where_users_are_not_required_other_identities_and_none_are_let_pass(
    tmp_path: Path, users_file: str
) -> None:
    with listening(tmp_path / "node", listener={"users_file": users_file}) as node:
        for user in (b"", identity(3, b"ticket", respond=1), identity(5, b"jwt")):
            assert associate(node.port, user=user) == ("AC", None)
        assert associate(node.port, user=identity(2, b"anna", b"wrong")) == ("RJ", (1, 2, 1))


@pytest.mark.parametrize("wanted", [True, False])
def test_pynetdicom_gets_the_positive_response_that_it_asks_for(
    tmp_path: Path, users_file: str, wanted: bool
) -> None:
    user = UserIdentityNegotiation()
    user.user_identity_type = 2
    user.primary_field, user.secondary_field = b"anna", PASSCODE.encode()
    user.positive_response_requested = wanted
    entity = AE("PEER")
    entity.add_requested_context(VERIFICATION)
    with listening(tmp_path / "node", listener={"users_file": users_file}) as node:
        association = entity.associate("127.0.0.1", node.port, ext_neg=[user])
        assert association.is_established
        response = association.acceptor.user_identity
        assert (response is not None) == wanted
        assert not wanted or not response.server_response
        assert association.send_c_echo().Status == 0
        association.release()


def test_passcodes_of_strangers_are_not_even_looked_at(tmp_path: Path, users_file: str, monkeypatch) -> None:
    monkeypatch.setattr(users_room, "_scrypt", lambda *_: pytest.fail("a passcode was checked"))
    rules = {"users_file": users_file, "peer": [{"calling_aet": "PACS1", "hosts": ["10.0.0.0/8"]}]}
    with listening(tmp_path / "node", listener=rules) as node:
        user = identity(2, b"anna", b"guess")
        assert associate(node.port, user=user) == ("RJ", (1, 1, 3))
        assert associate(node.port, user=user, calling=b"PACS1") == ("RJ", (1, 1, 3))
        assert node.server.counters()["by_refusal"] == {"calling_title": 1, "address": 1}


def test_guessing_costs_the_node_little(tmp_path: Path, users_file: str) -> None:
    with listening(tmp_path / "node", listener={"users_file": users_file}) as node:
        used = time.process_time()
        answers = [associate(node.port, user=identity(2, b"anna", b"%d" % n))[1] for n in range(60)]
        assert answers == [(1, 2, 1)] * users_room.FAILURES + [(2, 3, 1)] * (60 - users_room.FAILURES)
        assert time.process_time() - used < 4
        node.await_rest()


# limits


def peer(**limits) -> dict:
    return {"listener": {"peer": [{"calling_aet": "PEER"} | limits, {"calling_aet": "OTHER"}]}}


def test_an_object_over_the_limit_of_its_peer_is_a700_and_the_next_is_taken(tmp_path: Path) -> None:
    with listening(tmp_path, **peer(max_instance_mb=1)) as node:
        with RawPeer(node.port) as small, RawPeer(node.port) as large:
            assert [small.associate(), large.associate(calling=b"OTHER")] == ["AC", "AC"]
            assert small.store(dataset(pixels=2_000_000)) == 0xA700
            assert small.store(dataset(pixels=900_000)) == 0x0000
            assert store(large, 2, pixels=2_000_000) == 0x0000
            small.release()
            large.release()
        node.await_rest()


def test_a_peer_is_held_to_its_rate_over_all_its_associations_and_others_are_not(tmp_path: Path) -> None:
    with listening(tmp_path, **peer(max_instances_per_s=10)) as node:

        def send(name: bytes, count: int, took: list[float], root: int) -> None:
            with RawPeer(node.port, timeout_s=20) as sender:
                assert sender.associate(calling=name) == "AC"
                started = time.monotonic()
                for number in range(count):
                    assert store(sender, f"{root}.{number}") == 0x0000
                took.append(time.monotonic() - started)
                sender.release()

        held: list[float] = []
        free: list[float] = []
        threads = [threading.Thread(target=send, args=(b"PEER", 15, held, n)) for n in (1, 2)]
        threads.append(threading.Thread(target=send, args=(b"OTHER", 30, free, 3)))
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(node.arrivals) == 60
        assert max(held) > 1.7  # 30 objects at 10 a second, of which 10 at once and one pause after the last
        assert max(free) < max(held) / 2


def test_bytes_are_paced_and_never_refused(tmp_path: Path) -> None:
    with listening(tmp_path, **peer(max_mb_per_s=2)) as node, RawPeer(node.port, timeout_s=20) as sender:
        assert sender.associate() == "AC"
        started = time.monotonic()
        statuses = [store(sender, n, pixels=1024**2) for n in range(6)]
        assert statuses == [0x0000] * 6
        assert 1.3 < time.monotonic() - started < 6
        sender.release()


def test_a_peer_that_is_held_back_does_not_hold_the_node_when_it_stops(tmp_path: Path) -> None:
    with listening(tmp_path, **peer(max_mb_per_s=0.1)) as node, RawPeer(node.port) as sender:
        assert sender.associate() == "AC"
        assert sender.store(dataset(pixels=4 * 1024**2)) == 0x0000
        started = time.monotonic()
        assert node.server.stop(10)
        assert time.monotonic() - started < 3


def test_of_too_many_connections_from_one_host_the_oldest_silent_one_is_cut(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"max_connections_per_host": 4}) as node:
        silent = [RawPeer(node.port) for _ in range(5)]
        assert silent[0].receive()[0] == "CLOSED"
        assert silent[4].associate() == "AC"
        assert node.server.counters()["by_refusal"] == {"host_connections": 1}
        for each in silent:
            each.socket.close()
        node.await_rest()


def test_a_host_whose_connections_are_all_associations_gets_no_more(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"max_connections_per_host": 2}) as node:
        with RawPeer(node.port) as first, RawPeer(node.port) as second:
            assert [first.associate(), second.associate()] == ["AC", "AC"]
            with RawPeer(node.port) as third:
                third.try_send(b"")
                assert third.receive()[0] == "CLOSED"
            assert [first.echo(), second.echo()] == [0, 0]
            first.release()
            second.release()
        node.await_rest()


def test_a_full_node_rejects_for_now_at_once(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"max_associations": 1}) as node, RawPeer(node.port) as first:
        assert first.associate() == "AC"
        started = time.monotonic()
        assert [associate(node.port)[1] for _ in range(20)] == [(2, 3, 2)] * 20
        assert time.monotonic() - started < 2
        assert node.server.counters()["by_refusal"] == {"limit": 20}
        first.release()


def test_a_flood_of_connections_is_closed_and_counted_and_hangs_nobody(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"max_connections_per_host": 20, "acse_timeout_s": 3}) as node:
        flood = []
        for _ in range(15):
            flood += [RawPeer(node.port) for _ in range(20)]
            started = time.monotonic()
            assert associate(node.port) == ("AC", None)
            assert time.monotonic() - started < 2.5  # less than `acse_timeout_s`
        assert node.server.counters()["by_refusal"]["host_connections"] >= 270
        for each in flood:
            each.socket.close()
        node.await_rest()


def test_the_node_listens_on_ipv6(tmp_path: Path) -> None:
    tables = {"node": {"host": "::1"}, "listener": {"peer": [{"calling_aet": "PEER", "hosts": ["::1/128"]}]}}
    entity = AE("PEER")
    entity.add_requested_context(VERIFICATION)
    with listening(tmp_path, **tables) as node:
        association = entity.associate("::1", node.port)
        assert association.is_established
        association.release()
        assert node.registrar.opened[0]["source_address"] == "::1"


def test_an_ipv4_sender_is_known_by_its_ipv4_network_where_the_node_listens_on_both(
    tmp_path: Path, caplog
) -> None:
    peers = [
        {"calling_aet": "PEER", "hosts": ["127.0.0.0/8"]},
        {"calling_aet": "FAR", "hosts": ["10.0.0.0/8"]},
    ]
    with listening(tmp_path, node={"host": "::"}, listener={"peer": peers}) as node:
        assert associate(node.port) == ("AC", None)
        assert associate(node.port, calling=b"FAR") == ("RJ", (1, 1, 3))
    assert node.registrar.opened[0]["source_address"] == "127.0.0.1"
    assert "FAR called from 127.0.0.1, which is not among its hosts (10.0.0.0/8)" in caplog.text


def test_a_hundred_senders_of_one_host_at_once_are_all_served_by_default(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        together, statuses = threading.Barrier(100), []

        def send(number: int) -> None:
            together.wait(30)
            with RawPeer(node.port, timeout_s=30) as sender:
                assert sender.associate() == "AC"
                statuses.append(store(sender, number, pixels=4096))
                sender.release()

        threads = [threading.Thread(target=send, args=(number,)) for number in range(100)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert statuses == [0x0000] * 100
        assert node.server.counters()["by_refusal"] == {}
        node.await_rest()
