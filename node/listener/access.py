"""Who may associate: AE titles, networks and limits; and the TLS context of the port."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from node.config import Listener, Peer, Tls
from node.errors import ConfigError

MIN_PEER_PDU = 128  # a peer that takes less would need a PDU for every few bytes of an answer
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"  # BCP 195 (RFC 9325 4.2) for TLS 1.2; 1.3 has its own


@dataclass(frozen=True, slots=True)
class Caller:
    """What an association request says, and where it comes from."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    max_pdu: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ: result, source and diagnostic of PS3.8 table 9-21, and why in plain words."""

    result: int
    source: int
    diagnostic: int
    reason: str

    @property
    def code(self) -> tuple[int, int, int]:
        """Result, source, diagnostic."""
        return self.result, self.source, self.diagnostic


@dataclass(frozen=True, slots=True)
class Access:
    """Decides about association requests by the configuration."""

    ae_title: str
    listener: Listener

    def refuse(
        self, caller: Caller, established: Mapping[str, int], *, is_draining: bool = False
    ) -> Refusal | None:
        """Return why the request is refused, or None when it is accepted.

        `established` is the number of open associations by calling AE title.
        """
        calling, called = caller.calling_ae_title.strip(), caller.called_ae_title.strip()
        if is_draining:
            return Refusal(2, 3, 1, f"{calling} called while the node was stopping")
        if self.listener.require_called_aet and called != self.ae_title:
            return Refusal(1, 1, 7, f"{calling} called us {called!r}; our title is {self.ae_title!r}")
        if 0 < caller.max_pdu < MIN_PEER_PDU:
            return Refusal(
                1, 1, 1, f"{calling} takes PDUs of {caller.max_pdu} bytes at most, too short to use"
            )
        peer = None
        if self.listener.peer:
            known = [each for each in self.listener.peer if each.calling_aet.strip() == calling]
            peer = next((each for each in known if _is_among(caller.address, each)), None)
            if peer is None:
                return Refusal(1, 1, 3, _stranger(calling, caller.address, known))
        return self._over_limit(calling, peer, established)

    def _over_limit(self, calling: str, peer: Peer | None, established: Mapping[str, int]) -> Refusal | None:
        own, total = established.get(calling, 0), sum(established.values())
        if peer is not None and peer.max_associations is not None and own >= peer.max_associations:
            return Refusal(2, 3, 2, f"{calling} has {own} associations open, its max_associations")
        if total >= self.listener.max_associations:
            return Refusal(2, 3, 2, f"{total} associations are open, max_associations; {calling} was refused")
        return None


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """Return the TLS context of the port; None when TLS is not enabled.

    TLS 1.2 or later (PS3.15 B.12); a client without a certificate that `ca` vouches for is
    refused in the handshake, unless `require_client_cert` is false.

    Raises:
        ConfigError: a file is missing or is no certificate or key.
    """
    if not tls.enabled:
        return None
    if tls.require_client_cert and not tls.ca:
        raise ConfigError(["tls.ca: needed to check client certificates; or set require_client_cert = false"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            [f"tls: certificate {tls.cert} with key {tls.key} cannot be used: {error}"]
        ) from error
    if tls.ca:
        try:
            context.load_verify_locations(tls.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"tls.ca: {tls.ca} cannot be used: {error}"]) from error
    if tls.require_client_cert:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _is_among(address: str, peer: Peer) -> bool:
    """Say whether an address is in a network of the peer; a peer without `hosts` may call from anywhere."""
    if not peer.hosts:
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in peer.hosts)


def _stranger(calling: str, address: str, known: list[Peer]) -> str:
    if not known:
        return f"{calling!r} at {address} is not among the configured peers; add a [[listener.peer]]"
    hosts = ", ".join(str(network) for peer in known for network in peer.hosts)
    return f"{calling} called from {address}, which is not among its hosts ({hosts})"
