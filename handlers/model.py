"""The values that the science passes along: instance, frame, series, volume, finding, product, outcome.

An *instance* is one SOP Instance. A *frame* is one image plane in it. A *series* is what
shares a SeriesInstanceUID; a *volume* is what can be stacked into one array, so a series
holds one or several. All values are frozen: a rule returns findings, a step returns a new
volume (`dataclasses.replace`), nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset


class Severity(IntEnum):
    """How much a finding matters; the order is the order of concern."""

    INFO = 0
    WARN = 1
    REVIEW = 2
    ERROR = 3


class Verdict(StrEnum):
    """What may be done with a volume or a series."""

    ACCEPT = "ACCEPT"
    ACCEPT_WARN = "ACCEPT_WARN"
    QUARANTINE = "QUARANTINE"
    REJECT = "REJECT"


class Scope(StrEnum):
    """What a finding speaks about."""

    INSTANCE = "instance"
    SERIES = "series"
    VOLUME = "volume"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation with a stable code, one sentence, and the evidence for it.

    `target` is the SOPInstanceUID of an instance, the name of a volume ("v0"), or "" for
    the series. Keys of `evidence` are DICOM keywords, or snake_case for what the node
    measured. A rule that settles a fact about a volume puts it into the evidence under
    one of `FACTS`; `volume_facts` collects them for report and sidecar.
    """

    code: str
    severity: Severity
    message: str
    scope: Scope = Scope.SERIES
    target: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


FACTS = ("kernel", "contrast", "cardiac", "respiratory", "lossy")


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP Instance: its identity, where its bytes lie, and its header without pixel data.

    `header` holds every element before the pixel data. `pixel_keyword` names the element
    that holds the pixels ("PixelData", "FloatPixelData", "DoubleFloatPixelData") or is "".
    `sha256` is the digest of the data set as received, where whoever keeps the file knows it, else "".
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    header: Dataset
    size_bytes: int
    pixel_keyword: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """Where one slice lies in a sheet of tiled slices: number from 1, first row and column, size; pixels."""

    number: int
    first_row: int
    first_column: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane of an instance.

    `number` counts from 1, as in DICOM. `functional` maps keywords to elements' values from the
    functional groups that hold for this frame: a per-frame macro wins over the same
    shared macro. It is empty for classic instances, but for what a `tile` has of its own.
    """

    instance: Instance
    number: int = 1
    functional: Mapping[str, Any] = field(default_factory=dict)
    tile: Tile | None = None

    @property
    def identity(self) -> tuple[str, int, int]:
        """SOPInstanceUID, frame number, number of the tile (0 where the frame is no sheet)."""
        return self.instance.sop_instance_uid, self.number, self.tile.number if self.tile else 0


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the planes of a volume lie, measured from the positions (LPS, mm), never from spacing tags.

    `slice_step` is the vector from one slice to the next (last minus first, divided by
    n-1): its length along the normal is `spacing_mm[2]`, and its angle to the normal is
    `shear_deg` (gantry tilt). `gaps_mm` are the n-1 distances along the normal.
    `missing` holds, for each interior hole, (index of the slice before it, slices missing).
    `duplicates` are pairs of indices of frames at one position. `slice_spacing_source` is
    "positions"; where all frames lie at one position, it is the keyword that the length of `slice_step`
    was taken from, or "unknown" (then 1 mm, so that the affine can be inverted).
    """

    origin: tuple[float, float, float]
    row_cosine: tuple[float, float, float]
    column_cosine: tuple[float, float, float]
    normal: tuple[float, float, float]
    slice_step: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    gaps_mm: tuple[float, ...]
    shear_deg: float
    residual_mm: float
    orthonormality_error: float
    orientation_spread_deg: float
    missing: tuple[tuple[int, int], ...]
    duplicates: tuple[tuple[int, int], ...]
    is_uniform: bool
    orientation: str
    slice_spacing_source: str = "positions"

    @property
    def affine(self) -> NDArray[np.float64]:
        """4x4, (column, row, slice) index -> LPS mm, with the true slice step (sheared when tilted)."""
        matrix = np.eye(4)
        matrix[:3, 0] = np.multiply(self.row_cosine, self.spacing_mm[0])
        matrix[:3, 1] = np.multiply(self.column_cosine, self.spacing_mm[1])
        matrix[:3, 2] = self.slice_step
        matrix[:3, 3] = self.origin
        return matrix


