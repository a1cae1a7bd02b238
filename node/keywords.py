"""Which attributes a profile may add to the sidecar: none that identifies a patient, a person or a site."""

from __future__ import annotations

# Value representations of names, dates, times, identifiers, bulk data and sequences (PS3.5 section 6.2).
REFUSED_VRS = frozenset(
    {"PN", "DA", "DT", "TM", "UI", "UR", "AE", "AS", "SQ", "UN", "OB", "OW", "OF", "OD", "OL", "OV", "AT"}
)
# Identifiers and places in representations of plain text (PS3.15 Table E.1-1 removes or replaces them).
REFUSED = frozenset(
    {
        "AccessionNumber",
        "StudyID",
        "StationName",
        "DeviceSerialNumber",
        "InstitutionName",
        "InstitutionAddress",
        "InstitutionalDepartmentName",
        "AdmissionID",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "PerformedProcedureStepID",
        "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest",
        "PlateID",
        "CassetteID",
        "DetectorID",
        "GantryID",
    }
)
PATIENT_GROUP = 0x0010


def sidecar_keyword(keyword: str) -> str:
    """Return the keyword of an attribute that may stand in a sidecar.

    Raises:
        ValueError: DICOM has no such attribute, or it identifies a patient, a person or a site.

    Source: PS3.6 (keywords), PS3.15 Table E.1-1 (identifying attributes).
    """
    from pydicom.datadict import (
        dictionary_VR,
        tag_for_keyword,
    )  # every process reads the configuration; 40 MB

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"DICOM has no attribute {keyword!r}")
    if tag >> 16 == PATIENT_GROUP or dictionary_VR(tag) in REFUSED_VRS or keyword in REFUSED:
        raise ValueError(f"{keyword} may identify a patient, a person or a site, and stays out of sidecars")
    return keyword
