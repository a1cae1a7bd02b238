"""A folder of DICOM images that is complete, or is not there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handlers.model import Product

PARENT = Path("dicom")


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Where the images of one volume go: `top`, relative to the folder of the revision."""

    folder: Path
    top: Path


@contextmanager
def image_folder(folder: Path, name: str) -> Iterator[ImageFolder]:
    """Make `dicom/<name>`; when the writing of an image fails, none of the others stays.

    Raises:
        OSError: the folder cannot be made.
    """
    top = PARENT / name
    (folder / top).mkdir(parents=True, exist_ok=True)
    try:
        yield ImageFolder(folder, top)
    except BaseException:
        shutil.rmtree(folder / top)  # no image may lie there that nobody knows of
        raise


def add_image(place: ImageFolder, kind: str, content: bytes, number: int, volume: int) -> Product:
    """Write one image as `<number>.dcm`.

    Raises:
        OSError: the file cannot be written.
    """
    name = place.top / f"{number:05}.dcm"
    (place.folder / name).write_bytes(content)
    return Product(kind, name, volume, hashlib.sha256(content).hexdigest(), len(content))
