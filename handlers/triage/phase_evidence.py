"""What the headers of a CT volume say of its contrast phase, each statement with its weight."""

from __future__ import annotations

from handlers.model import Frame, SiblingSeries, Volume
from handlers.tables import table
from handlers.triage import header, phase_fusion, phase_lexicon, phase_times
from handlers.triage.agent_record import Agent
from handlers.triage.phase_fusion import Evidence
from handlers.triage.phase_times import Injection
from handlers.triage.words import first

SERIES_TEXTS = ("SeriesDescription", "ImageComments", "AcquisitionProtocolName", "ProtocolName")
STUDY_TEXTS = ("StudyDescription", "RequestedProcedureDescription")


def text_evidence(frame: Frame) -> list[Evidence]:
    """Return what descriptions and comments say; text about the study never says "without contrast"."""
    found = []
    for keyword in (*SERIES_TEXTS, *STUDY_TEXTS):
        found += _from_text(keyword, header.text(frame, keyword))
    for item in header.items(frame, "SeriesDescriptionCodeSequence"):
        found += _from_text("SeriesDescriptionCodeSequence", header.text(item, "CodeMeaning"))
    return found


def agent_evidence(frame: Frame, given: Agent) -> list[Evidence]:
    """Return what the agent says: contrast of open phase when given into a vein or nowhere stated.

    An amount counts only where no agent is named: both come from one entry. What was requested counts little,
    and never says "without contrast".
    """
    weight = table("phases")["weight"]
    if given.is_none:
        found = [_named(given.source, given.value, ("NC",), weight["agent_none"])]
    elif given.value:
        found = [_named(given.source, given.value, ("CE",), weight["agent"])] if given.is_given else []
    elif given.amount and (given.is_intravenous or not given.is_elsewhere):
        keyword, value = given.amount
        found = [_named(keyword, f"{value:g}", ("CE",), weight["dose"])]
    elif given.routes or header.items(frame, "ContrastBolusAgentSequence"):
        found = []
    else:
        found = [_named("ContrastBolusAgent", "", ("NC",), weight["no_agent"])]
    requested = header.text(frame, "RequestedContrastAgent")
    if requested and not phase_lexicon.says_none(requested) and not given.is_none and not given.is_elsewhere:
        found.append(_named("RequestedContrastAgent", requested, ("CE",), weight["RequestedContrastAgent"]))
    return found


def usage_evidence(frame: Frame) -> list[Evidence]:
    """Return what enhanced CT says per frame: the phase, else whether contrast is seen, or was given.

    Given but not seen says nothing: it may not have arrived yet. Source: PS3.3 C.7.6.16.2.12.
    """
    weight, phases = table("phases")["weight"]["usage"], table("phases")["usage_phase"]
    found = []
    for item in header.items(frame, "ContrastBolusUsageSequence"):
        phase = header.text(item, "ContrastBolusAgentPhase").upper()
        administered = header.text(item, "ContrastBolusAgentAdministered").upper()
        detected = header.text(item, "ContrastBolusAgentDetected").upper()
        if phase in phases:
            found.append(_named("ContrastBolusAgentPhase", phase, (phases[phase],), weight))
        elif detected == "YES":
            found.append(_named("ContrastBolusAgentDetected", detected, ("CE",), weight))
        elif administered == "YES" and detected != "NO":
            found.append(_named("ContrastBolusAgentAdministered", administered, ("CE",), weight))
        elif administered == "NO":
            found.append(_named("ContrastBolusAgentAdministered", administered, ("NC",), weight))
    return found


def delay_evidence(found: Injection) -> list[Evidence]:
    """Return what the time after injection says."""
    return (
        []
        if found.delay_s is None
        else _from_delay("ContrastBolusStartTime", f"{found.delay_s:.0f} s", found.delay_s)
    )


def bolus_tracking_before(volume: Volume, study: tuple[SiblingSeries, ...]) -> list[Evidence]:
    """Return contrast of open phase when a bolus-tracking series came earlier in the study."""
    own = phase_times.volume_time(volume)
    for sibling in study:
        other = phase_times.sibling_time(sibling)
        sign = tracking_sign(sibling)
        if own is not None and other is not None and other < own and sign:
            weight = table("phases")["weight"]["bolus_tracking"]
            return [_named("earlier bolus tracking", sign, ("CE",), weight)]
    return []


def tracking_sign(sibling: SiblingSeries) -> str:
    """Return what marks another series as bolus tracking: description, agent or image type; "" for none."""
    listed = table("phases")["bolus_tracking"]["words"]
    for keyword in ("SeriesDescription", "ContrastBolusAgent"):
        value = str(sibling.facts.get(keyword) or "")
        if first(value, listed):
            return value
    types = sibling.facts.get("ImageType")
    stated = [str(each).upper() for each in types] if isinstance(types, list | tuple) else []
    return next((each for each in stated if each.endswith((" MON", " PREMON"))), "")


def sibling_evidence(sibling: SiblingSeries) -> list[Evidence]:
    """Return what another series of the study says of its own phase: description, and time after injection.

    Its agent is not asked: that of a study is often copied to all its series.
    """
    found = _from_text("SeriesDescription", str(sibling.facts.get("SeriesDescription") or ""))
    return found + delay_evidence(phase_times.sibling_injection(sibling))


def _from_text(source: str, text: str) -> list[Evidence]:
    reading, weight = phase_lexicon.read(text), table("phases")["weight"]
    named = tuple(each for each in reading.phases if each != "VNC")
    is_study = source in STUDY_TEXTS
    found = []
    if named and not reading.is_mixed and not (is_study and "NC" in named):
        factor = weight["protocol"] if reading.is_protocol else 1.0
        found.append(_named(source, text, named, factor * weight[source]))
    if reading.delay_s is not None and not is_study:
        found += _from_delay(source, text, reading.delay_s)
    return found


def _from_delay(source: str, raw: str, delay_s: float) -> list[Evidence]:
    likelihood = phase_fusion.likelihood_of_delay(delay_s)
    supports = phase_fusion.supported_by(likelihood)
    return (
        [Evidence(source, raw, supports, table("phases")["weight"]["delay"], likelihood)] if supports else []
    )


def _named(source: str, raw: str, supports: tuple[str, ...], weight: float) -> Evidence:
    return Evidence(source, raw, supports, weight, phase_fusion.likelihood_of(supports))
