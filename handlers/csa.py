"""Read the private image header of Siemens (CSA): names and values of one binary element.

Source: layout as described at https://nipy.org/nibabel/dicom/siemens_csa.html.
"""

from __future__ import annotations

import warnings

from handlers import attributes
from handlers.attributes import Source
from handlers.errors import MalformedAttributeError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # the package warns of its other readers when it is imported
    from nibabel.nicom import csareader

GROUP, CREATOR, IMAGE_HEADER = 0x0029, "SIEMENS CSA HEADER", 0x10


def image_header(source: Source) -> dict[str, tuple[str | float | int, ...]]:
    """Return the values of (0029,xx10) by name; {} where there is no such element.

    Raises:
        MalformedAttributeError: the element is damaged.
    """
    content = attributes.private(source, GROUP, CREATOR, IMAGE_HEADER)
    if not content:
        return {}
    try:
        tags = csareader.read(bytes(content))["tags"]  # type: ignore[no-untyped-call]
        return {name: tuple(tag["items"]) for name, tag in tags.items()}
    except Exception as error:  # a parser of foreign bytes raises whatever its conversions raised
        raise MalformedAttributeError(f"the CSA image header cannot be read: {error}") from error
