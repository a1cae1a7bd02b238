"""Who may associate: AE titles, networks, certificates and limits; a refusal is told in plain words."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from node.config import Listener, Peer

MIN_PEER_PDU = 128  # a peer that takes less would need a PDU for every few bytes of an answer
HOST_PREFIX_V6 = 64  # whoever has one IPv6 address has the 2^64 beside it (RFC 4291 2.5.1)

Reason = Literal[
    "stopping",
    "called_title",
    "pdu",
    "calling_title",
    "address",
    "certificate",
    "peer_limit",
    "limit",
    "user",
]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Caller:
    """What an association request says, and where it comes from.

    `certificate_names` are those of the certificate that TLS has verified: none without one.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    max_pdu: int = 0
    certificate_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ: result, source and diagnostic of PS3.8 table 9-21, and why.

    `kind` is what refusals are counted by, `reason` says it in plain words.
    """

    result: int
    source: int
    diagnostic: int
    kind: Reason
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

        `established` is the number of open associations by `account_of` their callers.
        """
        calling, called = caller.calling_ae_title.strip(), caller.called_ae_title.strip()
        if is_draining:
            return Refusal(2, 3, 1, "stopping", f"{calling} called while the node was stopping")
        if not self._is_our_title(called):
            return Refusal(1, 1, 7, "called_title", f"{calling} called us {called!r}; {self._our_titles()}")
        if 0 < caller.max_pdu < MIN_PEER_PDU:
            reason = f"{calling} takes PDUs of {caller.max_pdu} bytes at most, too short to use"
            return Refusal(1, 1, 1, "pdu", reason)
        peer = self._recognize(caller)
        if isinstance(peer, Refusal):
            return peer
        return self._over_limit(caller, peer, established)

    def peer_of(self, caller: Caller) -> Peer | None:
        """Return the configured peer that an accepted caller is; None where none are listed."""
        peer = self._recognize(caller)
        return None if isinstance(peer, Refusal) else peer

    def account_of(self, caller: Caller) -> str:
        """Return the name under which the associations of a caller are counted.

        It is the calling AE title; of two peers with one title, in different networks or
        with different certificates, each has its own.
        """
        peer = self.peer_of(caller)
        return account(peer) if peer is not None else caller.calling_ae_title.strip()

    def _is_our_title(self, called: str) -> bool:
        if not self.listener.require_called_aet and not self.listener.called_aets:
            return True
        return called in (title.strip() for title in (self.ae_title, *self.listener.called_aets))

    def _our_titles(self) -> str:
        titles = dict.fromkeys((self.ae_title, *self.listener.called_aets))
        return f"our title{' is' if len(titles) == 1 else 's are'} {', '.join(map(repr, titles))}"

    def _recognize(self, caller: Caller) -> Peer | Refusal | None:
        """Return the peer that the caller is, None where none are listed, or why it is none of them."""
        if not self.listener.peer:
            return None
        calling = caller.calling_ae_title.strip()
        known = [peer for peer in self.listener.peer if peer.calling_aet.strip() == calling]
        if not known:
            reason = (
                f"{calling!r} at {plain_address(caller.address)} is not among the configured peers; "
                "add a [[listener.peer]]"
            )
            return Refusal(1, 1, 3, "calling_title", reason)
        near = [peer for peer in known if _is_among(caller.address, peer)]
        if not near:
            return Refusal(1, 1, 3, "address", _from_elsewhere(calling, caller.address, known))
        bound = [peer for peer in near if _is_certified(caller, peer)]
        return bound[0] if bound else Refusal(1, 1, 3, "certificate", _uncertified(caller, near))

    def _over_limit(
        self, caller: Caller, peer: Peer | None, established: Mapping[str, int]
    ) -> Refusal | None:
        calling, total = caller.calling_ae_title.strip(), sum(established.values())
        if peer is not None and peer.max_associations is not None:
            own = established.get(account(peer), 0)
            if own >= peer.max_associations:
                reason = f"{calling} has {own} associations open, its max_associations"
                return Refusal(2, 3, 2, "peer_limit", reason)
        if total >= self.listener.max_associations:
            reason = f"{total} associations are open, max_associations; {calling} was refused"
            return Refusal(2, 3, 2, "limit", reason)
        return None


def account(peer: Peer) -> str:
    """Return what tells a peer from others with its title: where it calls from, and its certificate."""
    marks = (*map(str, peer.hosts), *peer.certificate_names)
    title = peer.calling_aet.strip()
    return f"{title} ({', '.join(marks)})" if marks else title


def plain_address(address: str) -> str:
    """Return an address as people write it: one of IPv4 that came within IPv6 as IPv4."""
    found = _address(address)
    return str(found) if isinstance(found, ipaddress.IPv4Address) else address


@lru_cache(maxsize=4096)  # asked for every open connection whenever one is accepted
def host_of(address: str) -> str:
    """Return what counts as one host: an IPv4 address, or the IPv6 network that one machine may fill."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found), HOST_PREFIX_V6), strict=False))
    return str(found)


def _address(text: str) -> IPAddress:
    found = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _is_among(address: str, peer: Peer) -> bool:
    """Say whether an address is in a network of the peer; a peer without `hosts` may call from anywhere.

    Networks may be written as IPv4, as IPv6, and as IPv4 within IPv6 (::ffff:10.0.0.0/104).
    """
    found = _address(address)
    forms = [found]
    if isinstance(found, ipaddress.IPv4Address):
        forms.append(ipaddress.IPv6Address(f"::ffff:{found}"))
    return not peer.hosts or any(form in network for network in peer.hosts for form in forms)


def _is_certified(caller: Caller, peer: Peer) -> bool:
    """Say whether the certificate bears a name of the peer; a wildcard is a name like any other."""
    shown = {name.casefold() for name in caller.certificate_names}
    return not peer.certificate_names or any(name.casefold() in shown for name in peer.certificate_names)


def _from_elsewhere(calling: str, address: str, known: list[Peer]) -> str:
    hosts = ", ".join(str(network) for peer in known for network in peer.hosts)
    return f"{calling} called from {plain_address(address)}, which is not among its hosts ({hosts})"


def _uncertified(caller: Caller, near: list[Peer]) -> str:
    shown = ", ".join(map(repr, caller.certificate_names))
    wanted = ", ".join(repr(name) for peer in near for name in peer.certificate_names)
    return (
        f"{caller.calling_ae_title.strip()} at {plain_address(caller.address)} showed "
        f"{f'a certificate of {shown}' if shown else 'no certificate'}; its certificate_names are {wanted}"
    )
