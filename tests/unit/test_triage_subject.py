"""Animals are held (ING-012); people are not, also when their species is written out."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage.subject import animal
from triage_cases import only, series, volume


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientSpeciesDescription": "Canis lupus familiaris"},
        {"AnatomicalOrientationType": "QUADRUPED"},
        {"PatientSpeciesDescription": "Homo sapiens", "AnatomicalOrientationType": "QUADRUPED"},
    ],
)
def test_an_animal_or_its_orientation_is_held(attributes):
    finding = only(animal(series(volume("CT", **attributes))), "ING-012")
    assert finding.severity is Severity.REVIEW
    assert finding.evidence["AnatomicalOrientationType"] == attributes.get("AnatomicalOrientationType", "")


@pytest.mark.parametrize(
    "attributes",
    [{}, {"PatientSpeciesDescription": "Homo sapiens"}, {"AnatomicalOrientationType": "BIPED"}],
)
def test_a_person_is_not(attributes):
    assert animal(series(volume("CT", **attributes))) == []
