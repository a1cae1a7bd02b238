"""Whether a PET volume states what a standardized uptake value needs, and whether that can be true."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.uptake import NO_ACTIVITY, Uptake, doubts, uptake

TIMES = ("RadiopharmaceuticalStartTime", "scan time")
CLOCKS = ("SeriesTime", "AcquisitionTime", "StudyTime", "ContentTime")


@dataclass(frozen=True, slots=True)
class SuvInputs:
    """List what is missing for the uptake value `kind` ("none" asks for "bw"); no value is ever guessed.

    PET-001 missing, PET-002 there but hardly true, PET-003 times taken or changed by a de-identification.

    Source: QIBA FDG-PET/CT profile; PS3.3 C.8.9.1, C.8.9.2.
    """

    kind: str = "none"

    def __call__(self, series: Series) -> list[Finding]:
        """Look at every PET volume."""
        found = []
        for volume in measured(series, "PT"):
            made = uptake(volume.frames, "bw" if self.kind == "none" else self.kind)
            found += [*_missing(volume, made), *_doubtful(volume, made), *_removed(volume, made)]
        return found


def _missing(volume: Volume, made: Uptake) -> list[Finding]:
    if not made.missing:
        return []
    units = header.text(volume.frames[0], "Units").upper()
    message = f"no uptake value can be computed: {', '.join(made.missing)}"
    evidence = {"missing": list(made.missing), "Units": units, "suv": made.kind}
    return [volume_finding(volume, "PET-001", Severity.WARN, message, **evidence)]


def _doubtful(volume: Volume, made: Uptake) -> list[Finding]:
    if (
        NO_ACTIVITY in made.missing
    ):  # values of this unit never become an uptake value, whatever the times are
        return []
    series_type = (*header.texts(volume.frames[0], "SeriesType"), "")[0].upper()
    told = doubts(made, is_dynamic=series_type in ("DYNAMIC", "GATED"))
    if not told:
        return []
    evidence = {"doubts": told, **made.record, "table_version": table("pet")["version"]}
    message = f"an uptake value rests on what can hardly be: {', '.join(told)}"
    return [volume_finding(volume, "PET-002", Severity.REVIEW, message, **evidence)]


def _removed(volume: Volume, made: Uptake) -> list[Finding]:
    """Find times that a de-identification removed, set to midnight, or moved apart."""
    frame = volume.frames[0]
    is_deidentified = (
        header.text(frame, "PatientIdentityRemoved").upper() == "YES"
        or bool(header.text(frame, "DeidentificationMethod"))
        or bool(header.items(frame, "DeidentificationMethodCodeSequence"))
    )
    is_missing = any(each in made.missing for each in TIMES)
    is_apart = made.decay is not None and made.decay.seconds is not None and not made.decay.is_plausible
    is_midnight = _all_midnight(frame)
    if not (is_midnight and is_missing) and not (is_deidentified and (is_missing or is_apart)):
        return []
    how = "set to midnight" if is_midnight else "removed" if is_missing else "moved apart"
    message = f"the times that an uptake value needs were {how} by a de-identification"
    return [volume_finding(volume, "PET-003", Severity.WARN, message, times=how)]


def _all_midnight(frame: Frame) -> bool:
    stated = [text for keyword in CLOCKS if (text := header.text(frame, keyword))]
    return bool(stated) and all(not text.strip("0:. ") for text in stated)
