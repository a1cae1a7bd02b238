"""Ask for an association and read the answer: A-ASSOCIATE-RQ, -AC and -RJ as bytes.

Source: PS3.8 section 9.3 and PS3.7 annex D.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.errors import DeliveryError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

Context = tuple[str, str]  # SOP class UID, transfer syntax UID
Role = tuple[bool, bool]  # SCU, SCP: what the requestor of the association is for a SOP class

MAX_CONTEXTS = 128  # odd identifiers 1 to 255, PS3.8 9.3.2.2
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
MAX_PDU_IN = 65536  # answers are small
MAX_PDU_OUT = 131072  # what is sent at a time to a peer that sets no limit
MIN_PDU_OUT = 128  # a peer that takes less would need a PDU for every few bytes

REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "our calling AE title is not known there",
    (1, 7): "the called AE title is not its own",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "its limit of associations is reached",
}  # (source, diagnostic), PS3.8 table 9-21
CONTEXT_RESULTS = {
    1: "refused by the user",
    2: "refused without a reason",
    3: "SOP class not supported",
    4: "transfer syntax not supported",
}  # PS3.8 table 9-18


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a peer accepted: context identifiers, why others were refused, and the longest PDU it takes."""

    accepted: Mapping[Context, int]
    refused: Mapping[Context, str]
    max_pdu: int


def request(
    called_aet: str, calling_aet: str, contexts: Sequence[Context], roles: Mapping[str, Role] | None = None
) -> bytes:
    """Return the A-ASSOCIATE-RQ that proposes each (SOP class, transfer syntax) in a context of its own.

    `roles` are proposed by SCP/SCU Role Selection (PS3.7 D.3.3.4); without it we are the SCU.
    """
    if not 0 < len(contexts) <= MAX_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts: 1 to {MAX_CONTEXTS} fit one association")
    proposals = b"".join(
        _item(0x20, bytes((2 * index + 1, 0, 0, 0)) + _item(0x30, sop.encode()) + _item(0x40, ts.encode()))
        for index, (sop, ts) in enumerate(contexts)
    )
    user = (
        _item(0x51, struct.pack(">I", MAX_PDU_IN))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + b"".join(_role(sop, role) for sop, role in (roles or {}).items())
        + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    )
    body = struct.pack(">HH16s16s32x", 1, 0, _title(called_aet), _title(calling_aet))
    body += _item(0x10, APPLICATION_CONTEXT) + proposals + _item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def agreement(body: bytes, contexts: Sequence[Context], roles: Mapping[str, Role] | None = None) -> Agreement:
    """Read the variable part of an A-ASSOCIATE-AC.

    A context is refused, too, when the answer to its role takes from us the part of SCP that we
    asked for. An acceptor that does not answer leaves roles open, and many do so that take reports.

    Raises:
        DeliveryError: it is malformed, or takes PDUs too short to work with.
    """
    accepted: dict[Context, int] = {}
    refused = dict.fromkeys(contexts, "not answered")
    max_pdu = 0
    answered: dict[str, Role] = {}
    try:
        for kind, value in _items(body[68:]):
            if kind == 0x21:
                index, result = divmod(value[0], 2)[0], value[2]
                if result == 0:
                    accepted[contexts[index]] = value[0]
                    del refused[contexts[index]]
                else:
                    refused[contexts[index]] = CONTEXT_RESULTS.get(result, f"result {result}")
            elif kind == 0x50:
                lengths = [inner for sub, inner in _items(value) if sub == 0x51]
                max_pdu = struct.unpack(">I", lengths[0])[0] if lengths else 0
                answered = dict(_answered_role(inner) for sub, inner in _items(value) if sub == 0x54)
    except (IndexError, KeyError, struct.error) as error:
        raise DeliveryError("the peer answered the association request with a malformed PDU") from error
    for context in [each for each in accepted if (roles or {}).get(each[0], (True, False))[1]]:
        if not answered.get(context[0], (False, True))[1]:
            refused[context] = "the role of SCP refused"
            del accepted[context]
    if max_pdu and max_pdu < MIN_PDU_OUT:
        raise DeliveryError(f"the peer takes PDUs of {max_pdu} bytes at most, which is too short to use")
    return Agreement(accepted, refused, min(max_pdu or MAX_PDU_OUT, MAX_PDU_OUT))


def rejection(body: bytes) -> str:
    """Return in plain words why an A-ASSOCIATE-RJ refused."""
    if len(body) < 4:
        return "no reason given"
    result, source, diagnostic = body[1:4]
    reason = REJECTIONS.get((source, diagnostic), f"source {source}, diagnostic {diagnostic}")
    return f"{reason} ({'for now' if result == 2 else 'permanently'})"


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def _role(sop_class_uid: str, role: Role) -> bytes:
    uid = sop_class_uid.encode()
    return _item(0x54, struct.pack(">H", len(uid)) + uid + bytes(role))


def _answered_role(value: bytes) -> tuple[str, Role]:
    length = struct.unpack_from(">H", value)[0]
    scu, scp = value[2 + length], value[3 + length]
    return value[2 : 2 + length].decode("latin_1").rstrip(" \0"), (scu == 1, scp == 1)


def _title(ae_title: str) -> bytes:
    return ae_title.encode("ascii", "replace").ljust(16)
