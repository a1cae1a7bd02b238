"""Side, view and kind of a mammogram, as its header tells them: one reading for rules, report and study."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.attributes import Source
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Instance, Volume

# SNOMED CT and the older SRT codes -> defined term of ViewPosition; PS3.16 CID 4014
VIEWS = {
    "399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO", "399099002": "LMO",
    "R-10230": "LMO", "399260004": "ML", "R-10224": "ML", "399352003": "LM", "R-10228": "LM",
    "399192008": "XCCL", "R-1024A": "XCCL", "399101009": "XCCM", "R-1024B": "XCCM", "399196006": "FB",
    "R-10244": "FB", "399188001": "SIO", "R-102D0": "SIO", "441555000": "ISO", "R-40AAA": "ISO",
}  # fmt: skip
SPECIMEN = frozenset({"127457009", "G-8310"})
# PS3.16 CID 4015
MODIFIERS = {
    "399161006": "cleavage", "R-102D2": "cleavage", "399011000": "axillary tail", "R-102D1": "axillary tail",
    "399197002": "rolled lateral", "R-102D3": "rolled lateral", "399226006": "rolled medial",
    "R-102D4": "rolled medial", "414493004": "rolled inferior", "R-102CA": "rolled inferior",
    "415670009": "rolled superior", "R-102C9": "rolled superior", "399209000": "implant displaced",
    "R-102D5": "implant displaced", "399163009": "magnification", "R-102D6": "magnification",
    "399055006": "spot", "R-102D7": "spot", "399110001": "tangential", "R-102C2": "tangential",
    "442581004": "nipple in profile", "R-40AB3": "nipple in profile", "441752004": "anterior compression",
    "442593008": "infra-mammary fold", "442580003": "axillary tissue",
}  # fmt: skip
# What older senders wrote into ViewPosition: view, modifier.
POSITIONS: dict[str, tuple[str, str]] = {
    **{view: (view, "") for view in VIEWS.values()},
    "XCC": ("XCC", ""),
    "CCID": ("CC", "implant displaced"),
    "MLOID": ("MLO", "implant displaced"),
}
# Not "ml" and "lm", which descriptions use for other things.
DESCRIBED = re.compile(r"(?<![a-z])[lr]?[ _-]?(xccl|xccm|cc|mlo|lmo)(?![a-z])", re.IGNORECASE)

CONVENTIONAL = "2-D"
TOMOSYNTHESIS = "tomosynthesis volume"
PROJECTIONS = "tomosynthesis projections"
SYNTHETIC = "2-D image synthesized from tomosynthesis"
STEREOTACTIC = "stereotactic image"
STEREOTACTIC_TYPES = ("STEREO", "PREFIRE", "POSTFIRE")  # how value 3 of ImageType begins; PS3.3 C.8.11.7.1.4
ROOT = "1.2.840.10008.5.1.4.1.1."
KINDS = {ROOT + "13.1.3": TOMOSYNTHESIS, ROOT + "13.1.4": PROJECTIONS, ROOT + "13.1.5": PROJECTIONS}
INTENTS = {
    **dict.fromkeys((ROOT + "1.1", ROOT + "1.2", ROOT + "1.3", ROOT + "13.1.4"), "FOR PRESENTATION"),
    **dict.fromkeys((ROOT + "1.1.1", ROOT + "1.2.1", ROOT + "1.3.1", ROOT + "13.1.5"), "FOR PROCESSING"),
}


@dataclass(frozen=True, slots=True)
class BreastView:
    """What one mammogram shows.

    `side` is "L", "R", "B" or "". `view` is a defined term of ViewPosition or "", and `source` the keyword
    that told it. `coded` and `position` are what code and ViewPosition say by themselves. `intent` is
    "FOR PRESENTATION", "FOR PROCESSING" or "".
    """

    side: str
    view: str
    source: str
    coded: str
    position: str
    modifiers: tuple[str, ...]
    kind: str
    intent: str
    is_partial: bool
    has_implant: bool
    is_specimen: bool

    def described(self) -> dict[str, Any]:
        """Return it for report, sidecar and registry: nothing in it can quote free text."""
        return {
            "ImageLaterality": self.side,
            "view": self.view,
            "source": self.source,
            "modifiers": list(self.modifiers),
            "kind": self.kind,
            "PresentationIntentType": self.intent,
            "is_partial": self.is_partial,
            "has_implant": self.has_implant,
        }


def breast_view(frame: Frame) -> BreastView:
    """Read side and view of a mammogram; what is absent, empty or malformed is "".

    The side is FrameLaterality of a multi-frame image, else ImageLaterality; the Laterality of the series is
    not looked at. The view is that of the code, else ViewPosition, else a word of the description.

    Source: PS3.3 C.8.11.7 (0020,0062) (0054,0220), C.7.6.16.2.8 (0020,9072), C.8.11.5 (0018,5101).
    """
    codes = _codes(frame, "ViewCodeSequence")
    coded = next((VIEWS[code] for code in codes if code in VIEWS), "")
    position, by_position = POSITIONS.get(_text(frame, "ViewPosition").upper(), ("", ""))
    described = DESCRIBED.search(_text(frame, "SeriesDescription"))
    told = {
        "ViewCodeSequence": coded,
        "ViewPosition": position,
        "SeriesDescription": described[1].upper() if described else "",
    }
    source = next((keyword for keyword, view in told.items() if view), "")
    side = (_text(frame, "FrameLaterality") or _text(frame, "ImageLaterality")).upper()
    return BreastView(
        side=side if side in ("L", "R", "B") else "",
        view=told.get(source, ""),
        source=source,
        coded=coded,
        position=position,
        modifiers=_modifiers(frame, by_position),
        kind=_kind(frame),
        intent=presentation_intent(frame),
        is_partial=_text(frame, "PartialView").upper() == "YES",
        has_implant=_text(frame, "BreastImplantPresent").upper() == "YES",
        is_specimen=not SPECIMEN.isdisjoint(codes),
    )


def presentation_intent(frame: Frame) -> str:
    """Return PresentationIntentType, else what the SOP class says of it, else ""."""
    stated = _text(frame, "PresentationIntentType").upper()
    return stated or INTENTS.get(frame.instance.sop_class_uid, "")


def described_view(volume: Volume) -> dict[str, Any] | None:
    """Describe what a mammogram shows, for report and sidecar; None for other images."""
    is_mammogram = volume.modality == "MG" and bool(volume.frames)
    return breast_view(volume.frames[0]).described() if is_mammogram else None


def views_of(instances: tuple[Instance, ...]) -> list[dict[str, Any]]:
    """Return what the mammograms among these instances show, one entry each, as a sibling is told it."""
    return [
        breast_view(Frame(each)).described()
        for each in instances
        if each.pixel_keyword and _text(each, "Modality").upper() == "MG"
    ]


def _kind(frame: Frame) -> str:
    if kind := KINDS.get(frame.instance.sop_class_uid):
        return kind
    types = {
        each.upper()
        for keyword in ("FrameType", "ImageType")
        for each in (*_texts(frame, keyword), *_texts(frame.instance, keyword))
    }
    # Value 4 by PS3.3 C.8.11.7.1.4; value 3 is TOMO, TOMOSYNTHESIS or, of Hologic, TOMO_PROJ.
    if "GENERATED_2D" in types:
        return SYNTHETIC
    if any(each.startswith(STEREOTACTIC_TYPES) for each in types):
        return STEREOTACTIC
    return PROJECTIONS if "TOMO_PROJ" in types else CONVENTIONAL


def _modifiers(frame: Frame, by_position: str) -> tuple[str, ...]:
    """Return the modifiers; they lie beside the view (old) or inside of its item."""
    codes = _codes(frame, "ViewModifierCodeSequence")
    for view in _items(frame, "ViewCodeSequence"):
        codes += _codes(view, "ViewModifierCodeSequence")
    found = {MODIFIERS[code] for code in codes if code in MODIFIERS}
    return tuple(sorted(found | ({by_position} if by_position else set())))


def _codes(source: Source, keyword: str) -> list[str]:
    return [code for item in _items(source, keyword) if (code := _text(item, "CodeValue"))]


def _items(source: Source, keyword: str) -> tuple[Dataset, ...]:
    try:
        return attributes.items(source, keyword)
    except MalformedAttributeError:
        return ()


def _texts(source: Source, keyword: str) -> tuple[str, ...]:
    try:
        return attributes.texts(source, keyword) or ()
    except MalformedAttributeError:
        return ()


def _text(source: Source, keyword: str) -> str:
    found = _texts(source, keyword)
    return found[0] if found else ""
