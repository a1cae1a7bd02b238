"""Ask a site's own classifier for contrast phases: a command outside this process, with a time limit.

It gets a JSON object on standard input and answers with one on standard output (docs/extending.md).
Whatever goes wrong there is told in one sentence and costs nothing but its answer.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from handlers.api import ContrastOptions
from handlers.model import Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.phase_fusion import Evidence, classes, supported_by

SOURCE = "classifier"
PR_SET_PDEATHSIG = 1  # prctl(2)
LONGEST_ANSWER = 1 << 20  # bytes
TEXTS = (
    "Modality", "BodyPartExamined", "SeriesDescription", "ProtocolName", "Manufacturer",
    "ManufacturerModelName", "ConvolutionKernel", "ContrastBolusAgent", "PatientPosition",
)  # fmt: skip
NUMBERS = ("KVP", "SliceThickness")
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Answer:
    """The evidence of the classifier, or why there is none."""

    evidence: tuple[Evidence, ...] = ()
    failure: str = ""


def ask(volume: Volume, options: ContrastOptions) -> Answer:
    """Give a decoded volume to the classifier and return its answer; the command cannot make it raise."""
    if volume.values is None or volume.geometry is None:
        return Answer(failure="the volume has no values")
    with tempfile.TemporaryDirectory(prefix="prepnode-") as name:
        folder = Path(name)
        path = folder / "volume.nii"
        _write(volume, path)
        question = json.dumps(_question(volume, path)).encode("utf-8")
        failure = _run(options, question, folder / "answer.json")
        if failure:
            return Answer(failure=failure)
        with (folder / "answer.json").open("rb") as file:
            told = file.read(LONGEST_ANSWER + 1)
    return _understood(told, options.classifier_weight)


def _write(volume: Volume, path: Path) -> None:
    """Write the values in modality units, in the axes of the scanner, as NIfTI without compression."""
    nibabel: Any = import_module("nibabel")

    assert volume.values is not None  # noqa: S101 - for the type checker; `ask` has looked
    assert volume.geometry is not None  # noqa: S101
    kind = np.int16 if np.issubdtype(volume.values.dtype, np.integer) else np.float32
    image = nibabel.Nifti1Image(
        volume.values.transpose(2, 1, 0).astype(kind, copy=False), TO_RAS @ volume.geometry.affine
    )
    nibabel.save(image, path)


def _question(volume: Volume, path: Path) -> dict[str, Any]:
    frame = volume.frames[0]
    told: dict[str, Any] = {each: text for each in TEXTS if (text := header.text(frame, each))}
    told |= {each: value for each in NUMBERS if (value := header.number(frame, each)) is not None}
    return {"volume": str(path), "units": volume.units, "header": told, "classes": list(classes())}


def _run(options: ContrastOptions, question: bytes, answer: Path) -> str:
    """Run the command; return what went wrong, "" for nothing. What it started ends with it."""
    die_with_us = partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        with answer.open("wb") as file:
            process = subprocess.Popen(
                options.classifier,
                stdin=subprocess.PIPE,
                stdout=file,
                start_new_session=True,
                preexec_fn=die_with_us,  # noqa: PLW1509 - one call into libc, which was loaded before
            )
    except (OSError, ValueError) as error:
        return f"{options.classifier[0]} could not be started ({type(error).__name__})"
    try:
        process.communicate(question, timeout=options.classifier_timeout_s)
    except subprocess.TimeoutExpired:
        return f"it took longer than {options.classifier_timeout_s:g} s"
    except OSError as error:
        return f"it could not be asked ({type(error).__name__})"
    finally:
        _end(process)
    return "" if process.returncode == 0 else f"it ended with {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and all that it has started."""
    with suppress(ProcessLookupError):  # all of it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _understood(told: bytes, weight: float) -> Answer:
    if len(told) > LONGEST_ANSWER:
        return Answer(failure="its answer is too long")
    try:
        answer = json.loads(told)
    except ValueError:
        return Answer(failure="its answer is no JSON")
    likelihoods = answer.get("likelihoods") if isinstance(answer, Mapping) else None
    if not isinstance(likelihoods, Mapping) or not likelihoods:
        return Answer(failure='its answer has no "likelihoods"')
    if unknown := sorted(set(map(str, likelihoods)) - set(classes())):
        return Answer(
            failure=f"it names {unknown[0][:32]!r}, which is no class; there are {', '.join(classes())}"
        )
    if not all(_is_likelihood(value) for value in likelihoods.values()) or not any(likelihoods.values()):
        return Answer(failure="a likelihood is no number from 0 to 1, or all are 0")
    top, least = max(likelihoods.values()), table("phases")["fusion"]["other"]
    pooled = {each: max(likelihoods.get(each, 0.0) / top, least) for each in classes()}
    raw = str(answer.get("model") or "no name")
    return Answer((Evidence(SOURCE, raw, supported_by(pooled), weight, pooled),))


def _is_likelihood(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= 1
    )
