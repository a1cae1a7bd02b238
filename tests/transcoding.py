"""Data sets in other transfer syntaxes, by encoders that have nothing to do with the decoders under test."""

from __future__ import annotations

import zlib
from pathlib import Path

import gdcm
import pydicom
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

import data

BY_PYDICOM = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
BY_GDCM = {
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    RLELossless: gdcm.TransferSyntax.RLELossless,
}
DEFLATED_FRAMES = UID("1.2.840.10008.1.2.8.1")  # PS3.5 section A.4.12
WRAPPED = UID("1.2.840.10008.1.2.1.98")  # PS3.5 section A.4.11
_STAND_IN = JPEG2000Lossless  # for syntaxes that pydicom does not write; the UIDs are padded to one length


def by_gdcm(source: Path, target: Path, syntax: UID) -> Path:
    """Encode the pixels of a native file with GDCM."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read(), source
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(BY_GDCM[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change(), f"GDCM does not encode {syntax.name}"
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write(), target
    return target


def by_hand(dataset: FileDataset, target: Path, syntax: UID) -> Path:
    """Encode native frames as the syntax says: deflated each, or merely wrapped."""
    whole = dataset.PixelData
    count = int(dataset.get("NumberOfFrames", 1))
    size = len(whole) // count
    frames = [whole[place : place + size] for place in range(0, count * size, size)]
    if syntax == DEFLATED_FRAMES:
        frames = [_deflated(frame) for frame in frames]
    dataset = pydicom.dcmread(_saved(dataset, target))
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = _STAND_IN
    dataset.save_as(target)
    named = syntax.encode().ljust(len(_STAND_IN), b"\0")
    target.write_bytes(target.read_bytes().replace(_STAND_IN.encode(), named, 1))
    return target


def _saved(dataset: FileDataset, target: Path) -> Path:
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    target.write_bytes(data.file_bytes(dataset))
    return target


def _deflated(frame: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(frame) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)
