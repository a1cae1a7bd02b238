"""Read instances from files, and group them into series.

Pixel data are never read. Whatever is wrong with a file, the answer is an instance or an
`UnreadableInstanceError`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from handlers import attributes, part10
from handlers.errors import MalformedAttributeError, UnreadableInstanceError
from handlers.model import Finding, Instance, Scope, Series, Severity
from handlers.siblings import with_siblings

# Rules judge the values themselves and name what breaks the standard; a warning that pydicom raises
# in passing, wherever an attribute is first converted, would reach nobody. This is a setting of the
# process: warnings.catch_warnings around each read would not be safe in threads, and would end
# before pydicom's lazy conversion begins.
config.settings.reading_validation_mode = config.IGNORE
warnings.filterwarnings("ignore", message="Failed to decode byte string", category=UserWarning)  # ING-006

DIRECTORY_CODE = "TRI-OBJ-003"
UID_PATTERN = re.compile(r"\d+(\.\d+)*", re.ASCII)  # PS3.5 section 9.1; leading zeros occur and do no harm
USABLE_PATTERN = re.compile(
    r"[0-9A-Za-z][0-9A-Za-z._-]*"
)  # digests in place of UIDs, as some anonymizers write
UID_LENGTH = 64  # characters
IDENTITY = {0x0020000D: "StudyInstanceUID", 0x0020000E: "SeriesInstanceUID", 0x00080018: "SOPInstanceUID"}
LOSSY_SYNTAXES = {
    # lossy whatever the header says; PS3.5 sections A.4.1, 8.2 and 10
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203",
}  # fmt: skip


class StrayInstanceError(UnreadableInstanceError):
    """An instance cannot be used, but its header tells the series that it belongs to."""

    def __init__(self, message: str, *, study_instance_uid: str, series_instance_uid: str) -> None:
        super().__init__(message)
        self.study_instance_uid = study_instance_uid
        self.series_instance_uid = series_instance_uid


def read_instance(path: Path) -> Instance:
    """Read one SOP Instance, without its pixels.

    Accepts Part 10 files and bare data sets in any native encoding. Where file meta
    information is missing, or contradicts a native data set, the transfer syntax is what the
    bytes show. Attributes after the pixel data are not read.

    Raises:
        UnreadableInstanceError: not DICOM, cut short before the pixel data, nested deeper than
            64 levels, inflating beyond bounds, or without the UIDs that identify it (ING-001); for a
            DICOMDIR its code is TRI-OBJ-003.

    Source: PS3.10 section 7 (file meta information), PS3.5 sections 7 and A (encoding).
    """
    try:
        status = path.stat()
        _refuse_special_file(status)
        with path.open("rb") as file:
            header = part10.parse(file, status.st_size)
        return _instance(path, status.st_size, header)
    except OSError as error:
        raise UnreadableInstanceError(f"the file cannot be opened: {error.strerror}") from error
    except part10.HeaderError as error:
        raise _stray(error) from error
    except UnreadableInstanceError:
        raise
    except Exception as error:  # the mouth for hostile bytes: pydicom raises whatever a conversion raised
        raise UnreadableInstanceError(
            f"the header cannot be read: {type(error).__name__}: {error}"
        ) from error


def series_from_files(
    paths: Iterable[Path], *, progress: Callable[[int], None] | None = None
) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Read files and group them by SeriesInstanceUID.

    The series are sorted by their UID, the instances in them by SOPInstanceUID, whatever the order
    of `paths`. A DICOMDIR is passed over, unless there is nothing else. Where several files hold
    one SOPInstanceUID, one is taken: the findings ING-002 and ING-003 of the series say so.

    Args:
        paths: the files.
        progress: called after each file with the number of files read so far.

    Returns:
        The series, each with the others of its study in `Series.study`; and the files that
        could not be read and whose series is unknown, with the reason.
    """
    instances: dict[str, list[Instance]] = defaultdict(list)
    strays: dict[str, list[tuple[Path, StrayInstanceError]]] = defaultdict(list)
    unreadable: list[tuple[Path, str]] = []
    directories: list[tuple[Path, str]] = []
    for count, path in enumerate(sorted(paths), 1):
        try:
            instance = read_instance(path)
            instances[_text(instance.header, "SeriesInstanceUID")].append(instance)
        except StrayInstanceError as error:
            strays[error.series_instance_uid].append((path, error))
        except UnreadableInstanceError as error:
            (directories if error.code == DIRECTORY_CODE else unreadable).append((path, str(error)))
        if progress is not None:
            progress(count)
    series = [_series(uid, instances[uid], strays[uid]) for uid in sorted(instances.keys() | strays.keys())]
    if not series and not unreadable:
        unreadable = directories
    return with_siblings(series), unreadable


def _refuse_special_file(status: os.stat_result) -> None:
    """Refuse what is no plain file; a named pipe would block the reader for ever."""
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableInstanceError("not a regular file")


