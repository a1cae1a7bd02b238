"""What a finding can speak about: each volume, and each instance that is in no volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.model import Finding, Frame, Instance, Scope, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.sop_classes import ROOT, Kind, kind

LISTED = 5  # targets that a finding names; the rest is counted
STACKED = ("CT", "MR", "PT")  # modalities whose images are slices of a body
# Slices of other modalities: X-ray 3D angiographic and craniofacial, breast tomosynthesis; PS3.4 B.5
VOLUMETRIC = frozenset(ROOT + tail for tail in ("13.1.1", "13.1.2", "13.1.3"))


@dataclass(frozen=True, slots=True)
class Target:
    """A volume, or what is left of the series: how to address it, and its frames."""

    scope: Scope
    name: str
    frames: tuple[Frame, ...]
    modality: str

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances behind the frames, each once."""
        return tuple({frame.instance.sop_instance_uid: frame.instance for frame in self.frames}.values())

    @property
    def sop_class_uid(self) -> str:
        """The SOP class of its first instance; volumes are split by it."""
        return self.frames[0].instance.sop_class_uid if self.frames else ""

    def finding(
        self, code: str, severity: Severity, message: str, evidence: Mapping[str, Any] | None = None
    ) -> Finding:
        """Return a finding about this target."""
        return Finding(code, severity, message, self.scope, self.name, evidence or {})


def targets(series: Series) -> tuple[Target, ...]:
    """Return every volume, then every instance that is in none.

    Without any volume, the instances stand for the series: one target with the scope of
    the series, for each SOP class.
    """
    found = [Target(Scope.VOLUME, volume.name, volume.frames, volume.modality) for volume in series.volumes]
    placed = {instance.sop_instance_uid for volume in series.volumes for instance in volume.instances}
    rest = [instance for instance in series.instances if instance.sop_instance_uid not in placed]
    if series.volumes:
        return (*found, *(_of([each], Scope.INSTANCE, each.sop_instance_uid) for each in rest))
    classes = dict.fromkeys(instance.sop_class_uid for instance in rest)
    return tuple(
        _of([each for each in rest if each.sop_class_uid == uid], Scope.SERIES, "") for uid in classes
    )


def measured(series: Series, *modalities: str) -> tuple[Volume, ...]:
    """Return the volumes of these modalities that are no screens and no localizers."""
    return tuple(
        volume
        for volume in series.volumes
        if volume.frames
        and volume.modality in modalities
        and kind(volume.frames[0].instance.sop_class_uid) in (Kind.IMAGE, Kind.UNKNOWN)
        and "LOCALIZER" not in header.image_types_of(volume.frames[:1])
    )


def stacks(series: Series, *modalities: str) -> tuple[Volume, ...]:
    """Return the measured volumes of these modalities, and those of any whose class is one of slices."""
    sliced = {each.name for each in series.volumes if each.frames and _sop_class(each) in VOLUMETRIC}
    others = (each.modality for each in series.volumes if each.name in sliced)
    return tuple(
        volume
        for volume in measured(series, *modalities, *others)
        if volume.modality in modalities or volume.name in sliced
    )


def volume_finding(volume: Volume, code: str, severity: Severity, message: str, **evidence: Any) -> Finding:
    """Return a finding about a volume."""
    return Finding(code, severity, message, Scope.VOLUME, volume.name, evidence)


def some(instances: Iterable[Instance]) -> list[str]:
    """Return the UIDs of the first few instances, for evidence."""
    return [instance.sop_instance_uid for instance in instances][:LISTED]


def _of(instances: list[Instance], scope: Scope, name: str) -> Target:
    frames = tuple(Frame(instance) for instance in instances)
    return Target(scope, name, frames, header.text(instances[0], "Modality"))


def _sop_class(volume: Volume) -> str:
    return volume.frames[0].instance.sop_class_uid
