"""Pixel bytes to stored values: bit-exact for every BitsAllocated, BitsStored, HighBit and sign."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian

from handlers.errors import PixelDataError
from handlers.model import AppliedStep, Finding, Frame, Instance, Scope, Severity, Tile, Volume
from handlers.normalization.codestream import Codestream
from handlers.normalization.palette import through_palette
from handlers.normalization.parallel_frames import Wanted, decoded_frames
from handlers.normalization.pixel_frames import PixelCells
from handlers.normalization.pixel_layout import UNCOMPRESSED, PixelLayout, pixel_layout

MAX_DECODED_BYTES = 4 << 30  # of a volume of compressed frames: nothing in the file bounds what it claims
MAX_FRAME_BYTES = 1 << 30  # of one compressed frame
BOUNDED_BY_FILE = UNCOMPRESSED - {DeflatedExplicitVRLittleEndian}
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)  # PS3.3 C.9.2


@dataclass(frozen=True, slots=True)
class DecodeStoredValues:
    """Fill `values` with stored values; see `decode_stored_values`."""

    processes: int = 1

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its stored values.

        Raises:
            PixelDataError: see `decode_stored_values`.
        """
        return decode_stored_values(volume, processes=self.processes)


def decode_stored_values(volume: Volume, *, processes: int = 1) -> Volume:
    """Fill `values` with the stored values of every frame, in slice order; colour as red, green and blue.

    Each instance is opened once and each frame decoded once, into one array that is
    allocated only after every header was checked against the bytes present (or against
    `MAX_DECODED_BYTES` when compressed). Frames whose decoder is slow are decoded by so many
    `processes`, which changes no value.

    Raises:
        PixelDataError: ING-004, PIX-001, PIX-006.
        MalformedAttributeError: an attribute of the Image Pixel module is no number.

    Source: PS3.5 section 8.1.1, 8.2.
    """
    instances = {frame.instance.path: frame.instance for frame in volume.frames}
    layouts = {path: pixel_layout(instance) for path, instance in instances.items()}
    _check_sizes(volume, layouts)
    dtype = np.result_type(*(layout.dtype for layout in layouts.values()))
    values = np.empty((len(volume.frames), *_shape(volume.frames[0], layouts)), dtype)
    places: dict[Path, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, frame in enumerate(volume.frames):
        places[frame.instance.path][frame.number].append(index)
    decoders: set[str] = set()
    strange: dict[str, set[Path]] = defaultdict(set)
    wanted = [
        Wanted(instance, layouts[path], tuple(sorted(places[path]))) for path, instance in instances.items()
    ]
    with closing(decoded_frames(wanted, processes)) as frames:
        for (instance, layout, _), number, cells in frames:
            for index in places[instance.path][number]:
                part = _tile_of(cells, volume.frames[index].tile)
                for code in _put(part, instance, layout, values[index]):
                    strange[code].add(instance.path)
            decoders.add(cells.decoder)
    step = AppliedStep("stored_values", {"dtype": str(dtype), "decoders": sorted(decoders)})
    findings = _findings(volume, layouts, strange)
    return replace(volume, values=values, steps=(*volume.steps, step), findings=(*volume.findings, *findings))


def _check_sizes(volume: Volume, layouts: Mapping[Path, PixelLayout]) -> None:
    """Refuse what cannot be there, before anything is allocated."""
    shapes = {_shape(frame, layouts) for frame in volume.frames}
    if len(shapes) != 1:
        raise PixelDataError(f"volume {volume.name} mixes frames of {sorted(shapes)} rows and columns")
    unbounded = 0
    for frame in volume.frames:
        instance, layout = frame.instance, layouts[frame.instance.path]
        size, present = layout.frame_cells * layout.dtype.itemsize, _file_size(instance)
        if not 1 <= frame.number <= layout.frames:
            raise _failure(instance, f"frame {frame.number} of {layout.frames} does not exist")
        if instance.transfer_syntax_uid in BOUNDED_BY_FILE:
            if layout.native_bytes > present:
                claim = f"{layout.native_bytes} bytes of pixel data, its file has {present}"
                raise _failure(instance, f"its header claims {claim}")
        elif size > MAX_FRAME_BYTES:
            raise _failure(instance, f"its header claims {size} bytes a frame, {MAX_FRAME_BYTES} are allowed")
        else:
            unbounded += math.prod(_shape(frame, layouts)) * layout.dtype.itemsize
    if unbounded > MAX_DECODED_BYTES:
        claim = f"{unbounded} bytes; {MAX_DECODED_BYTES} are allowed"
        raise PixelDataError(f"volume {volume.name} would decode to {claim}")


def _shape(frame: Frame, layouts: Mapping[Path, PixelLayout]) -> tuple[int, ...]:
    """Return the shape that a frame has in the volume: (rows, columns), with 3 for colour."""
    shape = layouts[frame.instance.path].shape
    return (frame.tile.rows, frame.tile.columns, *shape[2:]) if frame.tile else shape


def _tile_of(cells: PixelCells, tile: Tile | None) -> PixelCells:
    """Cut one slice out of a sheet; what is no sheet stays whole."""
    if tile is None:
        return cells
    rows = slice(tile.first_row, tile.first_row + tile.rows)
    columns = slice(tile.first_column, tile.first_column + tile.columns)
    return replace(cells, cells=np.ascontiguousarray(cells.cells[rows, columns]))


def _file_size(instance: Instance) -> int:
    try:
        return instance.path.stat().st_size
    except OSError as error:
        raise _failure(instance, f"its file cannot be read: {error.strerror}") from error


def _put(frame: PixelCells, instance: Instance, layout: PixelLayout, out: NDArray[Any]) -> list[str]:
    """Write one frame into `out`; return codes of what is strange about it."""
    if not layout.is_colour:
        return _store(frame, layout, out)
    if layout.samples > 1:
        out[...] = frame.cells
        return []
    indices = np.empty(frame.cells.shape, np.uint16)
    strange = _store(frame, layout, indices)
    out[...] = through_palette(indices, instance)
    return strange


def _store(frame: PixelCells, layout: PixelLayout, out: NDArray[Any]) -> list[str]:
    """Take the stored bits out of the cells into `out`; return codes of what is strange about them."""
    if layout.is_float:
        out[...] = frame.cells
        return []
    cells = frame.cells
    bits, high = _field(frame, layout)
    width = cells.dtype.itemsize * 8
    strange = _contradictions(frame.stream, layout)
    if bits == width:
        out[...] = cells.view(f"i{width // 8}") if layout.is_signed else cells
        return strange
    # Left until the highest stored bit is the highest of the cell, then right again with the sign:
    # what lies above and below the stored bits falls off both ends.
    field = np.left_shift(cells, width - 1 - high)
    field = field.view(f"i{width // 8}") if layout.is_signed else field
    np.right_shift(field, width - bits, out=field)
    out[...] = field
    if _has_other_bits(cells, field, bits=bits, low=high + 1 - bits):
        strange.append("PIX-003" if frame.stream is None else "PIX-005")
    return strange


def _field(frame: PixelCells, layout: PixelLayout) -> tuple[int, int]:
    """Return (number of bits, highest bit) that hold the value within a cell of this frame.

    A decoder returns values, not cells: they are right-justified whatever HighBit says. Signed
    values in an unsigned codestream keep their sign at the codestream's precision.
    """
    width = frame.cells.dtype.itemsize * 8
    if frame.decoder == "native":
        return layout.bits_stored, layout.high_bit if layout.bits_allocated > 1 else 0
    bits = min(layout.bits_stored, width)
    stream = frame.stream
    if stream is not None and layout.is_signed and (stream.is_jpeg_ls or stream.is_signed is False):
        bits = min(bits, stream.precision)
    return bits, bits - 1


def _contradictions(stream: Codestream | None, layout: PixelLayout) -> list[str]:
    """Compare codestream and header; "sign" marks those where a value could be read in two ways."""
    if stream is None:
        return []
    is_other_sign = stream.is_signed not in (None, layout.is_signed)
    if not is_other_sign and stream.precision == layout.bits_stored:
        return []
    # Unsigned values in a deeper codestream are the same number either way; PIX-005 tells if they are not.
    is_harmless = not is_other_sign and not layout.is_signed and stream.precision > layout.bits_stored
    return ["PIX-004"] if is_harmless else ["PIX-004", "sign"]


def _has_other_bits(cells: NDArray[Any], field: NDArray[Any], *, bits: int, low: int) -> bool:
    """Say whether bits outside the stored ones are set, a sign extended above them not counted."""
    mask = ((1 << bits) - 1) << low
    if not int(np.bitwise_or.reduce(cells, axis=None)) & ~mask:
        return False
    return low > 0 or field.dtype.kind == "u" or not np.array_equal(field, cells.view(field.dtype))


def _findings(
    volume: Volume, layouts: Mapping[Path, PixelLayout], strange: Mapping[str, set[Path]]
) -> list[Finding]:
    header_followed = (
        "have a codestream of another precision or sign than the header; the header was followed"
    )
    is_doubtful = strange.get("PIX-004", set()) & strange.get("sign", set())
    texts = {
        "PIX-002": (
            Severity.WARN,
            "have HighBit other than BitsStored - 1; their bits were taken from there",
        ),
        "PIX-003": (Severity.INFO, "have bits set outside the stored ones; they were cleared"),
        "PIX-004": (Severity.WARN if is_doubtful else Severity.INFO, header_followed),
        "PIX-005": (Severity.WARN, "decode to values beyond BitsStored; the bits above were cleared"),
    }
    shifted = {path for path, layout in layouts.items() if layout.high_bit != layout.bits_stored - 1}
    found = {**strange, "PIX-002": shifted}
    uids = {frame.instance.path: frame.instance.sop_instance_uid for frame in volume.frames}
    result = []
    for code, (severity, what) in texts.items():
        paths = sorted(found.get(code, ()))
        if paths:
            evidence: dict[str, Any] = {"SOPInstanceUID": sorted(uids[path] for path in paths)[:5]}
            evidence |= {"instances": len(paths), **_bits(layouts[paths[0]])}
            if code == "PIX-003":
                evidence["overlay_groups"] = _overlay_groups(volume.frames, paths[0])
            message = f"{len(paths)} of {len(layouts)} instances {what}"
            result.append(Finding(code, severity, message, Scope.VOLUME, volume.name, evidence))
    return result


def _bits(layout: PixelLayout) -> dict[str, int]:
    return {
        "BitsAllocated": layout.bits_allocated,
        "BitsStored": layout.bits_stored,
        "HighBit": layout.high_bit,
        "PixelRepresentation": int(layout.is_signed),
    }


def _overlay_groups(frames: Sequence[Frame], path: Path) -> list[str]:
    """Groups of overlay planes that say they lie in the unused bits (OverlayBitPosition > 0, retired)."""
    header = next(frame.instance.header for frame in frames if frame.instance.path == path)
    return [
        f"{group:04X}"
        for group in OVERLAY_GROUPS
        if (group, 0x0102) in header and header[group, 0x0102].value
    ]


def _failure(instance: Instance, reason: str) -> PixelDataError:
    return PixelDataError(f"instance {instance.sop_instance_uid}: {reason}", code="ING-004")