def _instance(path: Path, size: int, header: part10.Header) -> Instance:
    if _text(header.elements.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise UnreadableInstanceError("a DICOMDIR: it lists files and holds no image", code=DIRECTORY_CODE)
    uids = {keyword: _whole(header.elements, keyword) for keyword in IDENTITY.values()}
    missing = [keyword for keyword, uid in uids.items() if not uid]
    if missing:
        raise _without_identity(f"the header has no {' and no '.join(missing)}", uids)
    unusable = [keyword for keyword, uid in uids.items() if not _is_usable(uid)]
    if unusable:
        raise _without_identity(
            f"{' and '.join(unusable)}: a UID has digits and dots, at most 64 characters", uids
        )
    return Instance(
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=_text(header.elements, "SOPClassUID"),
        transfer_syntax_uid=header.transfer_syntax_uid,
        path=path,
        header=header.elements,
        size_bytes=size,
        pixel_keyword=header.pixel_keyword,
    )


def _whole(header: Dataset, keyword: str) -> str:
    """Return all values of an attribute as they were written; two UIDs in one attribute are none."""
    try:
        return "\\".join(attributes.texts(header, keyword) or ())
    except MalformedAttributeError:
        return ""


def _is_usable(uid: str) -> bool:
    """Say whether a UID can name things: it may break the standard, but not a file system or a message."""
    return len(uid) <= UID_LENGTH and USABLE_PATTERN.fullmatch(uid) is not None


def _invalid_uids(instances: Sequence[Instance]) -> list[Finding]:
    """Find identifiers that are used although they break PS3.5 section 9.1."""
    headers = [instance.header for instance in instances]
    broken = [
        keyword
        for keyword in IDENTITY.values()
        if not all(UID_PATTERN.fullmatch(_text(header, keyword)) for header in headers)
    ]
    if not broken:
        return []
    message = f"{', '.join(broken)}: other characters than digits and dots; used as they are"
    return [Finding("ING-013", Severity.WARN, message, evidence={"keywords": broken})]


def _stray(error: part10.HeaderError) -> UnreadableInstanceError:
    """Name the series of a broken header where its UIDs came before the damage."""
    known = (
        {}
        if error.walk is None
        else {key: part10.text(error.walk, tag) or "" for tag, key in IDENTITY.items()}
    )
    return _without_identity(str(error), known)


def _without_identity(message: str, uids: Mapping[str, str]) -> UnreadableInstanceError:
    """Make the error of an instance that cannot be used, with its series where that is known."""
    study, series = uids.get("StudyInstanceUID", ""), uids.get("SeriesInstanceUID", "")
    if _is_usable(study) and _is_usable(series):
        return StrayInstanceError(message, study_instance_uid=study, series_instance_uid=series)
    return UnreadableInstanceError(message)


def _series(uid: str, found: Sequence[Instance], strays: Sequence[tuple[Path, StrayInstanceError]]) -> Series:
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in found:
        by_uid[instance.sop_instance_uid].append(instance)
    chosen: list[Instance] = []
    findings = _invalid_uids(found)
    for sop_instance_uid in sorted(by_uid):
        instance, more = _one_of(by_uid[sop_instance_uid])
        chosen.append(instance)
        findings.extend(more)
    study = _text(chosen[0].header, "StudyInstanceUID") if chosen else strays[0][1].study_instance_uid
    unreadable = tuple((path, str(error)) for path, error in strays)
    return Series(uid, study, tuple(chosen), unreadable=unreadable, findings=tuple(findings))


def _one_of(files: Sequence[Instance]) -> tuple[Instance, list[Finding]]:
    """Choose among the files of one SOPInstanceUID, by content alone, never by arrival or name."""
    if len(files) == 1:
        return files[0], []
    by_digest: dict[str, list[Instance]] = defaultdict(list)
    for instance in files:
        by_digest[hashlib.sha256(instance.path.read_bytes()).hexdigest()].append(instance)
    ranked = sorted(by_digest, key=lambda digest: (*_preference(by_digest[digest][0]), digest))
    chosen, findings, uid = by_digest[ranked[0]][0], [], files[0].sop_instance_uid
    if len(files) > len(by_digest):
        message = f"{len(files) - len(by_digest)} files repeat an instance byte for byte"
        findings.append(Finding("ING-003", Severity.INFO, message, Scope.INSTANCE, uid, {"sha256": ranked}))
    if len(by_digest) > 1:
        message = f"{len(by_digest)} different objects bear one SOPInstanceUID; one of them is used"
        syntaxes = [by_digest[digest][0].transfer_syntax_uid for digest in ranked]
        evidence = {"used_sha256": ranked[0], "sha256": ranked, "TransferSyntaxUID": syntaxes}
        findings.append(Finding("ING-002", Severity.REVIEW, message, Scope.INSTANCE, uid, evidence))
    return chosen, findings


def _preference(instance: Instance) -> tuple[bool, bool, bool]:
    """Rank representations of one instance, best first: with pixels, never lossy, not compressed."""
    syntax = UID(instance.transfer_syntax_uid)
    is_lossy = _text(instance.header, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES
    is_encapsulated = syntax.is_transfer_syntax and syntax.is_encapsulated
    return instance.pixel_keyword == "", is_lossy, is_encapsulated


def _text(header: Dataset, keyword: str) -> str:
    try:
        return attributes.text(header, keyword) or ""
    except MalformedAttributeError:
        return ""
