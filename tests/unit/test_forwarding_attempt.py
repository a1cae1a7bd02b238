"""One attempt at a delivery: what is sent, and what the registry says of it afterwards."""

import pytest

from node.errors import ConfigError, DeliveryError
from node.forwarding import destinations
from node.forwarding.attempt import DeliveryWork
from node.forwarding.package import Sent
from registered import SERIES, START, STUDY, Node


@pytest.fixture
def make_node(tmp_path):
    nodes = []
    (tmp_path / "research").mkdir()

    def make(send=("outputs", "report"), destination=None):
        keys = destination or {"kind": "folder", "path": tmp_path / "research", "max_age_h": 2}
        node = Node(tmp_path / "data", {"destination": [{"name": "research", **keys}]})
        nodes.append(node)
        original = tmp_path / "original.dcm"
        original.write_bytes(b"DICM")
        node.arrive([original])
        node.complete()
        products = [node.product("v0.nii.gz"), node.product("report.json", kind="report")]
        node.finish(products, [{"destination": "research", "send": list(send)}])
        return node

    yield make
    for node in nodes:
        node.close()


def attempt(node, number=1):
    return DeliveryWork(node.config, node.repository, now=node.clock, random=lambda: 0.0)(number)


def failing(monkeypatch, *errors, after=()):
    """Let the folder destination fail with these errors in turn, once it has taken the files of `after`."""
    remaining = list(errors)

    def send(destination, package, already, deadline):
        yield from (Sent(name) for name in after if name not in already)
        raise remaining.pop(0)

    monkeypatch.setitem(destinations.BUILT_IN, "folder", send)


def test_a_delivery_that_succeeds_is_delivered_with_what_was_taken(make_node, tmp_path):
    node = make_node()
    assert attempt(node) is None
    row = node.delivery()
    assert row["state"] == "DELIVERED"
    assert row["attempts"] == 1
    assert row["delivered_at"] == START
    assert row["delivered"] == ["report.json", "v0.nii.gz"]
    assert (tmp_path / "research" / STUDY / SERIES / "r1" / "v0.nii.gz").read_bytes() == b"x"


def test_a_delivered_delivery_is_not_sent_again(make_node, monkeypatch):
    node = make_node()
    attempt(node)
    failing(monkeypatch)
    assert attempt(node) is None
    assert node.delivery()["attempts"] == 1


def test_a_delivery_that_is_not_there_or_not_due_is_not_attempted(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, DeliveryError("down"))
    assert attempt(node, 99) is None
    assert attempt(node) == 30
    node.clock.advance(seconds=10)
    assert attempt(node) == 20


def test_a_failure_that_may_pass_is_tried_again_after_a_growing_wait(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, DeliveryError("down"), DeliveryError("still down"))
    assert attempt(node) == 30
    node.clock.advance(seconds=30)
    assert attempt(node) == 60
    row = node.delivery()
    assert (row["state"], row["attempts"], row["error"]) == ("PENDING", 2, "still down")
    assert (row["due_at"] - node.clock()).total_seconds() == 60


def test_a_final_failure_is_a_dead_letter_at_once(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, DeliveryError("not a study", retryable=False))
    assert attempt(node) is None
    assert (node.delivery()["state"], node.delivery()["error"]) == ("FAILED", "not a study")


def test_a_delivery_too_old_is_a_dead_letter_that_names_the_last_error(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, DeliveryError("down"))
    node.clock.advance(hours=2)
    assert attempt(node) is None
    assert node.delivery()["state"] == "FAILED"
    assert node.delivery()["error"] == "given up after 2 h; the last attempt: down"


def test_an_unexpected_exception_is_tried_again(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, ZeroDivisionError("a mistake in a plug-in"))
    assert attempt(node) == 30
    assert node.delivery()["error"] == "ZeroDivisionError: a mistake in a plug-in"


