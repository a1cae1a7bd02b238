"""Which presentation contexts are accepted: Verification, Storage Commitment, and what may be storage.

A class that is unknown here is accepted where it can only be storage: private ones, and
those under the root of the storage classes that the standard has not put to another use.
Every transfer syntax that has a name is accepted, retired ones too; nothing is decoded on receipt.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, sop_class
from pynetdicom.presentation import PresentationContext

from node.commitment.dataset import PUSH_MODEL, TRANSFER_SYNTAXES

VERIFICATION = "1.2.840.10008.1.1"
STANDARD_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
NAMED = frozenset(ALL_TRANSFER_SYNTAXES)  # those of today; retired ones are known by their type

CACHED = 1024  # proposals that are remembered: a sender repeats its own, and checking 128 costs 3 ms

# Stored, but of no patient and no series: there is nothing that this node could prepare.
NOT_IMAGING = frozenset(sop_class._NON_PATIENT_OBJECT_CLASSES.values())  # noqa: SLF001 - tested by contract
STORAGE = frozenset(sop_class._STORAGE_CLASSES.values()) - NOT_IMAGING  # noqa: SLF001 - tested by contract
NOT_STORAGE_SUFFIXES = ("- FIND", "- MOVE", "- GET", "Creation", "Query", "Instance")


def is_storage(abstract_syntax: str) -> bool:
    """Say whether objects of this class are accepted by C-STORE."""
    if abstract_syntax in STORAGE:
        return True
    if not abstract_syntax.startswith(STANDARD_ROOT):
        return True
    if not abstract_syntax.startswith(STORAGE_ROOT) or abstract_syntax in NOT_IMAGING:
        return False
    return not UID(abstract_syntax).name.endswith(NOT_STORAGE_SUFFIXES)


def is_transfer_syntax(uid: str) -> bool:
    """Say whether a UID names a transfer syntax of the standard, current or retired."""
    return uid in NAMED or (uid.startswith(STANDARD_ROOT) and UID(uid).type == "Transfer Syntax")


def supported(
    proposed: Iterable[PresentationContext], *, with_commitment: bool = False
) -> list[PresentationContext]:
    """Return what is accepted of the proposed contexts, the transfer syntaxes in the order of the requestor.

    Contexts of one class are merged, as an acceptor's contexts must be unique by class; the
    bytes are kept as they come, so the requestor's first choice is as good as any.
    """
    by_class: dict[str, dict[str, None]] = {}
    for context in proposed:
        abstract_syntax = str(context.abstract_syntax)
        is_commitment = with_commitment and abstract_syntax == PUSH_MODEL
        if abstract_syntax == VERIFICATION or is_commitment or is_storage(abstract_syntax):
            wanted = by_class.setdefault(abstract_syntax, {})
            wanted.update(dict.fromkeys(map(str, context.transfer_syntax)))
    contexts = (_context(abstract_syntax, tuple(uids)) for abstract_syntax, uids in by_class.items())
    return [context for context in contexts if context is not None]


@lru_cache(maxsize=CACHED)
def _context(abstract_syntax: str, proposed: tuple[str, ...]) -> PresentationContext | None:
    """Return the context that accepts of one class what can be accepted; it is shared, and only read."""
    is_commitment = abstract_syntax == PUSH_MODEL
    accepted = [
        uid for uid in proposed if (uid in TRANSFER_SYNTAXES if is_commitment else is_transfer_syntax(uid))
    ]
    if not accepted:
        return None
    context = PresentationContext()
    context.abstract_syntax = UID(abstract_syntax)
    context.transfer_syntax = [UID(uid) for uid in accepted]
    if is_commitment:  # who proposes to be SCP here wants to report to us, and we have asked for nothing
        context.scu_role, context.scp_role = True, False
    return context
