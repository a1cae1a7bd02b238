"""TLS as BCP 195 and PS3.15 B.12 want it: versions, suites, certificates, names, revocation (with openssl and dcmtk)."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from certificates import PAST, Authority, node_tables
from data import ct_series
from listeners import RawPeer, dataset, listening
from node.config import Listener, Peer, Tls
from node.forwarding.association import VERIFICATION_CONTEXT, Association, Target
from nodes import await_that

LOCAL = "DNS:localhost,IP:127.0.0.1"
TLS_1_2_SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
}  # those of BCP 195 that a certificate with an EC key can serve


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("keys")
    made, stranger = Authority(folder), Authority(folder, "stranger-ca")
    made.issue("server", san=LOCAL)
    made.issue("pacs", san="DNS:pacs.example.org")
    made.issue("other", san="DNS:other.example.org")
    made.issue("modality")  # a common name alone
    made.issue("revoked")
    made.issue("expired", validity=PAST)
    stranger.issue("stranger")
    return made


def client(authority: Authority, name: str | None, maximum=ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    context.maximum_version = maximum
    if name is not None:
        context.load_cert_chain(authority.folder / f"{name}.crt", authority.folder / f"{name}.key")
    return context


def is_served(port: int, context: ssl.SSLContext) -> bool:
    try:
        with RawPeer(port, tls=context) as peer:
            return peer.associate(calling=b"PACS1") == "AC"
    except (ssl.SSLError, ConnectionError):
        return False


def openssl(port: int, *options: str) -> str:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options],
        input="", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_versions_before_1_2_are_refused(authority: Authority, tmp_path: Path, option: str) -> None:
    keys = [
        f"-{kind}={authority.folder / name}" for kind, name in (("cert", "pacs.crt"), ("key", "pacs.key"))
    ]
    with listening(tmp_path, **node_tables(authority)) as node:
        told = openssl(
            node.port,
            option,
            "-cipher",
            "ALL:@SECLEVEL=0",
            *(word for key in keys for word in key.split("=")),
        )
        assert "Cipher is (NONE)" in told
        assert "protocol version" in told.lower()
        await_that(lambda: node.server.counters()["by_refusal"] == {"tls": 1}, "the refusal to be counted")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_versions_1_2_and_1_3_are_served(authority: Authority, tmp_path: Path, version: str) -> None:
    maximum = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    with (
        listening(tmp_path, **node_tables(authority)) as node,
        RawPeer(node.port, tls=client(authority, "pacs", maximum)) as peer,
    ):
        assert peer.socket.version() == version
        assert peer.associate() == "AC"
        content = dataset(pixels=300_000)
        assert peer.store(content) == 0x0000
        assert node.arrivals[0].path.read_bytes().endswith(content)
        peer.release()


def test_the_sending_side_of_the_node_is_served_over_tls(authority: Authority, tmp_path: Path) -> None:
    with listening(tmp_path, **node_tables(authority)) as node:
        target = Target("localhost", node.port, "PREPNODE", tls=client(authority, "pacs"))
        with Association(target, [VERIFICATION_CONTEXT]) as association:
            assert association.echo().status == 0


def test_plain_dicom_on_the_tls_port_is_closed(authority: Authority, tmp_path: Path) -> None:
    with listening(tmp_path, **node_tables(authority)) as node, RawPeer(node.port) as peer:
        assert peer.associate() == "CLOSED"


def test_connections_that_never_shake_hands_delay_nobody_and_are_closed(
    authority: Authority, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("node.listener.port.HANDSHAKE_TIMEOUT_S", 1.0)
    with listening(tmp_path, **node_tables(authority)) as node:
        silent = [RawPeer(node.port) for _ in range(20)]
        with RawPeer(node.port, tls=client(authority, "pacs")) as peer:
            assert peer.associate() == "AC"
            peer.release()
        assert all(each.receive()[0] == "CLOSED" for each in silent)
        for each in silent:
            each.socket.close()
        await_that(
            lambda: node.server.counters()["by_refusal"] == {"tls": 20}, "all connections to be counted"
        )
        await_that(lambda: not node.server._associations._silent, "all connections to be forgotten")


def test_of_all_suites_of_tls_1_2_only_those_of_bcp_195_are_served(
    authority: Authority, tmp_path: Path
) -> None:
    names = subprocess.run(
        ["openssl", "ciphers", "-tls1_2", "-s", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True, text=True, check=True,
    ).stdout.strip().split(":")  # fmt: skip
    served = set()
    with listening(tmp_path, **node_tables(authority, require_client_cert=False)) as node:
        for name in names:
            context = client(authority, None, ssl.TLSVersion.TLSv1_2)
            try:
                context.set_ciphers(f"{name}:@SECLEVEL=0")
            except ssl.SSLError:
                continue  # this Python cannot offer it
            if is_served(node.port, context):
                served.add(name)
    assert len(names) > 30
    assert served == TLS_1_2_SUITES


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "peer did not return a certificate"),
        ("stranger", "certificate verify failed"),
        ("expired", "certificate has expired"),
        ("revoked", "certificate revoked"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_without_a_good_certificate_is_refused_and_the_log_says_why(  # noqa: PLR0917
    authority: Authority, tmp_path: Path, caplog, name: str | None, told: str, version
) -> None:
    crl = authority.revoke("revoked") if name == "revoked" else authority.revoke()
    with listening(tmp_path, **node_tables(authority, crl=crl)) as node:
        assert not is_served(node.port, client(authority, name, version))
        await_that(lambda: node.server.counters()["by_refusal"] == {"tls": 1}, "the refusal to be counted")
        assert told in caplog.text
        assert is_served(node.port, client(authority, "pacs", version))


def test_a_shown_certificate_must_be_good_also_where_none_is_required(
    authority: Authority, tmp_path: Path
) -> None:
    with listening(tmp_path, **node_tables(authority, require_client_cert=False)) as node:
        assert is_served(node.port, client(authority, None))
        assert is_served(node.port, client(authority, "pacs"))
        assert not is_served(node.port, client(authority, "expired"))


@pytest.mark.parametrize(("bound", "name"), [("PACS.example.org", "pacs"), ("modality", "modality")])
def test_a_peer_is_who_its_certificate_says(
    authority: Authority, tmp_path: Path, caplog, bound: str, name: str
) -> None:
    peers = {"listener": {"peer": [{"calling_aet": "PACS1", "certificate_names": [bound]}]}}
    with listening(tmp_path, **node_tables(authority), **peers) as node:
        assert is_served(node.port, client(authority, name))
        with RawPeer(node.port, tls=client(authority, "other")) as thief:
            assert thief.associate(calling=b"PACS1") == "RJ"
            assert thief.rejection == (1, 1, 3)
        assert node.server.counters()["by_refusal"] == {"certificate": 1}
    told = (
        f"PACS1 at 127.0.0.1 showed a certificate of 'other.example.org'; its certificate_names are '{bound}'"
    )
    assert told in caplog.text


def test_a_peer_bound_to_a_certificate_cannot_come_without_one(authority: Authority, tmp_path: Path) -> None:
    peers = {"listener": {"peer": [{"calling_aet": "PACS1", "certificate_names": ["pacs.example.org"]}]}}
    with listening(tmp_path, **node_tables(authority, require_client_cert=False), **peers) as node:
        assert not is_served(node.port, client(authority, None))
        assert is_served(node.port, client(authority, "pacs"))


def test_a_revocation_that_a_reload_brings_is_not_got_around_by_an_old_session(
    authority: Authority, tmp_path: Path
) -> None:
    context = client(authority, "other", ssl.TLSVersion.TLSv1_2)

    def session(port: int, old: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        plain = socket.create_connection(("127.0.0.1", port), 10)
        with plain, context.wrap_socket(plain, server_hostname="localhost", session=old) as secured:
            return secured.session

    with listening(tmp_path, **node_tables(authority)) as node:
        old = session(node.port)
        assert not old.has_ticket
        tls = node_tables(authority, crl=authority.revoke("other"))
        node.server.reload(node.config.model_copy(update={"tls": Tls(**tls["tls"])}))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            session(node.port, old)


@pytest.mark.parametrize("section", ["listener", "tls"])
def test_a_reload_holds_for_new_connections_and_open_ones_go_on(
    authority: Authority, tmp_path: Path, section: str
) -> None:
    with listening(tmp_path, **node_tables(authority)) as node:
        with RawPeer(node.port, tls=client(authority, "pacs")) as peer:
            assert peer.associate(calling=b"PACS1") == "AC"
            change = {
                "listener": Listener(peer=(Peer(calling_aet="X"),)),
                "tls": Tls(**node_tables(authority, crl=authority.revoke("other"))["tls"]),
            }[section]
            node.server.reload(node.config.model_copy(update={section: change}))
            assert not is_served(node.port, client(authority, "other"))
            assert peer.store(dataset()) == 0x0000
            peer.release()
        assert len(node.arrivals) == 1


def test_the_end_of_the_certificate_is_a_figure_and_told_in_time(
    authority: Authority, tmp_path: Path, caplog
) -> None:
    with listening(tmp_path, **node_tables(authority)) as node:
        node.server.warn_of_expiry()
        node.server.warn_of_expiry()
        assert caplog.text.count("renew it, then reload") == 1
        end = ssl.cert_time_to_seconds(
            subprocess.run(
                ["openssl", "x509", "-noout", "-enddate", "-in", authority.folder / "server.crt"],
                capture_output=True, text=True, check=True,
            ).stdout.strip().removeprefix("notAfter=")
        )  # fmt: skip
        assert node.server.counters()["certificate_not_after"] == end


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize(("name", "works"), [("pacs", True), ("expired", False), (None, False)])
def test_storescu_sends_over_mutual_tls(
    authority: Authority, tmp_path: Path, name: str | None, works: bool
) -> None:
    files = []
    for number, each in enumerate(ct_series(slices=3)):
        files.append(tmp_path / f"{number}.dcm")
        each.save_as(files[-1], enforce_file_format=True)
    own = ["+tls", f"{authority.folder}/{name}.key", f"{authority.folder}/{name}.crt"] if name else ["+tla"]
    with listening(tmp_path / "node", **node_tables(authority)) as node:
        done = subprocess.run(
            ["storescu", *own, "+cf", authority.certificate, "-aec", "PREPNODE", "localhost", str(node.port), *files],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == works, done.stderr
        assert len(node.arrivals) == (3 if works else 0)
