"""Delivery to a DICOM node by C-STORE: received objects byte for byte, and derived DICOM objects.

Each object is proposed in the transfer syntax that it has; nothing is converted. What the
peer took is told one by one, so that a later attempt sends the rest only. A7xx ends the
attempt, to be tried again; any other failure is that object's own, and the others follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from node.config import Destination
from node.errors import DeliveryError
from node.forwarding.association import Association, Target, batches
from node.forwarding.negotiation import Context
from node.forwarding.package import Deadline, Item, Package, Sent
from node.forwarding.sendable import Sendable, sendable

ANSWER_S = 30.0  # the longest wait for one answer, or for the peer to take one PDU
CONNECT_S = 10.0
TOLD = 3  # refused objects that an error message names


@dataclass(slots=True)
class _Refused:
    """Objects that this peer will not take, with the reason; the attempt goes on without them."""

    reasons: dict[str, str] = field(default_factory=dict)

    def raise_if_any(self, target: Target, total: int) -> None:
        if not self.reasons:
            return
        some = "; ".join(f"{name}: {reason}" for name, reason in list(self.reasons.items())[:TOLD])
        more = f" and {len(self.reasons) - TOLD} more" if len(self.reasons) > TOLD else ""
        raise DeliveryError(
            f"{target} did not take {len(self.reasons)} of {total} objects: {some}{more}", retryable=False
        )


def takes(item: Item) -> bool:
    """Say whether a file can go to a DICOM node at all."""
    return item.is_dicom


def send(
    destination: Destination, package: Package, already: frozenset[str], deadline: Deadline
) -> Iterator[Sent]:
    """Send the objects of a package that the peer has not taken yet, and yield each that it takes.

    Raises:
        DeliveryError: no association, no answer in time, or out of resources (retryable); or, when
            all others have been sent, some objects were refused (final).
    """
    target = Target(
        host=destination.host,
        port=destination.port,
        called_aet=destination.called_aet or "",
        calling_aet=destination.calling_aet or "",
        timeout_s=min(ANSWER_S, destination.timeout_s),
        connect_timeout_s=min(CONNECT_S, destination.timeout_s),
    )
    refused = _Refused()
    waiting = _waiting([item for item in package.items if item.name not in already], refused)
    for contexts in batches([one.context for _, one in waiting]):
        chosen = frozenset(contexts)
        with Association(target, contexts) as association:
            batch = [(item, one) for item, one in waiting if one.context in chosen]
            yield from _send_batch(association, batch, deadline, refused)
    refused.raise_if_any(target, len(package.items))


def _waiting(items: list[Item], refused: _Refused) -> list[tuple[Item, Sendable]]:
    """Look at every file that is to be sent: a context has to be proposed for each."""
    found: list[tuple[Item, Sendable]] = []
    for item in items:
        try:
            one = sendable(item.path)
        except FileNotFoundError:
            refused.reasons[item.name] = "is no longer on this node"
            continue
        except OSError as error:
            raise DeliveryError(f"{item.name} cannot be read on this node: {error.strerror}") from error
        if one is None:
            refused.reasons[item.name] = "is not a DICOM object that can be sent"
        else:
            found.append((item, one))
    return found


def _send_batch(
    association: Association, batch: list[tuple[Item, Sendable]], deadline: Deadline, refused: _Refused
) -> Iterator[Sent]:
    target = association.target
    for item, one in batch:
        deadline.check()
        if not association.accepts(one.context):
            refused.reasons[item.name] = _advice(one.context, association.why_not(one.context))
            continue
        answer = association.store(one, progress=lambda _: deadline.check())
        if answer.is_temporary:
            raise DeliveryError(f"{target} is out of resources: {answer}")
        if not answer.is_success:
            refused.reasons[item.name] = f"answered {answer}"
            continue
        yield Sent(item.name, remark=f"answered {answer}" if answer.status else "")


def _advice(context: Context, reason: str) -> str:
    sop_class, transfer_syntax = context
    return (
        f"{reason} (SOP class {sop_class}, transfer syntax {transfer_syntax}); configure the peer to "
        "accept it: objects are sent as they are, never converted"
    )
