"""Who may associate, in plain words when not."""

import pytest

from node.config import Listener, Peer
from node.listener.access import Access, Caller, host_of
from node.listener.contexts import is_storage


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


def test_with_titles_listed_the_node_answers_under_each_and_names_them_all_to_others() -> None:
    rules = access(called_aets=["CTNODE", "MRNODE"])
    assert [rules.refuse(caller(called=title), {}) for title in ("PREPNODE", "CTNODE", "MRNODE ")] == [
        None
    ] * 3
    refusal = rules.refuse(caller(called="USNODE"), {})
    assert (refusal.code, refusal.kind) == ((1, 1, 7), "called_title")
    assert refusal.reason == "PACS1 called us 'USNODE'; our titles are 'PREPNODE', 'CTNODE', 'MRNODE'"


@pytest.mark.parametrize("address", ["2001:db8::5", "2001:db8:ffff::1"])
def test_networks_of_ipv6_hold_too(address: str) -> None:
    assert access(peer=[peer("PACS1", "2001:db8::/32")]).refuse(caller(address=address), {}) is None
    refusal = access(peer=[peer("PACS1", "2001:db9::/32")]).refuse(caller(address=address), {})
    assert (refusal.code, refusal.kind) == ((1, 1, 3), "address")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
@pytest.mark.parametrize("network", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "10.1.2.3"])
def test_an_ipv4_address_is_the_same_however_it_and_its_network_are_written(
    address: str, network: str
) -> None:
    assert access(peer=[peer("PACS1", network)]).refuse(caller(address=address), {}) is None


def test_peers_with_one_title_in_two_networks_have_limits_of_their_own() -> None:
    rules = access(
        peer=[
            peer("PACS1", "10.0.0.0/8", max_associations=1),
            peer("PACS1", "192.0.2.0/24", max_associations=2),
        ]
    )
    near, far = caller(address="10.1.2.3"), caller(address="192.0.2.1")
    established = {rules.account_of(near): 1}
    assert rules.refuse(near, established).kind == "peer_limit"
    assert rules.refuse(far, established) is None
    assert rules.peer_of(far).max_associations == 2


@pytest.mark.parametrize("shown", [("pacs.example.org",), ("other", "PACS.example.org"), ("192.0.2.7",)])
def test_a_certificate_that_bears_a_name_of_the_peer_is_accepted(shown: tuple[str, ...]) -> None:
    rules = access(peer=[peer("PACS1", certificate_names=["pacs.example.org", "192.0.2.7"])])
    assert rules.refuse(Caller("PACS1", "PREPNODE", "10.1.2.3", 0, shown), {}) is None


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ((), "PACS1 at 10.1.2.3 showed no certificate; its certificate_names are 'pacs.example.org'"),
        (
            ("ct.example.org", "ct"),
            (
                "PACS1 at 10.1.2.3 showed a certificate of 'ct.example.org', 'ct'; "
                "its certificate_names are 'pacs.example.org'"
            ),
        ),
        (
            ("*.example.org",),
            (
                "PACS1 at 10.1.2.3 showed a certificate of '*.example.org'; "
                "its certificate_names are 'pacs.example.org'"
            ),
        ),
    ],
)
def test_another_certificate_is_refused_and_both_are_named(shown: tuple[str, ...], told: str) -> None:
    rules = access(peer=[peer("PACS1", certificate_names=["pacs.example.org"])])
    refusal = rules.refuse(Caller("PACS1", "PREPNODE", "10.1.2.3", 0, shown), {})
    assert (refusal.code, refusal.kind, refusal.reason) == ((1, 1, 3), "certificate", told)


def test_two_machines_with_one_title_are_told_apart_by_their_certificates() -> None:
    rules = access(
        peer=[
            peer("CT", certificate_names=["ct1"], max_instance_mb=1),
            peer("CT", certificate_names=["ct2"], max_instance_mb=2),
        ]
    )
    assert rules.peer_of(Caller("CT", "PREPNODE", "10.0.0.1", 0, ("ct2",))).max_instance_mb == 2


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_host_is_an_ipv4_address_or_an_ipv6_network(address: str, host: str) -> None:
    assert host_of(address) == host
