"""dcmtk's storescu as a sender of many objects: which files it sent, and which of them it saw acknowledged."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import data

# I: Sending file: /in/0001.dcm  ...  I: Received Store Response (Success)
LINE = re.compile(r"I: (?:Sending file: (?P<file>.+)|Received Store Response \((?P<answer>.+)\))$")
NUMBER = "{:06d}"


def write_objects(folder: Path, count: int, *, series_uid: str, size: int = 32) -> dict[str, Path]:
    """Write CT instances of one series, the same but for their UID; return SOPInstanceUID -> file.

    They are made from the bytes of one, so that ten thousand take a second.
    """
    (one,) = data.ct_series(slices=1, rows=size, columns=size, series_uid=series_uid)
    placeholder = f"{series_uid}.1{NUMBER.format(0)}"
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = placeholder
    content = data.file_bytes(one)
    assert content.count(placeholder.encode()) == 2
    folder.mkdir(parents=True)
    files = {}
    for number in range(count):
        uid = f"{series_uid}.1{NUMBER.format(number)}"
        files[uid] = folder / f"{NUMBER.format(number)}.dcm"
        files[uid].write_bytes(content.replace(placeholder.encode(), uid.encode()))
    return files


def storescu(port: int, files: Sequence[Path], *, pipe_bytes: int = -1) -> subprocess.Popen[str]:
    """Start to send files over one association; skips where dcmtk is missing.

    With a small pipe it cannot run far ahead of who reads what it says.
    """
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("dcmtk is not installed")
    limits = ["-to", "30", "-ta", "60", "-td", "60"]
    return subprocess.Popen(
        [program, "-v", *limits, "-aec", "PREPNODE", "127.0.0.1", str(port), *map(str, files)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=pipe_bytes,
        env=os.environ | {"TCP_NODELAY": "1"},
    )


def acknowledgements(process: subprocess.Popen[str]) -> Iterator[Path]:
    """Yield each file whose response was "Success" when that comes, until the sender ends, however it does."""
    with process:
        file = None
        for line in process.stderr or ():
            match = LINE.match(line)
            if match and match["file"]:
                file = Path(match["file"])
            elif match and match["answer"] == "Success":
                assert file is not None, "a response without a request"
                yield file


def acknowledged(process: subprocess.Popen[str]) -> set[Path]:
    """Return the files whose response was "Success", when a sender has ended."""
    return set(acknowledgements(process))
