"""Identity within a series: unreadable files, contradictory UIDs and patients, unknown classes."""

from __future__ import annotations

from pydicom import config
from pydicom.uid import UID

from handlers.model import Finding, Instance, Scope, Series, Severity
from handlers.triage import header
from handlers.triage.targets import some, targets

# Differences are counted, never quoted: they are the identity of a patient.
SAME_IN_A_SERIES = ("PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID")


def unreadable_files(series: Series) -> list[Finding]:
    """Report every file of the series that could not be read (ING-001)."""
    scope = Scope.INSTANCE if series.instances else Scope.SERIES
    return [
        Finding(
            "ING-001",
            Severity.ERROR,
            f"a file could not be read: {reason}",
            scope,
            path.name if series.instances else "",
            {"file": path.name, "reason": reason},
        )
        for path, reason in series.unreadable
    ]


def file_meta_against_data_set(series: Series) -> list[Finding]:
    """Find files whose file meta information names another instance than the data set (ING-005)."""
    wrong = [instance for instance in series.instances if _meta_differs(instance)]
    if not wrong:
        return []
    message = f"file meta information names another SOP Instance UID, in files: {len(wrong)}"
    evidence = {"SOPInstanceUID": some(wrong), "instances": len(wrong)}
    return [Finding("ING-005", Severity.WARN, message, evidence=evidence)]


def unknown_class(series: Series) -> list[Finding]:
    """Find SOP classes that are private, retired or not in the standard (ING-007)."""
    found = []
    for target in targets(series):
        state = _class_state(target.sop_class_uid)
        if state:
            message = f"the SOP class {target.sop_class_uid or 'of the object'} is {state}"
            found.append(
                target.finding("ING-007", Severity.WARN, message, {"SOPClassUID": target.sop_class_uid})
            )
    return found


def conflicting_identity(series: Series) -> list[Finding]:
    """Find a series that mixes patients or studies (ING-010); values are counted, not quoted."""
    conflicts = {}
    for keyword in SAME_IN_A_SERIES:
        values = {header.text(instance, keyword) for instance in series.instances} - {""}
        if len(values) > 1:
            conflicts[keyword] = len(values)
    if not conflicts:
        return []
    message = f"one series bears several values of {', '.join(conflicts)}"
    return [Finding("ING-010", Severity.REVIEW, message, evidence={"different_values": conflicts})]


def _meta_differs(instance: Instance) -> bool:
    meta = getattr(instance.header, "file_meta", None)
    stated = "" if meta is None else header.text(meta, "MediaStorageSOPInstanceUID")
    return bool(stated) and stated != instance.sop_instance_uid


def _class_state(sop_class_uid: str) -> str:
    uid = UID(sop_class_uid, validation_mode=config.IGNORE)
    if not sop_class_uid:
        return "missing"
    if uid.type:  # in the dictionary of PS3.6 table A-1
        return "retired" if uid.is_retired else ""
    return "private to a vendor" if uid.is_private else "not in the DICOM standard"
