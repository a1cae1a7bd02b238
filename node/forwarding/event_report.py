"""Tell a requestor of storage commitment the result, on a new association that this node opens.

The roles are the reverse of the usual ones: who opens this association is the SCP, and says
so by SCP/SCU Role Selection. Source: PS3.4 J.3.3, PS3.7 D.3.3.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from node.commitment.dataset import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    event_type,
    write_report,
)
from node.commitment.exchange import Result
from node.errors import DeliveryError
from node.forwarding.association import Association, Target
from node.forwarding.negotiation import Context, Role

CONTEXT: Context = (PUSH_MODEL, IMPLICIT_VR_LITTLE_ENDIAN)  # which everybody has to take, PS3.5 10.1
AS_SCP: dict[str, Role] = {PUSH_MODEL: (False, True)}


def report(target: Target, results: Iterable[Result]) -> Iterator[str]:
    """Send each result and yield "" when the requestor took it, or else what it answered.

    Raises:
        DeliveryError: no association, not in this role, or no answer in time; what was not
            yielded may not have arrived.
    """
    with Association(target, [CONTEXT], AS_SCP) as association:
        if not association.accepts(CONTEXT):
            why = association.why_not(CONTEXT)
            raise DeliveryError(f"{target} takes no storage commitment reports: {why}")
        for result in results:
            data = write_report(result.request, result.outcomes, transfer_syntax_uid=CONTEXT[1])
            event = event_type(result.outcomes)
            answer = association.event_report(CONTEXT, PUSH_MODEL_INSTANCE, event, data)
            yield "" if answer.status == 0 else f"{target} answered {answer}"
