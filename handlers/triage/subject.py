"""Whom the images show: a phantom, an animal, or a patient."""

from __future__ import annotations

import re

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.words import words

QUALITY_FLAGS = ("QualityControlSubject", "QualityControlImage")
PHANTOM_NAME = re.compile(
    r" (\w*phantom\w*|\w*fantom\w*|qa|qc|qs|test|daily|acceptance|constancy|konstanz\w*) "
)
HUMAN = ("homo sapiens", "human")


def phantom(series: Series) -> list[Finding]:
    """Find quality-control images and phantoms (ING-011).

    Source: PS3.3 C.7.1.1 (0010,0200), C.7.6.1 (0028,0300). The name is looked at, never quoted.
    """
    first = series.instances[:1]
    signs = [
        keyword
        for keyword in QUALITY_FLAGS
        if any(header.text(i, keyword).upper() == "YES" for i in series.instances)
    ]
    signs += [
        keyword
        for keyword in ("PatientName", "PatientID")
        for each in first
        if _is_phantom(header.text(each, keyword))
    ]
    if not signs:
        return []
    message = f"a phantom or quality-control image, by {' and '.join(signs)}"
    return [Finding("ING-011", Severity.WARN, message, evidence={"by": signs})]


def animal(series: Series) -> list[Finding]:
    """Find animals and four-legged orientation (ING-012). Source: PS3.3 C.7.6.2.1.1 (0010,2210)."""
    for instance in series.instances[:1]:
        species = header.text(instance, "PatientSpeciesDescription")
        orientation = header.text(instance, "AnatomicalOrientationType").upper()
        is_animal = bool(species) and not any(word in species.lower() for word in HUMAN)
        if is_animal or orientation == "QUADRUPED":
            evidence = {"PatientSpeciesDescription": species, "AnatomicalOrientationType": orientation}
            message = "an animal or four-legged orientation: directions have other names than in people"
            return [Finding("ING-012", Severity.REVIEW, message, evidence=evidence)]
    return []


def _is_phantom(name: str) -> bool:
    return bool(PHANTOM_NAME.search(words(name)))
