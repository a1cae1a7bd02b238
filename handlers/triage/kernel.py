"""The reconstruction kernel of CT: its class, its absence, and whether the profile takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handlers import attributes
from handlers.api import needs_values
from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import header, kernel_table
from handlers.triage.iterative import iterative_reconstruction
from handlers.triage.noise_texture import noise_texture
from handlers.triage.targets import measured, volume_finding

CANON_CREATOR = "TOSHIBA_MEC_CT3"
HOUNSFIELD = "[hnsf'U]"  # UCUM


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a volume says of its kernel, and what the table makes of it."""

    raw: tuple[str, ...]
    source: str
    vendor: str
    verdict: kernel_table.KernelClass
    iterative: dict[str, str]

    @property
    def fact(self) -> dict[str, Any]:
        """The fact `kernel`: raw value, class, iterative reconstruction, and where it came from."""
        return {
            "raw": "\\".join(self.raw),
            "class": self.verdict.name,
            "ir": self.iterative,
            "vendor": self.vendor,
            "source": self.source,
            "table_version": kernel_table.version(),
        }


def kernel_class(series: Series) -> list[Finding]:
    """Classify the kernel (KER-001), or say that it is absent (KER-002), unknown or disputed (KER-003).

    ConvolutionKernel has one or several values; the second of Siemens is the strength of its
    iterative reconstruction. Source: PS3.3 C.8.2.1 (0018,1210).
    """
    found = []
    for volume in measured(series, "CT"):
        kernel = _read(volume)
        if not kernel.raw:
            message = "the reconstruction kernel is not stated"
            found.append(volume_finding(volume, "KER-002", Severity.WARN, message, kernel=kernel.fact))
            continue
        name = "\\".join(kernel.raw)
        if kernel.verdict.name != kernel_table.UNKNOWN:
            message = f"kernel {name} is {kernel.verdict.name}"
            found.append(volume_finding(volume, "KER-001", Severity.INFO, message, kernel=kernel.fact))
        if kernel.verdict.name == kernel_table.UNKNOWN or kernel.verdict.doubt:
            reason = kernel.verdict.doubt or f"not in the table for {kernel.vendor or 'this manufacturer'}"
            evidence = {"kernel": kernel.fact, "other_vendors": kernel_table.hints(kernel.raw[0])}
            found.append(
                volume_finding(volume, "KER-003", Severity.WARN, f"kernel {name}: {reason}", **evidence)
            )
    return found


@needs_values
def measured_texture(series: Series) -> list[Finding]:
    """Find noise that is finer or coarser than the kernel's class can make it (KER-006)."""
    found = []
    limits = kernel_table.texture()
    for volume in measured(series, "CT"):
        kernel = _read(volume)
        if volume.units != HOUNSFIELD or kernel.verdict.name not in ("smooth", "sharp"):
            continue
        seen = noise_texture(volume)
        is_smooth = kernel.verdict.name == "smooth"
        if seen is None or (
            seen.length_mm >= limits["smooth_at_least_mm"]
            if is_smooth
            else seen.length_mm <= limits["sharp_at_most_mm"]
        ):
            continue
        name = "\\".join(kernel.raw)
        message = (
            f"kernel {name} is {kernel.verdict.name}, but the noise is {'fine' if is_smooth else 'coarse'}"
        )
        evidence = {
            "correlation_length_mm": round(seen.length_mm, 3),
            "noise_hu": round(seen.noise_hu, 1),
            "measured_cm3": round(seen.volume_cm3, 1),
            "kernel": kernel.fact,
        }
        found.append(volume_finding(volume, "KER-006", Severity.WARN, message, **evidence))
    return found


def mixed_kernels(series: Series) -> list[Finding]:
    """Find several kernels in one series (KER-005)."""
    stated = {header.texts(frame, "ConvolutionKernel") for volume in measured(series, "CT")
              for frame in header.different(volume.frames)} - {()}  # fmt: skip
    if len(stated) < 2:
        return []
    kernels = sorted("\\".join(each) for each in stated)
    message = f"one series holds {len(kernels)} kernels: {', '.join(kernels)}"
    return [Finding("KER-005", Severity.WARN, message, evidence={"ConvolutionKernel": kernels})]


@dataclass(frozen=True, slots=True)
class AcceptedKernels:
    """Hold volumes whose kernel class the profile does not take (KER-004); no classes take all."""

    classes: tuple[str, ...] = ()

    def __call__(self, series: Series) -> list[Finding]:
        """Compare the kernel class of every CT volume with `classes`."""
        found = []
        for volume in measured(series, "CT") if self.classes else ():
            kernel = _read(volume)
            if kernel.verdict.name not in self.classes:
                message = f"the kernel is {kernel.verdict.name}; the profile takes {', '.join(self.classes)}"
                evidence = {"kernel_class": kernel.verdict.name, "accepted": list(self.classes)}
                found.append(volume_finding(volume, "KER-004", Severity.REVIEW, message, **evidence))
        return found


def _read(volume: Volume) -> Kernel:
    frame = volume.frames[0]
    vendor = kernel_table.vendor(header.text(frame, "Manufacturer"))
    raw, source = _raw(frame, vendor)
    method = kernel_table.iterative_method(raw[0], vendor) if raw else ""
    iterative = iterative_reconstruction(frame, raw, vendor, method)
    if not raw:
        return Kernel((), "", vendor, kernel_table.KernelClass(kernel_table.UNKNOWN), iterative)
    verdict = kernel_table.classify(" ".join(raw) if vendor == "philips" else raw[0], vendor)
    if verdict.name == kernel_table.UNKNOWN and (group := header.text(frame, "ConvolutionKernelGroup")):
        verdict = kernel_table.KernelClass(kernel_table.by_group(group), f"classified by its group {group}")
    return Kernel(raw, source, vendor, verdict, iterative)


def _raw(frame: Frame, vendor: str) -> tuple[tuple[str, ...], str]:
    """Return the kernel and the attribute that states it; elsewhere FilterType is the beam filter."""
    stated = tuple(value for value in header.texts(frame, "ConvolutionKernel") if value)
    if stated:
        return stated, "ConvolutionKernel"
    if vendor == "philips" and (name := header.text(frame, "FilterType")):
        return (name,), "FilterType"
    if vendor == "canon" and (value := attributes.private(frame, 0x7005, CANON_CREATOR, 0x1B)):
        return (str(value).strip(),), f"{CANON_CREATOR} (7005,xx1B)"
    return (), ""
