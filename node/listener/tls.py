"""TLS of the port: versions and suites of BCP 195, whom to trust, and what a certificate says.

The profile is "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile" of PS3.15
B.12: TLS 1.2 and 1.3, and of TLS 1.2 the four suites that RFC 9325 4.2 recommends. No session
tickets are given out, and a new context knows no session of an old one: once a reload brings
a revocation, nobody gets past it by resuming.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from node.config import Tls
from node.errors import ConfigError

CIPHERS = "ECDHE+AESGCM"  # RFC 9325 4.2, for TLS 1.2; 1.3 has its own. No DHE: RFC 9325 4.1
WARN_BEFORE = timedelta(days=30)  # of the end of our certificate: time to order a new one
WARN_EVERY = timedelta(days=1)
UTC_TIME, VERSION = 0x17, 0xA0  # tags of X.690
VALIDITY_AT = 3  # of a TBSCertificate after its version: serial number, algorithm, issuer, validity
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """Return the TLS context of the port; None when TLS is not enabled.

    A client without a certificate that `ca` vouches for, or with one that `crl` revokes, is
    refused in the handshake. With `require_client_cert = false` a client may show none; one
    that it shows is looked at all the same.

    Raises:
        ConfigError: with every file that is missing or is not what it should be.
    """
    if not tls.enabled:
        return None
    mistakes = list(_unreadable(tls))
    if tls.require_client_cert and not tls.ca:
        mistakes.append("tls.ca: needed to check client certificates; or set require_client_cert = false")
    if tls.crl and not tls.ca:
        mistakes.append("tls.crl: says which certificates of `ca` are revoked, and there is no `ca`")
    if mistakes:
        raise ConfigError(mistakes)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _load(context, tls)
    if tls.ca:
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_cert else ssl.CERT_OPTIONAL
    return context


def certificate_names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """Return whom a verified certificate is of: the DNS names and addresses of its subjectAltName.

    A certificate without any is of its common name: RFC 6125 6.4.4, and what many modalities have.
    `certificate` is as `ssl.SSLSocket.getpeercert` returns it.
    """
    if not certificate:
        return ()
    kinds = ("DNS", "IP Address")
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in kinds]
    if not names:
        parts = (part for group in certificate.get("subject", ()) for part in group)
        names = [value for key, value in parts if key == "commonName"]
    return tuple(dict.fromkeys(names))


def not_after(pem_file: Path) -> datetime:
    """Return when the first certificate of a PEM file ends to be valid.

    Raises:
        ConfigError: it cannot be read, or holds no certificate.
    """
    try:
        (first, *_) = PEM.findall(pem_file.read_text(encoding="ascii", errors="replace"))
        return _not_after(ssl.PEM_cert_to_DER_cert(first))
    except (OSError, ValueError, IndexError, StopIteration) as error:
        raise ConfigError([f"tls.cert: {pem_file} holds no certificate that can be read: {error}"]) from error


class Expiry:
    """Knows when our certificate ends, and says so in good time, once a day."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._told_at: datetime | None = None

    def warning(self, now: datetime) -> str | None:
        """Return what to log now; None when the end is far away or was told within a day."""
        if self.at - now > WARN_BEFORE or (
            self._told_at is not None and timedelta(0) <= now - self._told_at < WARN_EVERY
        ):
            return None
        self._told_at = now
        if self.at <= now:
            return f"tls.cert ended on {self.at:%Y-%m-%d}; senders refuse it. Renew it, then reload"
        return f"tls.cert ends on {self.at:%Y-%m-%d}, in {(self.at - now).days} days; renew it, then reload"


def _unreadable(tls: Tls) -> Iterator[str]:
    for key, path in (("cert", tls.cert), ("key", tls.key), ("ca", tls.ca), ("crl", tls.crl)):
        if path and not os.access(path, os.R_OK):
            yield f"tls.{key}: {path} cannot be read"


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    mistakes = []
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        mistakes.append(f"tls: {tls.cert} and {tls.key} do not make a pair: {error}")
    for key, path in (("ca", tls.ca), ("crl", tls.crl)):
        if not path:
            continue
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            mistakes.append(f"tls.{key}: {path} cannot be used: {error}")
    if tls.crl:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        if not context.cert_store_stats()["crl"]:
            mistakes.append(f"tls.crl: {tls.crl} holds no certificate revocation list")
    if mistakes:
        raise ConfigError(mistakes)


def _not_after(der: bytes) -> datetime:
    """Read the end of validity. Source: RFC 5280 4.1, for the encoding X.690."""
    certificate = next(_elements(der))[1]
    fields = list(_elements(next(_elements(certificate))[1]))
    start = 1 if fields[0][0] == VERSION else 0
    validity = fields[start + VALIDITY_AT][1]
    tag, value = list(_elements(validity))[1]
    text = value.decode("ascii")
    if tag == UTC_TIME:  # RFC 5280 4.1.2.5.1: years 1950 to 2049
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element that stands side by side in `der`."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(der[at : at + count], "big")
            at += count
        yield tag, der[at : at + length]
        at += length