@dataclass(frozen=True, slots=True)
class AppliedStep:
    """One normalization step that was done, with the parameters that it used."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Companion:
    """A further array on the grid of a volume, written beside it as `v<k>_<name>.nii.gz`.

    `values` have the shape of the volume's, (slices, rows, columns), and are None once they were
    written. `units` is UCUM. `facts` say what it is, for the sidecar.
    """

    name: str
    values: NDArray[Any] | None
    units: str = "1"
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NormModel:
    """What was learnt of the intensities of a cohort, as data; immutable, a new fit is a new version.

    `kind` is "nyul" (standard scale), "histogram" (quantiles of one reference volume) or
    "frequency" (edges of equally filled bins, HU). `positions` are percentiles, ascending;
    `values` are the landmarks there and `spread` their standard deviations over the
    `n` volumes of the fit (0 where there is one). `sha256` is the digest of the whole fit.
    """

    kind: str
    cohort: str
    version: int
    positions: tuple[float, ...]
    values: tuple[float, ...]
    spread: tuple[float, ...]
    n: int
    sha256: str

    @property
    def model_id(self) -> str:
        """Name in outputs and commands: "nyul:HEAD/T1/3D/3T/plain:v2"."""
        return f"{self.kind}:{self.cohort}:v{self.version}"


@dataclass(frozen=True, slots=True)
class Volume:
    """Frames that belong together in one array, in slice order along the normal.

    Before decoding only the header facts are set. `values`, `padding` and `interpolated`
    share the shape (slices, rows, columns); `padding` is True where the scanner measured
    nothing, `interpolated` where the node filled. `affine` maps (column, row, slice) to
    LPS mm and is None where the modality has no patient geometry (projection images).
    `spacing_mm` is (column, row, slice); None entries are unknown, never 1.0. `units` is
    UCUM ("[hnsf'U]", "Bq/ml", "1" for arbitrary). `background` replaces padding.
    `measured` are the statistics of `values` in modality units before any interpolation.
    `written` keeps what is known of the last array once `values` are dropped: its `shape`
    (columns, rows, slices), `padding_voxels`, and `statistics` where they differ from `measured`.
    `companions` are further arrays on the same grid. `landmarks` are the intensity landmarks that
    a model of the cohort can be fitted to, each a mapping of `handlers.normalization.landmarks`.
    """

    index: int
    frames: tuple[Frame, ...]
    modality: str
    split_key: Mapping[str, Any] = field(default_factory=dict)
    geometry: Geometry | None = None
    values: NDArray[Any] | None = None
    padding: NDArray[np.bool_] | None = None
    interpolated: NDArray[np.bool_] | None = None
    affine: NDArray[np.float64] | None = None
    spacing_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    units: str = "1"
    background: float = 0.0
    polarity_inverted: bool = False
    measured: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    companions: tuple[Companion, ...] = ()
    landmarks: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[AppliedStep, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """Name of this volume in findings and files: "v0"."""
        return f"v{self.index}"

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances behind the frames, each once, in slice order."""
        return tuple({frame.instance.sop_instance_uid: frame.instance for frame in self.frames}.values())


@dataclass(frozen=True, slots=True)
class Completion:
    """Why the series was taken as complete."""

    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiblingSeries:
    """Header facts of another series of the same study, as known at that moment (keyword -> value)."""

    series_instance_uid: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """Everything known of one series at one revision.

    `volumes` is empty until `handlers.volumes.split`. `unreadable` lists files that were
    offered but could not be read, with the reason. `labels` are the segmentations (SEG, RTSTRUCT) of
    the same study, whatever they belong to.
    """

    series_instance_uid: str
    study_instance_uid: str
    instances: tuple[Instance, ...]
    revision: int = 1
    volumes: tuple[Volume, ...] = ()
    study: tuple[SiblingSeries, ...] = ()
    completion: Completion = field(default_factory=lambda: Completion("folder"))
    unreadable: tuple[tuple[Path, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    labels: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """One file that was written, relative to the folder of the revision.

    `findings` are what its writer noticed; the handler notes them, and takes them off.
    """

    kind: str
    path: Path
    volume: int | None = None
    sha256: str = ""
    size_bytes: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the handler made of a series: volumes with their verdicts, findings, and the files written."""

    series: Series
    verdict: Verdict
    volumes: tuple[Volume, ...]
    volume_verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    products: tuple[Product, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def volume_facts(findings: Iterable[Finding], volume: Volume) -> dict[str, Any]:
    """Collect what the rules settled about one volume (see `FACTS`); a later finding wins."""
    facts: dict[str, Any] = {}
    for finding in findings:
        if finding.target in ("", volume.name):
            facts.update({name: finding.evidence[name] for name in FACTS if name in finding.evidence})
    return facts
