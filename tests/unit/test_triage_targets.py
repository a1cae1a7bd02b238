"""What findings speak about: volumes, instances in none, or the series; and which volumes are measured."""

from __future__ import annotations

import pytest

from handlers.model import Frame, Scope, Severity, Volume
from handlers.triage.targets import Target, measured, some, targets, volume_finding
from triage_cases import instance, series, volume

SCREEN = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage


def told(made):
    return [(each.scope, each.name, each.modality, len(each.instances)) for each in targets(made)]


def test_every_volume_and_every_instance_in_none_is_a_target():
    loose = tuple(instance(name=name, Modality="CT") for name in ("one", "two"))
    assert told(series(volume("CT"), volume("MR", index=1, slices=3), loose=loose)) == [
        (Scope.VOLUME, "v0", "CT", 20), (Scope.VOLUME, "v1", "MR", 3),
        *((Scope.INSTANCE, each.sop_instance_uid, "CT", 1) for each in loose),
    ]  # fmt: skip


def test_without_a_volume_every_class_stands_for_the_series():
    screen = instance(name="screen", sop_class=SCREEN, Modality="OT")
    slices = tuple(instance(name=k, Modality="CT") for k in range(2))
    found = targets(series(loose=(slices[0], screen, slices[1])))
    assert [(each.scope, each.name, each.modality, len(each.instances)) for each in found] == [
        (Scope.SERIES, "", "CT", 2), (Scope.SERIES, "", "OT", 1),
    ]  # fmt: skip
    assert found[1].sop_class_uid == SCREEN


def test_frames_of_one_object_have_one_instance():
    one = instance()
    assert Target(Scope.VOLUME, "v0", (Frame(one, 1), Frame(one, 2)), "CT").instances == (one,)
    assert Target(Scope.VOLUME, "v0", (), "CT").sop_class_uid == ""


def test_findings_bear_the_name_of_their_target():
    (target,) = targets(series(volume("CT")))
    for found in (
        target.finding("X-001", Severity.WARN, "said", {"a": 1}),
        volume_finding(volume("CT"), "X-001", Severity.WARN, "said", a=1),
    ):
        assert (found.code, found.severity, found.scope, found.target) == (
            "X-001", Severity.WARN, Scope.VOLUME, "v0",
        )  # fmt: skip
        assert (found.message, found.evidence) == ("said", {"a": 1})
    assert target.finding("X-001", Severity.WARN, "said").evidence == {}


LOCALIZER, AXIAL = ["ORIGINAL", "PRIMARY", "LOCALIZER"], ["ORIGINAL", "PRIMARY", "AXIAL"]


@pytest.mark.parametrize(
    ("attributes", "is_measured"),
    [
        ({}, True),
        ({"modality": "MR"}, False),
        ({"sop_class": SCREEN}, False),
        ({"sop_class": "1.3.46.670589.2.4.1.1"}, True),  # of a vendor, it may be an image
        ({"ImageType": LOCALIZER}, False),
        ({"ImageType": lambda k: LOCALIZER if k == 0 else AXIAL}, False),  # the first image tells
        ({"ImageType": lambda k: AXIAL if k == 0 else LOCALIZER}, True),
    ],
)
def test_screens_and_localizers_are_not_measured(attributes, is_measured):
    made = volume(**{"modality": "CT", **attributes})
    assert measured(series(made), "CT", "PT") == ((made,) if is_measured else ())


def test_a_volume_without_frames_is_not_measured():
    assert measured(series(Volume(0, (), "CT")), "CT") == ()


def test_five_instances_are_named():
    made = [instance(name=k) for k in range(6)]
    assert some(made) == [each.sop_instance_uid for each in made[:5]]
    assert some(made[:4]) == [each.sop_instance_uid for each in made[:4]]
