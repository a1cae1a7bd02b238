"""A mammography series is told what the other series of its study show, as far as they were processed."""

from __future__ import annotations

import pytest

from node.registry import due
from registered import Node

VIEW = {"ImageLaterality": "R", "view": "MLO", "kind": "2-D", "modifiers": []}


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.close()


def finished(node, uid, volumes):
    """Bring a series to its end with a report of these volumes."""
    report = {"verdict": "ACCEPT", "volumes": volumes, "findings": []}
    node.complete(uid)
    assert node.repository.start(uid, 1, node.clock())
    assert node.repository.finish(uid, 1, report, [], [], node.clock())


def test_views_of_processed_series_come_along_and_header_facts_of_all(node, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        node.arrive([file], series=uid, Modality="MG", ImageLaterality="L")
    volume = {"index": 0, "verdict": "ACCEPT", "modality": "MG", "view": VIEW}
    finished(node, "1.2.2", [volume, {**volume, "index": 1, "view": None}])
    siblings = due.series_to_process(node.engine, "1.2.1").siblings
    assert siblings["1.2.2"]["breast_views"] == [VIEW]
    assert siblings["1.2.2"]["ImageLaterality"] == "L"
    assert "breast_views" not in siblings["1.2.3"]


def test_other_modalities_are_not_told_of_views(node, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    node.arrive([file], series="1.2.1", Modality="CT")
    node.arrive([file], series="1.2.2", Modality="MG")
    finished(node, "1.2.2", [{"index": 0, "verdict": "ACCEPT", "modality": "MG", "view": VIEW}])
    assert "breast_views" not in due.series_to_process(node.engine, "1.2.1").siblings["1.2.2"]
