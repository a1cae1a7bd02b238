"""Who may associate, in plain words when not."""

import subprocess

import pytest

from node.config import Listener, Peer, Tls
from node.errors import ConfigError
from node.listener.access import Access, Caller
from node.listener.contexts import is_storage
from node.listener.tls import tls_context


def caller(
    calling: str = "PACS1", called: str = "PREPNODE", address: str = "10.1.2.3", max_pdu: int = 16384
) -> Caller:
    return Caller(calling, called, address, max_pdu)


def access(**listener) -> Access:
    return Access("PREPNODE", Listener(**listener))


def peer(calling: str = "PACS1", *hosts: str, **more) -> dict:
    return {"calling_aet": calling, "hosts": hosts} | more


def test_anybody_may_call_by_default_and_by_any_title() -> None:
    assert access().refuse(caller(called="ANYTHING"), {}) is None


def test_a_wrong_called_title_is_refused_and_both_titles_are_named() -> None:
    refusal = access(require_called_aet=True).refuse(caller(called="PREPNODE1"), {})
    assert refusal.code == (1, 1, 7)
    assert refusal.reason == "PACS1 called us 'PREPNODE1'; our title is 'PREPNODE'"


def test_the_right_called_title_is_accepted_with_trailing_spaces() -> None:
    assert access(require_called_aet=True).refuse(caller(called="PREPNODE  "), {}) is None


def test_with_any_peer_listed_others_are_refused() -> None:
    refusal = access(peer=[peer("PACS1")]).refuse(caller("PACS2"), {})
    assert refusal.code == (1, 1, 3)
    assert "'PACS2' at 10.1.2.3 is not among the configured peers" in refusal.reason


def test_a_listed_peer_without_hosts_may_call_from_anywhere() -> None:
    assert access(peer=[peer("PACS1")]).refuse(caller(address="192.0.2.77"), {}) is None


@pytest.mark.parametrize("address", ["10.0.0.1", "10.255.255.255", "::ffff:10.2.3.4"])
def test_an_address_within_the_networks_of_the_peer_is_accepted(address: str) -> None:
    assert (
        access(peer=[peer("PACS1", "192.0.2.0/24", "10.0.0.0/8")]).refuse(caller(address=address), {}) is None
    )


@pytest.mark.parametrize("address", ["11.0.0.1", "::1", "fe80::1%eth0", "::ffff:11.0.0.1"])
def test_an_address_outside_of_them_is_refused_and_the_networks_are_named(address: str) -> None:
    refusal = access(peer=[peer("PACS1", "10.0.0.0/8")]).refuse(caller(address=address), {})
    assert refusal.code == (1, 1, 3)
    plain = address.removeprefix("::ffff:")
    assert refusal.reason == f"PACS1 called from {plain}, which is not among its hosts (10.0.0.0/8)"


def test_a_peer_may_be_listed_twice_with_other_networks() -> None:
    rules = access(peer=[peer("PACS1", "10.0.0.0/8"), peer("PACS1", "192.0.2.0/24")])
    assert rules.refuse(caller(address="192.0.2.1"), {}) is None


def test_titles_are_compared_with_case() -> None:
    assert access(peer=[peer("PACS1")]).refuse(caller("pacs1"), {}).code == (1, 1, 3)


def test_the_limit_of_all_associations_is_a_transient_refusal() -> None:
    rules = access(max_associations=3)
    assert rules.refuse(caller(), {"A": 1, "B": 1}) is None
    assert rules.refuse(caller(), {"A": 2, "B": 1}).code == (2, 3, 2)


def test_the_limit_of_one_peer_leaves_others_alone() -> None:
    rules = access(peer=[peer("PACS1", max_associations=2), peer("PACS2")])
    assert rules.refuse(caller("PACS1"), {"PACS1": 2}).code == (2, 3, 2)
    assert rules.refuse(caller("PACS2"), {"PACS1": 2}) is None


def test_while_the_node_stops_everybody_is_refused_for_now() -> None:
    assert access().refuse(caller(), {}, is_draining=True).code == (2, 3, 1)


@pytest.mark.parametrize("max_pdu", [1, 6, 7, 127])
def test_a_peer_that_takes_only_tiny_pdus_is_refused(max_pdu: int) -> None:
    assert access().refuse(caller(max_pdu=max_pdu), {}).code == (1, 1, 1)


@pytest.mark.parametrize("max_pdu", [0, 128, 4096])
def test_no_limit_or_a_usable_one_is_accepted(max_pdu: int) -> None:
    assert access().refuse(caller(max_pdu=max_pdu), {}) is None


def test_peers_come_from_the_configuration_as_networks() -> None:
    assert str(Peer(calling_aet="A", hosts=("10.0.0.0/8",)).hosts[0]) == "10.0.0.0/8"


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", True),  # CT Image Storage
        ("1.2.840.10008.5.1.4.1.1.3", True),  # retired US Multi-frame
        ("1.2.840.10008.5.1.4.1.1.9999", True),  # of a later edition
        ("1.2.840.10008.5.1.4.34.7", True),  # RT Beams Delivery Instruction Storage
        ("1.3.12.2.1107.5.9.1", True),  # Siemens CSA Non-Image Storage
        ("1.2.3.4.5", True),
        ("1.2.840.10008.1.1", False),  # Verification is no storage
        ("1.2.840.10008.5.1.4.1.2.2.1", False),  # Study Root FIND
        ("1.2.840.10008.5.1.4.31", False),  # Modality Worklist FIND
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment
        ("1.2.840.10008.5.1.4.1.1.200.4", False),  # Protocol Approval FIND, under the storage root
        ("1.2.840.10008.5.1.4.1.1.201.1", False),  # Inventory Storage: of no patient
        ("1.2.840.10008.5.1.4.38.1", False),  # Hanging Protocol Storage: of no patient
        ("1.2.840.10008.99.1", False),
    ],
)
def test_storage_known_unknown_and_private_is_accepted_and_no_other_service(uid: str, expected: bool) -> None:
    assert is_storage(uid) is expected


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(Tls()) is None


def test_tls_without_a_ca_cannot_check_clients_and_says_so() -> None:
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        tls_context(Tls(enabled=True, cert="x", key="y"))


def test_tls_with_a_missing_certificate_names_the_file(tmp_path) -> None:
    keys = Tls(
        enabled=True, cert=str(tmp_path / "no.crt"), key=str(tmp_path / "no.key"), require_client_cert=False
    )
    with pytest.raises(ConfigError, match=r"no\.crt"):
        tls_context(keys)


def test_tls_with_a_ca_that_is_none_names_the_file(tmp_path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
         "-keyout", tmp_path / "k", "-out", tmp_path / "c"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "ca").write_text("nothing")
    keys = Tls(enabled=True, cert=str(tmp_path / "c"), key=str(tmp_path / "k"), ca=str(tmp_path / "ca"))
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        tls_context(keys)
