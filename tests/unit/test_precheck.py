"""Mistakes that the shape of a configuration does not show: each is told, with what was perhaps meant."""

from pathlib import Path

import pytest

from node.config import load
from node.errors import ConfigError
from node.precheck import check


def mistakes(tmp_path: Path, **tables) -> list[str]:
    config = load(None, {"node": {"data_dir": str(tmp_path)}, **tables})
    try:
        check(config)
    except ConfigError as error:
        return error.mistakes
    return []


def test_defaults_have_no_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == []


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"registry": {"url": "oracle://db"}}, "registry.url: 'oracle' is not among sqlite, postgresql"),
        ({"jobs": {"url": "jobs.db"}}, "jobs.url: it is not a database URL"),
        ({"route": [{"name": "ct", "match": {"Modalty": "CT"}}]}, "'Modalty', perhaps 'Modality'"),
        ({"route": [{"name": "ct"}, {"name": "ct"}]}, "route 'ct' is defined twice"),
        (
            {"profile": {"p": {"intensity": "lungs"}}},
            "'lungs' is not among none, zscore, percentile, nyul, histogram, lung",
        ),
        ({"profile": {"p": {"policy": {"GEO_005": "ACCEPT"}}}}, "no finding 'GEO_005', perhaps 'GEO-005'"),
        ({"profile": {"p": {"steps": ["corect_tilt"]}}}, "no plug-in 'corect_tilt', perhaps 'correct_tilt'"),
        ({"destination": [{"name": "d", "kind": "pigeon"}]}, "no kind 'pigeon'; there are: folder, dicom"),
        ({"web": {"host": "0.0.0.0"}}, "web.host: others can reach 0.0.0.0; set `token_file`"),
        ({"node": {"data_dir": "/dev/null/x"}}, "node.data_dir: /dev/null is not a folder"),
    ],
)
def test_a_mistake_is_told(tables: dict, told: str, tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, **tables)
    assert told in only


def test_a_route_may_ask_for_what_the_node_knows_of_a_series(tmp_path: Path) -> None:
    match = {"Modality": "CT", "CalledAET": "PREPNODE", "CallingAET": "PACS*", "source": "10.*"}
    assert mistakes(tmp_path, route=[{"name": "ct", "match": match}]) == []


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        registry={"url": "oracle://db"},
        jobs={"url": "nothing"},
        web={"host": "0.0.0.0"},
        destination=[{"name": "d", "kind": "pigeon"}],
        route=[{"name": "r", "match": {"Modalty": "CT"}}, {"name": "r"}],
        profile={"p": {"intensity": "x", "rules": ["x"]}, "q": {"policy": {"X-1": "ACCEPT"}}},
        tls={"enabled": True, "cert": str(tmp_path / "cert"), "key": str(tmp_path / "key")},
    )
    assert len(told) == 12
    assert len(set(told)) == 12
