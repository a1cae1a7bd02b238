"""What the headers of a CT volume say of its contrast phase, each statement with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.model import Frame, SiblingSeries, Volume
from handlers.triage import header, phase_fusion, phase_lexicon
from handlers.triage.phase_fusion import Evidence
from handlers.triage.tables import table
from handlers.triage.words import first, phrases, words

SERIES_TEXTS = ("SeriesDescription", "ImageComments", "AcquisitionProtocolName", "ProtocolName")
STUDY_TEXTS = ("StudyDescription", "RequestedProcedureDescription")
TIME_FORMATS = ("%H%M%S", "%H%M", "%H")
MIDNIGHT_S = 86400.0


@dataclass(frozen=True, slots=True)
class Agent:
    """What is recorded of the contrast agent: `value` as written, and what it means."""

    value: str
    routes: tuple[str, ...]
    is_none: bool
    is_intravenous: bool
    is_elsewhere: bool


@dataclass(frozen=True, slots=True)
class Injection:
    """The time between start of injection and acquisition, or why it is not usable."""

    delay_s: float | None = None
    objection: str = ""


def text_evidence(frame: Frame) -> list[Evidence]:
    """Return what descriptions and comments say; text about the study never says "without contrast"."""
    found = []
    for keyword in (*SERIES_TEXTS, *STUDY_TEXTS):
        found += _from_text(keyword, header.text(frame, keyword))
    for item in header.items(frame, "SeriesDescriptionCodeSequence"):
        found += _from_text("SeriesDescriptionCodeSequence", header.text(item, "CodeMeaning"))
    return found


def agent(frame: Frame) -> Agent:
    """Read agent and route. Source: PS3.3 C.7.6.4 (0018,0010), (0018,1040), (0018,0014)."""
    settings = table("phases")["contrast"]
    value = header.text(frame, "ContrastBolusAgent")
    items = header.items(frame, "ContrastBolusAdministrationRouteSequence")
    routes = (header.text(frame, "ContrastBolusRoute"), *(header.text(item, "CodeMeaning") for item in items))
    routes = tuple(route for route in routes if route)
    told = " ".join((value, *routes))
    return Agent(
        value,
        routes,
        is_none=bool(value) and bool(phrases(*settings["none_values"]).match(words(value))),
        is_intravenous=bool(first(told, settings["intravenous"])),
        is_elsewhere=bool(first(told, settings["elsewhere"])),
    )


def agent_evidence(frame: Frame, given: Agent) -> list[Evidence]:
    """Return what the agent says: contrast of open phase when given into a vein or nowhere stated."""
    weight = table("phases")["weight"]
    if given.is_none:
        return [_named("ContrastBolusAgent", given.value, ("NC",), weight["agent_none"])]
    if given.value and given.is_elsewhere and not given.is_intravenous:
        return []
    if given.value:
        return [_named("ContrastBolusAgent", given.value, ("CE",), weight["agent"])]
    if not header.items(frame, "ContrastBolusAgentSequence"):
        return [_named("ContrastBolusAgent", "", ("NC",), weight["no_agent"])]
    return []


def usage_evidence(frame: Frame) -> list[Evidence]:
    """Return what enhanced CT says per frame. Source: PS3.3 C.7.6.16.2.12 (Contrast/Bolus Usage)."""
    weight, phases = table("phases")["weight"]["usage"], table("phases")["usage_phase"]
    found = []
    for item in header.items(frame, "ContrastBolusUsageSequence"):
        phase = header.text(item, "ContrastBolusAgentPhase").upper()
        administered = header.text(item, "ContrastBolusAgentAdministered").upper()
        if phase in phases:
            found.append(_named("ContrastBolusAgentPhase", phase, (phases[phase],), weight))
        elif administered in ("YES", "NO"):
            supports = ("CE",) if administered == "YES" else ("NC",)
            found.append(_named("ContrastBolusAgentAdministered", administered, supports, weight))
    return found


def injection(volume: Volume) -> Injection:
    """Return the time from the start of injection to the first slice.

    The start is a time of day without a date, so that it may lie before midnight. A start that
    equals the time of the study or series was filled in by a protocol.
    """
    frame = volume.frames[0]
    start = _time_of_day(header.text(frame, "ContrastBolusStartTime"))
    times = [time for each in volume.instances if (time := acquisition_time(Frame(each))) is not None]
    if start is None or not times:
        return Injection()
    if start in (
        _time_of_day(header.text(frame, "SeriesTime")),
        _time_of_day(header.text(frame, "StudyTime")),
    ):
        return Injection(objection="it merely repeats the time of the series or study")
    acquired = min(times)
    delay = (acquired.hour * 60 + acquired.minute) * 60 + acquired.second + acquired.microsecond / 1e6 - start
    delay = (delay + MIDNIGHT_S / 2) % MIDNIGHT_S - MIDNIGHT_S / 2
    low, high = table("phases")["delay"]["plausible"]
    if not low <= delay <= high:
        return Injection(objection=f"it would be {delay:.0f} s before the acquisition")
    return Injection(delay)


def delay_evidence(found: Injection) -> list[Evidence]:
    """Return what the time after injection says."""
    return (
        []
        if found.delay_s is None
        else _from_delay("ContrastBolusStartTime", f"{found.delay_s:.0f} s", found.delay_s)
    )


def bolus_tracking_before(frame: Frame, study: tuple[SiblingSeries, ...]) -> list[Evidence]:
    """Return contrast of open phase when a bolus-tracking series came earlier in the study."""
    own = acquisition_time(frame)
    words_of_it = table("phases")["bolus_tracking"]["words"]
    for sibling in study:
        description = str(sibling.facts.get("SeriesDescription") or "")
        other = sibling_time(sibling)
        if own is not None and other is not None and other < own and first(description, words_of_it):
            return [
                _named(
                    "earlier bolus tracking",
                    description,
                    ("CE",),
                    table("phases")["weight"]["bolus_tracking"],
                )
            ]
    return []


def acquisition_time(frame: Frame) -> datetime | None:
    """Return AcquisitionDateTime, else AcquisitionDate and AcquisitionTime; series times never."""
    return _moment(
        header.text(frame, "AcquisitionDateTime") or header.text(frame, "FrameAcquisitionDateTime"),
        header.text(frame, "AcquisitionDate"),
        header.text(frame, "AcquisitionTime"),
    )


def sibling_time(sibling: SiblingSeries) -> datetime | None:
    """Return the acquisition time of another series of the study."""
    facts = {
        key: str(sibling.facts.get(key) or "")
        for key in ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime")
    }
    return _moment(facts["AcquisitionDateTime"], facts["AcquisitionDate"], facts["AcquisitionTime"])


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


def _moment(stated: str, date: str, time: str) -> datetime | None:
    plain = stated.partition("+")[0].partition("-")[0] if stated else date + time
    whole, _, fraction = plain.partition(".")
    for pattern in ("%Y%m%d" + each for each in TIME_FORMATS):
        try:
            moment = datetime.strptime(whole, pattern)  # noqa: DTZ007 - DICOM times are local to the scanner
        except ValueError:
            continue
        return moment + timedelta(microseconds=int(f"{fraction:0<6}"[:6])) if fraction.isdigit() else moment
    return None


def _time_of_day(stated: str) -> float | None:
    """Return a TM value in seconds after midnight."""
    moment = _moment("", "19000101", stated) if stated else None
    return None if moment is None else (moment - datetime(1900, 1, 1)).total_seconds()  # noqa: DTZ001 - as above
