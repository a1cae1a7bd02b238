"""Name and strength of an iterative or learned reconstruction, from wherever a vendor writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from handlers.model import Frame
from handlers.tables import table
from handlers.triage import header

KEYWORDS = ("IterativeReconstructionMethod", "ReconstructionAlgorithm")
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "ImageComments")
NOTHING = frozenset({"", "NONE", "OFF", "NO", "0", "N/A"})

Found = tuple[str, str, str]  # name, strength, where it stands


def iterative_reconstruction(
    frame: Frame, kernel: tuple[str, ...], vendor: str, method: str
) -> dict[str, str]:
    """Return {"name", "strength", "source"} as far as they are stated; {} where nothing is said.

    The standard's attributes come first, then private ones, then what the name of the kernel tells
    (`method`, by its first letter), then descriptions. Strength is the vendor's own scale.

    Source: PS3.3 C.8.15.3.8 (0018,9315) and C.8.2.1 (0018,9769); vendors' conformance statements.
    """
    told = [each for each in _statements(frame, kernel, vendor, method) if each[0] or each[1]]
    named = next((each for each in told if each[0]), ("", "", ""))
    strong = next((each for each in told if each[1] and each[0] in ("", named[0])), ("", "", ""))
    found = {"name": named[0], "strength": strong[1], "source": (named if named[0] else strong)[2]}
    return {key: value for key, value in found.items() if value}


def _statements(frame: Frame, kernel: tuple[str, ...], vendor: str, method: str) -> Iterator[Found]:
    for keyword in KEYWORDS:
        yield _name(header.text(frame, keyword)), "", keyword
    yield from _private(frame, vendor)
    if vendor == "siemens" and len(kernel) > 1:
        yield method, kernel[1], "ConvolutionKernel"
    yield method, "", "ConvolutionKernel"
    texts = {"ConvolutionKernel": " ".join(kernel)} | {
        each: header.text(frame, each) for each in DESCRIPTIONS
    }
    for keyword, text in texts.items():
        yield *_in_text(text, vendor), keyword


def _private(frame: Frame, vendor: str) -> Iterator[Found]:
    """Yield what the private elements of a vendor say; a text among them may hold name and strength."""
    for entry in table("kernels")["vendor"].get(vendor, {}).get("iterative", ()):
        raw = header.private_text(frame, entry["group"], entry["creator"], entry["offset"])
        if raw.upper() in NOTHING:
            continue
        where = f"{entry['creator']} ({entry['group']:04X},xx{entry['offset']:02X})"
        name, strength = _in_text(raw, vendor)
        if entry["holds"] == "strength":
            yield entry["name"], raw, where
        elif name or entry["holds"] == "name":
            yield name or raw, strength, where


def _name(text: str) -> str:
    """Return what the standard attribute names; filtered back projection is none."""
    return "" if text.upper() in NOTHING or text.upper().startswith("FILTER_BACK") else text


def _in_text(text: str, vendor: str) -> tuple[str, str]:
    """Return name and strength by the first pattern of the table that this vendor may write."""
    for entry in table("kernels")["iterative"]:
        if vendor not in ("", entry["vendor"]):
            continue
        if match := _pattern(entry["pattern"]).search(text):
            return str(entry["name"]), next((group for group in match.groups() if group), "")
    return "", ""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
