"""Routes: which profile a series gets, and where it goes."""

import pytest

from node.config import Config, Route
from node.routing import Plan, PlannedDelivery, deliveries_for, extra_writers, matches, plan

CT = {
    "Modality": "CT",
    "CalledAET": "PREPNODE",
    "CallingAET": "SCANNER1",
    "source": "10.1.2.3",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SeriesNumber": 3,
    "SliceThickness": 5.0,
}


def route(name="r", **keys):
    return Route(name=name, **keys)


def test_without_routes_a_series_gets_the_default_profile_and_goes_nowhere():
    assert plan(CT, ()) == Plan(profile="default", routes=(), deliveries=())


def test_a_series_that_no_route_matches_gets_the_default_profile():
    assert plan(CT, [route(match={"Modality": "MR"}, profile="brain", destinations=("d",))]) == Plan()


def test_an_empty_match_takes_every_series():
    assert plan(CT, [route(match={}, profile="p")]).profile == "p"
    assert plan({}, [route(match={}, profile="p")]).profile == "p"


def test_all_keys_of_a_match_have_to_hold():
    assert matches(CT, {"Modality": "CT", "CalledAET": "PREPNODE"})
    assert not matches(CT, {"Modality": "CT", "CalledAET": "OTHER"})


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"Modality": "ct"}, True),
        ({"Modality": ["MR", "CT"]}, True),
        ({"Modality": ["MR", "PT"]}, False),
        ({"CallingAET": "SCAN*"}, True),
        ({"CallingAET": "SCANNER?"}, True),
        ({"CallingAET": "SCAN"}, False),
        ({"source": "10.1.*"}, True),
        ({"source": "10.2.*"}, False),
        ({"source": "10x1x2x3"}, False),
        ({"ImageType": "PRIMARY"}, True),
        ({"ImageType": "ORIGINAL\\PRIMARY*"}, True),
        ({"ImageType": "DERIVED*"}, False),
        ({"SeriesNumber": 3}, True),
        ({"SeriesNumber": "3"}, True),
        ({"SliceThickness": 5}, True),
        ({"SliceThickness": 5.0}, True),
        ({"StationName": "*"}, False),
        ({"StationName": ""}, True),
        ({"Modality": ""}, False),
        ({"Modality": "C[T]"}, False),
    ],
)
def test_values_match_as_text_by_wildcard_or_as_any_of_a_list(match, expected):
    assert matches(CT, match) is expected


def test_the_first_matching_route_wins():
    routes = [route("a", profile="pa", destinations=("x",)), route("b", profile="pb", destinations=("y",))]
    planned = plan(CT, routes)
    assert planned.routes == ("a",)
    assert planned.profile == "pa"
    assert [delivery.destination for delivery in planned.deliveries] == ["x"]


def test_continue_lets_later_routes_add_destinations_but_keeps_the_first_profile():
    routes = [
        route("a", profile="pa", destinations=("x",), send=("report",), **{"continue": True}),
        route("b", match={"Modality": "MR"}, destinations=("never",)),
        route("c", profile="pc", destinations=("x", "y"), send=("outputs",)),
        route("d", destinations=("never",)),
    ]
    planned = plan(CT, routes)
    assert planned.routes == ("a", "c")
    assert planned.profile == "pa"
    assert planned.deliveries == (
        PlannedDelivery("x", ("report", "outputs")),
        PlannedDelivery("y", ("outputs",)),
    )


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("ACCEPT", ("outputs", "report", "originals")),
        ("ACCEPT_WARN", ("outputs", "report", "originals")),
        ("QUARANTINE", ("report",)),
        ("REJECT", ("report", "originals")),
    ],
)
def test_the_verdict_narrows_what_is_sent(verdict, expected):
    planned = plan(CT, [route(destinations=("d",), send=("outputs", "report", "originals"))])
    assert deliveries_for(planned, verdict) == (PlannedDelivery("d", expected),)


def test_a_held_series_is_not_delivered_where_only_outputs_were_asked_for():
    planned = plan(CT, [route(destinations=("d",), send=("outputs", "originals"))])
    assert deliveries_for(planned, "QUARANTINE") == ()


def test_a_report_for_a_dicom_destination_is_also_written_as_a_dicom_object():
    config = Config(
        destination=(
            {"name": "pacs", "kind": "dicom", "host": "h", "port": 104, "called_aet": "PACS"},
            {"name": "files", "kind": "folder", "path": "/x"},
        )
    )
    assert extra_writers(plan(CT, [route(destinations=("pacs",))]), config) == ("structured-report",)
    assert extra_writers(plan(CT, [route(destinations=("files",))]), config) == ()
    assert extra_writers(plan(CT, [route(destinations=("pacs",), send=("originals",))]), config) == ()