def test_what_was_taken_before_a_failure_is_left_out_of_the_next_attempt(make_node, monkeypatch):
    node = make_node()
    failing(monkeypatch, DeliveryError("aborted"), after=["report.json"])
    attempt(node)
    assert node.delivery()["delivered"] == ["report.json"]
    seen = []

    def send(destination, package, already, deadline):
        seen.append(already)
        yield Sent("v0.nii.gz", remark="answered 0xB007")

    monkeypatch.setitem(destinations.BUILT_IN, "folder", send)
    node.clock.advance(seconds=30)
    assert attempt(node) is None
    assert seen == [frozenset({"report.json"})]
    assert node.delivery()["delivered"] == ["report.json", "v0.nii.gz"]
    assert node.events("delivery.remark")[0]["remarks"] == {"v0.nii.gz": "answered 0xB007"}


def test_a_delivery_to_a_destination_that_was_removed_is_given_up(make_node):
    node = make_node()
    bare = Node(node.folder)
    try:
        assert attempt(bare) is None
        assert "no longer in the configuration" in node.delivery()["error"]
    finally:
        bare.close()


PACS = {"kind": "dicom", "host": "127.0.0.1", "port": 1, "called_aet": "PACS"}


def test_a_dicom_destination_gets_no_nifti_and_that_is_said_once(make_node, monkeypatch):
    node = make_node(["outputs", "originals"], PACS)
    sent = []

    def send(destination, package, already, deadline):
        sent.extend(item.name for item in package.items)
        assert destination.calling_aet == "PREPNODE"
        raise DeliveryError("down")
        yield

    monkeypatch.setitem(destinations.BUILT_IN, "dicom", send)
    attempt(node)
    node.clock.advance(minutes=5)
    attempt(node)
    assert sent == [f"originals/{SERIES}.1.dcm"] * 2
    assert [event["kinds"] for event in node.events("delivery.left_out")] == [["nifti"]]


def test_a_dicom_destination_for_which_nothing_is_left_is_told_so(make_node):
    node = make_node(["outputs"], PACS)
    attempt(node)
    assert node.delivery()["state"] == "FAILED"
    assert "none of outputs is there in a form" in node.delivery()["error"]


def test_an_unknown_kind_of_destination_stops_the_start_and_lists_the_known_ones(make_node):
    node = make_node(destination={"kind": "pigeon"})
    with pytest.raises(ConfigError, match="no kind 'pigeon'; there are: folder, dicom"):
        destinations.check(node.config)
    attempt(node)
    assert node.delivery()["state"] == "FAILED"


PLUG_IN = """
from node.errors import DeliveryError

taken = []


def pigeon(product):
    if product.kind == "report":
        raise DeliveryError("too heavy", retryable=False)
    taken.append((product.kind, product.path.is_absolute(), product.path.read_bytes()))


class Crow:
    def __init__(self, nest):
        self.nest = nest

    def __call__(self, product):
        taken.append((self.nest, product.path.name))
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A package on the path that offers two kinds of destination."""
    site = tmp_path / "site"
    (site / "birds-1.0.dist-info").mkdir(parents=True)
    (site / "birds.py").write_text(PLUG_IN)
    (site / "birds-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: birds\nVersion: 1.0\n"
    )
    points = "[prepnode.destinations]\npigeon = birds:pigeon\ncrow = birds:Crow\n"
    (site / "birds-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(site)
    import birds

    birds.taken.clear()
    return birds


def test_a_plug_in_is_given_each_product_with_an_absolute_path(make_node, plug_in):
    node = make_node(["outputs"], {"kind": "pigeon"})
    destinations.check(node.config)
    attempt(node)
    assert node.delivery()["state"] == "DELIVERED"
    assert plug_in.taken == [("nifti", True, b"x")]


def test_a_plug_in_that_is_a_class_is_made_with_its_options(make_node, plug_in):
    node = make_node(["outputs"], {"kind": "crow", "options": {"nest": "oak"}})
    attempt(node)
    assert plug_in.taken == [("oak", "v0.nii.gz")]


def test_what_a_plug_in_refuses_is_said_in_its_words(make_node, plug_in):
    node = make_node(["report"], {"kind": "pigeon"})
    attempt(node)
    assert (node.delivery()["state"], node.delivery()["error"]) == ("FAILED", "too heavy")
