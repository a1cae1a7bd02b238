"""The TLS context of the port, what a certificate says, and when its end is told."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certificates import PAST, Authority, node_tables
from node.config import Tls
from node.errors import ConfigError
from node.listener.tls import Expiry, certificate_names, not_after, tls_context

# RFC 9325 4.2, and RFC 8446 B.4 for TLS 1.3
BCP_195 = {
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("keys"))
    made.issue("server", san="DNS:localhost")
    made.issue("old", validity=PAST)
    return made


def tls(authority: Authority, **more) -> Tls:
    return Tls(**node_tables(authority, **more)["tls"])


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(Tls()) is None


def test_only_suites_of_bcp_195_and_tls_1_2_or_later_are_offered(authority: Authority) -> None:
    context = tls_context(tls(authority))
    assert {cipher["name"] for cipher in context.get_ciphers()} == BCP_195
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(("required", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_OPTIONAL)])
def test_a_certificate_that_is_shown_is_always_looked_at(authority: Authority, required: bool, mode) -> None:
    assert tls_context(tls(authority, require_client_cert=required)).verify_mode == mode


def test_tls_without_a_ca_cannot_check_clients_and_says_so(authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"tls\.ca: needed"):
        tls_context(tls(authority, ca=""))


def test_every_missing_file_is_named(authority: Authority) -> None:
    with pytest.raises(ConfigError) as raised:
        tls_context(tls(authority, cert="/no.crt", key="/no.key", ca="/no.ca", crl="/no.crl"))
    assert raised.value.mistakes == [
        f"tls.{key}: /no.{name} cannot be read"
        for key, name in (("cert", "crt"), ("key", "key"), ("ca", "ca"), ("crl", "crl"))
    ]


def test_files_that_are_no_certificates_are_named_together(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing")
    x = str(tmp_path / "x")
    with pytest.raises(ConfigError) as raised:
        tls_context(tls(authority, key=x, ca=x, crl=x))
    told = "\n".join(raised.value.mistakes)
    assert len(raised.value.mistakes) >= 3
    assert all(words in told for words in ("do not make a pair", f"tls.ca: {x}", f"tls.crl: {x}"))


def test_a_certificate_is_no_revocation_list(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="holds no certificate revocation list"):
        tls_context(tls(authority, crl=authority.certificate))


def test_the_end_of_a_certificate_is_read_from_it(authority: Authority) -> None:
    assert not_after(authority.folder / "old.crt") == datetime(2021, 1, 1, tzinfo=UTC)
    left = not_after(authority.folder / "server.crt") - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < left <= timedelta(days=2)


def test_the_end_of_a_certificate_after_2049_is_read_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("later", validity=("-not_before", "20240101000000Z", "-not_after", "20610203040506Z"))
    assert not_after(tmp_path / "later.crt") == datetime(2061, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_is_a_mistake(content: str, tmp_path: Path) -> None:
    (tmp_path / "c").write_text(content)
    with pytest.raises(ConfigError, match=r"tls\.cert: .* holds no certificate"):
        not_after(tmp_path / "c")


def test_the_end_is_told_thirty_days_before_it_and_once_a_day() -> None:
    end = datetime(2026, 6, 30, tzinfo=UTC)
    expiry = Expiry(end)
    assert expiry.warning(end - timedelta(days=31)) is None
    assert "in 30 days" in expiry.warning(end - timedelta(days=30))
    assert expiry.warning(end - timedelta(days=29, hours=1)) is None
    assert "in 28 days" in expiry.warning(end - timedelta(days=28, hours=23, minutes=59))
    assert "ended on 2026-06-30; senders refuse it" in expiry.warning(end + timedelta(days=1))


SUBJECT = ((("countryName", "DE"),), (("commonName", "ct1"),))


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (None, ()),
        ({}, ()),
        ({"subject": SUBJECT}, ("ct1",)),
        ({"subject": SUBJECT, "subjectAltName": (("email", "a@b"),)}, ("ct1",)),
        (
            {"subject": SUBJECT, "subjectAltName": (("DNS", "a.org"), ("IP Address", "10.0.0.1"))},
            ("a.org", "10.0.0.1"),
        ),
    ],
)
def test_the_common_name_counts_only_where_no_alternative_name_is_given(certificate, names) -> None:
    assert certificate_names(certificate) == names
