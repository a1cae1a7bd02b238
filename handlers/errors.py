"""What can go wrong in the science, as one tree.

    HandlerError
    ├── UnreadableInstanceError      not DICOM, cut short, or without the UIDs that identify it
    ├── MalformedAttributeError      an attribute is present but breaks its value representation
    ├── PixelDataError               the pixel data cannot be turned into stored values
    ├── VolumeError                  a step cannot be done on this volume
    └── PluginError                  a rule, step, writer or handler that is named but not installed

Every error carries the finding code under which `handlers.preprocess` reports it, so
that an error never leaves the science as a bare traceback.
"""


class HandlerError(Exception):
    """Any failure of the science that is reported as a finding."""

    code = "ING-001"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class UnreadableInstanceError(HandlerError):
    """A file is not a DICOM instance, or lacks a UID that identifies it (ING-001)."""

    code = "ING-001"


class MalformedAttributeError(HandlerError):
    """An attribute is present but its value breaks the standard; the message names the keyword and value."""

    code = "ING-013"


class PixelDataError(HandlerError):
    """Pixel data cannot be decoded, or its attributes contradict it (ING-004 unless a PIX code is given)."""

    code = "ING-004"


class VolumeError(HandlerError):
    """A normalization step cannot be done on this volume; `code` says why."""

    code = "NRM-ERR-001"


class PluginError(HandlerError):
    """A rule, step, writer or handler is named that is not installed; the message lists those that are."""

    code = "NRM-ERR-002"
