"""Compressed frames to pixel cells, by the decoder that is right for each transfer syntax."""

from __future__ import annotations

import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders import base as decoders
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from handlers.errors import PixelDataError
from handlers.normalization.codestream import Codestream, codestream
from handlers.normalization.pixel_layout import PixelLayout

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"  # Deflated Image Frame Compression; PS3.5 section A.4
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"  # PS3.5 section A.4.11

# First the fastest that is exact; measured on one 512x512 CT slice, see docs/benchmarks.md.
# "simpleitk" alone decodes 12-bit JPEG Extended and the retired progressive processes.
DECODERS: dict[str, tuple[str, ...]] = {
    RLELossless: ("pylibjpeg", "pydicom"),
    JPEGBaseline8Bit: ("gdcm", "pillow"),
    JPEGExtended12Bit: ("gdcm", "simpleitk"),
    "1.2.840.10008.1.2.4.53": ("simpleitk",),  # JPEG Spectral Selection (Process 6 & 8), retired
    "1.2.840.10008.1.2.4.55": ("simpleitk",),  # JPEG Full Progression (Process 10 & 12), retired
    JPEGLossless: ("gdcm",),
    JPEGLosslessSV1: ("gdcm",),
    JPEGLSLossless: ("pyjpegls", "gdcm"),
    JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    JPEG2000Lossless: ("pylibjpeg", "gdcm"),
    JPEG2000: ("pylibjpeg", "gdcm"),
    HTJ2KLossless: ("pylibjpeg", "simpleitk"),
    HTJ2KLosslessRPCL: ("pylibjpeg", "simpleitk"),
    HTJ2K: ("pylibjpeg", "simpleitk"),
    DEFLATED_FRAMES: ("zlib",),
    ENCAPSULATED_UNCOMPRESSED: ("none",),
}


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """Unsigned cells (rows, columns) of one frame, of colour (rows, columns, 3); its decoder and stream."""

    cells: NDArray[Any]
    decoder: str
    stream: Codestream | None


def decode_frame(frame: bytes, layout: PixelLayout, transfer_syntax_uid: str) -> DecodedFrame:
    """Decode one compressed frame; colour becomes red, green and blue.

    Raises:
        PixelDataError: no decoder for this transfer syntax, every decoder failed, or the
            codestream has another size than the header says (ING-004).
    """
    names = DECODERS.get(transfer_syntax_uid, ())
    if not names:
        name = UID(transfer_syntax_uid).name
        raise PixelDataError(f"there is no decoder for transfer syntax {name} ({transfer_syntax_uid})")
    if layout.bits_allocated == 1:
        raise PixelDataError("compressed frames of single bits are not decoded")
    stream = codestream(frame)
    if stream is not None and (stream.rows, stream.columns) != (layout.rows, layout.columns):
        sizes = f"{stream.rows}x{stream.columns}, the header says {layout.rows}x{layout.columns}"
        raise PixelDataError(f"the compressed frame is {sizes}")
    failures = []
    for name in names:
        decode = BESIDES_PYDICOM.get(name) or partial(_by_pydicom, name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # size and precision are compared here, not by pydicom
                cells = decode(frame, layout, transfer_syntax_uid)
            shape = (layout.rows, layout.columns) if layout.samples == 1 else layout.shape
            return DecodedFrame(cells.reshape(shape), name, stream)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - each library fails in its own way, one in Rust panics with what is no Exception
            failures.append(f"{name}: {str(error) or type(error).__name__}")
    raise PixelDataError(
        f"transfer syntax {transfer_syntax_uid} could not be decoded; " + "; ".join(failures)
    )


def native_colour(frame: bytes, layout: PixelLayout) -> NDArray[np.uint8]:
    """Turn the cells of one frame that is not compressed into red, green and blue, (rows, columns, 3)."""
    return _rgb(ExplicitVRLittleEndian, frame, layout)


def _by_pydicom(plugin: str, frame: bytes, layout: PixelLayout, transfer_syntax_uid: str) -> NDArray[Any]:
    encapsulated = encapsulate([frame], has_bot=False)
    if layout.samples > 1:
        return _rgb(transfer_syntax_uid, encapsulated, layout, plugin)
    buffer, properties = decoders.get_decoder(transfer_syntax_uid).as_buffer(
        encapsulated,
        index=0,
        decoding_plugin=plugin,
        photometric_interpretation="MONOCHROME2",
        **_described(layout),
    )
    # A decoder returns cells as wide as the precision needs, not as BitsAllocated says.
    return np.frombuffer(buffer, dtype=f"<u{int(properties['bits_allocated']) // 8}")


def _rgb(transfer_syntax_uid: str, frame: bytes, layout: PixelLayout, plugin: str = "") -> NDArray[np.uint8]:
    """Decode one frame of three samples to red, green and blue (PS3.3 C.7.6.3.1.2)."""
    described = {
        **_described(layout),
        "photometric_interpretation": layout.photometric,
        "planar_configuration": layout.planar,
    }
    decoder = decoders.get_decoder(transfer_syntax_uid)
    values, properties = decoder.as_array(frame, index=0, decoding_plugin=plugin, **described)
    if properties["photometric_interpretation"] != "RGB":
        raise PixelDataError(f"it is {properties['photometric_interpretation']}, not red, green and blue")
    return values


def _described(layout: PixelLayout) -> dict[str, Any]:
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.is_signed),
        "pixel_keyword": "PixelData",
    }


def _by_simpleitk(frame: bytes, layout: PixelLayout, transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode through a file that holds this frame alone, so that nothing but the codestream is applied."""
    if layout.samples > 1:
        raise PixelDataError("colour is left to the other decoders")
    sitk: Any = import_module("SimpleITK")  # not needed for most volumes, and large

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(entropy_srcs=["frame"]),
    )
    dataset.Rows, dataset.Columns = layout.rows, layout.columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored = layout.bits_allocated, layout.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = layout.bits_stored - 1, int(layout.is_signed)
    dataset.PixelData = encapsulate([frame])
    with tempfile.TemporaryDirectory(prefix="prepnode-frame-") as folder:
        path = Path(folder) / "frame.dcm"
        dataset.save_as(path, enforce_file_format=True)
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _inflate(frame: bytes, layout: PixelLayout, _transfer_syntax_uid: str) -> NDArray[Any]:
    size = layout.frame_cells * layout.bits_allocated // 8
    return _as_cells(zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, size), layout, "")


def _as_cells(frame: bytes, layout: PixelLayout, _transfer_syntax_uid: str) -> NDArray[Any]:
    if layout.samples > 1:
        return native_colour(frame, layout)
    return np.frombuffer(frame, dtype=f"<u{layout.bits_allocated // 8}", count=layout.frame_cells)


BESIDES_PYDICOM: dict[str, Callable[[bytes, PixelLayout, str], NDArray[Any]]] = {
    "simpleitk": _by_simpleitk,
    "zlib": _inflate,
    "none": _as_cells,
}
