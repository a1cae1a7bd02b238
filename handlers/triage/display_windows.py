"""The windows that a header proposes for the display; numbers are never made by them."""

from __future__ import annotations

from handlers.model import Finding, Frame, Series, Severity
from handlers.pixel_scale import PROJECTIONS
from handlers.triage import header
from handlers.triage.targets import STACKED, measured, volume_finding

LINEAR = ("", "LINEAR")  # VOILUTFunction; PS3.3 C.11.2.1.3


def display_windows(series: Series) -> list[Finding]:
    """Find several windows (VOI-001), and projection images without a usable one (VOI-002).

    A window and a table count alike. Without a usable one, a viewer falls back on a guess of its own; CT, MR
    and PET are read with windows of the reader, so that there it is no news. Source: PS3.3 C.11.2.
    """
    found = []
    for volume in measured(series, *STACKED, *PROJECTIONS):
        frame = volume.frames[0]
        windows, tables = _windows(frame), len(header.items(frame, "VOILUTSequence"))
        count = len(windows) + tables
        evidence = {
            "WindowCenter": [center for center, _ in windows],
            "WindowWidth": [width for _, width in windows],
            "VOILUTFunction": header.text(frame, "VOILUTFunction").upper(),
            "VOILUTSequence": tables,
        }
        if count > 1:
            message = f"the header proposes {count} windows"
            found.append(volume_finding(volume, "VOI-001", Severity.INFO, message, **evidence))
        elif not count and volume.modality in PROJECTIONS:
            message = "the header proposes no usable window"
            found.append(volume_finding(volume, "VOI-002", Severity.INFO, message, **evidence))
    return found


def _windows(frame: Frame) -> list[tuple[float, float]]:
    """Return the legal pairs of center and width: a width of at least 1, or above 0 when not LINEAR."""
    centers, widths = header.numbers(frame, "WindowCenter"), header.numbers(frame, "WindowWidth")
    is_linear = header.text(frame, "VOILUTFunction").upper() in LINEAR
    return [
        (center, width)
        for center, width in zip(centers, widths, strict=False)
        if (width >= 1 if is_linear else width > 0)
    ]
