"""Whether the images ever went through lossy compression: syntax, history and codestream together."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from handlers.model import Finding, Frame, Instance, Series, Severity
from handlers.triage import codestream, header
from handlers.triage.targets import some, targets

PREFIX = "1.2.840.10008.1.2.4."
# PS3.5 section 10, PS3.6 table A-1; 52-64 without 57, 58 are retired lossy JPEG processes
ALWAYS_LOSSY = frozenset(
    PREFIX + tail
    for tail in (
        "50", "51", "52", "53", "54", "55", "56", "59", "60", "61", "62", "63", "64", "100", "100.1", "101",
        "101.1", "102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1", "107", "108",
    )
)  # fmt: skip
UNDECIDED = frozenset(PREFIX + tail for tail in ("81", "91", "93", "94", "95", "112", "203", "204", "205"))
LOSSY_DERIVATION = "113040"  # DCM code: lossy compression


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one instance. `evidence` are (source, raw value) pairs that say lossy."""

    instance: Instance
    evidence: tuple[tuple[str, str], ...]
    is_denied: bool
    is_undecided: bool
    ratio: float | None
    methods: tuple[str, ...]


def lossy_history(series: Series) -> list[Finding]:
    """Find lossy images (LOS-001), undecidable ones (LOS-002) and denied loss (LOS-003).

    LossyImageCompression stays "01" after decompression, so that the transfer syntax alone does
    not answer this. Source: PS3.3 C.7.6.1.1.5.
    """
    found = []
    for target in targets(series):
        codes = _derivation_codes(target.frames)
        histories = [
            _history(each, codes.get(each.sop_instance_uid, frozenset()))
            for each in target.instances
            if each.pixel_keyword
        ]
        lossy = [each for each in histories if each.evidence]
        undecided = [each.instance for each in histories if each.is_undecided and not each.evidence]
        denied = [each.instance for each in lossy if each.is_denied]
        if lossy:
            share = f"{len(lossy)} of {len(histories)} images"
            evidence = {"lossy": _fact(lossy), "SOPInstanceUID": some(each.instance for each in lossy)}
            message = f"{share} were lossy compressed ({', '.join(_sources(lossy))})"
            found.append(target.finding("LOS-001", Severity.WARN, message, evidence))
        if undecided:
            message = (
                f"{len(undecided)} images may be lossy: their syntax allows both, and nothing else tells"
            )
            evidence = {
                "TransferSyntaxUID": undecided[0].transfer_syntax_uid,
                "SOPInstanceUID": some(undecided),
            }
            found.append(target.finding("LOS-002", Severity.INFO, message, evidence))
        if denied:
            message = f"{len(denied)} images deny a loss that their data shows; they were taken as lossy"
            evidence = {"LossyImageCompression": "00", "SOPInstanceUID": some(denied)}
            found.append(target.finding("LOS-003", Severity.WARN, message, evidence))
    return found


def _derivation_codes(frames: tuple[Frame, ...]) -> dict[str, frozenset[str]]:
    """Return how the frames of each instance were made, by its UID."""
    found: dict[str, frozenset[str]] = {}
    for frame in header.different(frames):
        uid = frame.instance.sop_instance_uid
        found[uid] = found.get(uid, frozenset()) | header.derivation_codes(frame)
    return found


def _history(instance: Instance, codes: frozenset[str]) -> History:
    flag = header.text(instance, "LossyImageCompression")
    ratios = [ratio for ratio in header.numbers(instance, "LossyImageCompressionRatio") if ratio > 1]
    methods = header.texts(instance, "LossyImageCompressionMethod")
    is_irreversible = codestream.is_irreversible(instance)
    checks = (
        ("TransferSyntaxUID", instance.transfer_syntax_uid, instance.transfer_syntax_uid in ALWAYS_LOSSY),
        ("LossyImageCompression", flag, flag == "01"),
        ("LossyImageCompressionRatio", "\\".join(f"{ratio:g}" for ratio in ratios), bool(ratios)),
        ("LossyImageCompressionMethod", "\\".join(methods), any(methods)),
        ("DerivationCodeSequence", LOSSY_DERIVATION, LOSSY_DERIVATION in codes),
        ("codestream", "irreversible", bool(is_irreversible)),
    )
    return History(
        instance,
        evidence=tuple((source, raw) for source, raw, says_lossy in checks if says_lossy),
        is_denied=flag == "00",
        is_undecided=instance.transfer_syntax_uid in UNDECIDED and is_irreversible is None,
        ratio=prod(ratios) if ratios else None,
        methods=methods,
    )


def _fact(lossy: list[History]) -> dict[str, Any]:
    ratios = [each.ratio for each in lossy if each.ratio is not None]
    lines = dict.fromkeys(line for each in lossy for line in each.evidence)
    return {
        "is_lossy": True,
        "ratio": round(max(ratios), 3) if ratios else None,
        "methods": list(dict.fromkeys(method for each in lossy for method in each.methods)),
        "evidence": [{"source": source, "raw": raw} for source, raw in lines][:10],
    }


def _sources(lossy: list[History]) -> list[str]:
    return list(dict.fromkeys(source for each in lossy for source, _ in each.evidence))
