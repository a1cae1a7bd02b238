"""What `prepnode bench receive` sends, whom it asks, and what it takes for a figure."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from node.benchmark import candidates, grown, measure, objects, own_node, processes, senders
from node.benchmark.measure import Candidate, Load, alternate
from node.benchmark.objects import Share
from node.benchmark.plan import Plan
from node.benchmark.receivers import OTHER, RECEIVING, Receiver
from node.benchmark.senders import Sending
from node.cli.bench_receive import receive
from node.config import Config
from node.errors import NodeError
from node.header_facts import facts
from node.registry.database import read_engine
from node.registry.schema import Instance, Series


def headers(folder: Path):
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]


# what is sent


def test_objects_are_dealt_out_evenly_with_uids_and_series_of_their_own(tmp_path):
    shares = objects.write_shares(tmp_path, "x", objects=11, size=16, associations=2)
    assert [share.objects for share in shares] == [6, 5]
    sent = [headers(share.folder) for share in shares]
    assert len({each.SOPInstanceUID for share in sent for each in share}) == 11
    series = [{each.SeriesInstanceUID for each in share} for share in sent]
    assert [len(each) for each in series] == [2, 2]
    assert not series[0] & series[1]
    assert shares[0].size_bytes == sum(path.stat().st_size for path in shares[0].folder.iterdir())


def test_a_series_has_a_hundred_objects_at_most_at_positions_of_their_own(tmp_path):
    (share,) = objects.write_shares(tmp_path, "x", objects=250, size=16, associations=1)
    sent = headers(share.folder)
    assert len({each.SeriesInstanceUID for each in sent}) == 3
    places = {(each.SeriesInstanceUID, tuple(each.ImagePositionPatient)) for each in sent}
    assert len(places) == 250


@pytest.mark.parametrize(
    ("size", "modality", "low", "high"), [(512, "CT", 524_288, 540_000), (64, "MR", 11_000, 13_500)]
)
def test_objects_have_the_size_and_the_header_of_a_scanner(size, modality, low, high, tmp_path):
    (share,) = objects.write_shares(tmp_path, "x", objects=1, size=size, associations=1)
    (path,) = share.folder.iterdir()
    assert low < share.size_bytes < high
    dataset = pydicom.dcmread(path)
    assert 90 <= len(dataset) <= 130
    assert dataset.Modality == modality
    assert dataset.pixel_array.shape == (size, size)
    assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID
    assert facts(path)["SeriesInstanceUID"] == dataset.SeriesInstanceUID


def test_the_large_object_is_as_long_as_it_says_and_takes_no_room(tmp_path):
    share = objects.write_large(tmp_path / "large", size_mb=64)
    path = share.folder / "large.dcm"
    assert share.size_bytes == path.stat().st_size > 64 << 20
    assert path.stat().st_blocks * 512 < 1 << 20
    dataset = pydicom.dcmread(path, defer_size=1024)
    assert dataset.NumberOfFrames * dataset.Rows * dataset.Columns * 2 == 64 << 20
    assert len(dataset.PixelData) == 64 << 20


def test_an_object_that_no_element_can_hold_is_refused(tmp_path):
    with pytest.raises(NodeError, match="4094"):
        objects.write_large(tmp_path / "large", size_mb=4096)


def test_a_grown_registry_is_one_file_with_finished_series(tmp_path):
    told: list[int] = []
    grown.fill(tmp_path / "grown.db", 450, written=told.append)
    assert [path.name for path in tmp_path.iterdir()] == ["grown.db"]
    assert sum(told) == 450
    engine = read_engine(f"sqlite:///{tmp_path / 'grown.db'}")
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Instance)) == 450
        rows = connection.execute(select(Series.state, Series.n_instances)).all()
    engine.dispose()
    assert sorted(rows) == [("PROCESSED", 50), ("PROCESSED", 200), ("PROCESSED", 200)]


# what processes use


def test_cpu_of_children_that_ended_counts(tmp_path):
    before = processes.cpu_s([os.getpid()])
    subprocess.run(
        [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True, timeout=60
    )
    assert processes.cpu_s([os.getpid()]) - before >= 0.28


def test_tree_and_memory_are_read_from_a_living_child():
    code = "block = bytearray(b'x') * (64 << 20); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert child.pid in processes.tree(os.getpid())
        assert processes.command(child.pid)[:2] == [sys.executable, "-c"]
        assert 64 < processes.peak_mb(child.pid) < 160
        assert 64 < processes.pss_mb([child.pid]) < 160
        with processes.PeakWatch(lambda: [child.pid]) as watch:
            pass
        assert watch.highest_mb >= 64
        child.communicate(b"\n", timeout=30)
    assert processes.peak_mb(child.pid) == 0
    assert processes.command(child.pid) == []


def test_the_machine_works_at_least_as_much_as_one_of_its_processes():
    before, own = processes.machine_cpu_s(), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    assert processes.machine_cpu_s() - before >= 0.28


def test_the_roles_of_this_node_are_told_by_their_command_line():
    assert own_node.role(["python", "-m", "node.role", "listener", "0", "INFO"]) == "listener"
    assert own_node.role(["python", "-m", "node", "serve"]) == ""
    assert own_node.role(["python", "-m", "node.role"]) == ""


def test_no_series_completes_in_a_node_that_is_measured():
    config = Config(**own_node.tables("flush", listeners=2, max_pdu=16384))
    assert config.listener.durability == "flush"
    assert config.listener.max_pdu == 16384
    assert config.node.listeners == 2
    keys = config.completion
    assert min(keys.quiet_s, keys.settle_s, keys.cap_s) >= 3600


# what is taken for a figure


@pytest.fixture
def sender(tmp_path, monkeypatch):
    """A storescu that does as it is told, in place of dcmtk's."""
    programs = tmp_path / "programs"
    programs.mkdir()

    def does(script: str) -> None:
        program = programs / "storescu"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return does


SUCCESS = "echo 'I: Received Store Response (Success)'"


def shares(tmp_path, *counts: int) -> tuple[Share, ...]:
    return tuple(Share(tmp_path, count, 1000 * count) for count in counts)


def sending(**options) -> Sending:
    return Sending(**{"kind": "storescu", "port": 104, "nagle": False, "timeout_s": 30, **options})


def test_senders_that_had_every_object_acknowledged_give_a_time(sender, tmp_path):
    sender(f"{SUCCESS}; {SUCCESS}; sleep 1")
    taken_s = senders.send(shares(tmp_path, 2, 2), sending(), tmp_path / "logs")
    assert 1 <= taken_s < 1.9, "the two do not run at the same time, or the end is seen late"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (f"{SUCCESS}; {SUCCESS}", "ended with 0: 2 of 3"),
        (f"{SUCCESS}; {SUCCESS}; {SUCCESS}; exit 1", "ended with 1: 3 of 3"),
        ("echo 'I: Received Store Response (Refused: OutOfResources)'; exit 0", "0 of 3"),
    ],
)
def test_a_sender_with_less_success_than_objects_is_an_error(script, told, sender, tmp_path):
    sender(script)
    with pytest.raises(NodeError, match=told):
        senders.send(shares(tmp_path, 3), sending(), tmp_path / "logs")


def test_a_sender_that_takes_too_long_is_stopped(sender, tmp_path):
    sender(f"echo $$ > {tmp_path}/pid; {SUCCESS}; exec sleep 60")
    started = time.monotonic()
    with pytest.raises(NodeError, match="not sent within 1 s: 1 of 3"):
        senders.send(shares(tmp_path, 3), sending(timeout_s=1), tmp_path / "logs")
    assert time.monotonic() - started < 10
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize(("nagle", "value"), [(True, ""), (False, "1")])
def test_nagle_is_the_senders_environment_alone(nagle, value, sender, tmp_path, monkeypatch):
    monkeypatch.setenv("TCP_NODELAY", "1")  # of whoever calls: it must not reach a sender as shipped
    sender(f"echo $TCP_NODELAY > {tmp_path}/environment; {SUCCESS}")
    senders.send(shares(tmp_path, 1), sending(nagle=nagle), tmp_path / "logs")
    assert (tmp_path / "environment").read_text().strip() == value


class Held(Receiver):
    """A receiver without a process, which says how much it holds."""

    def __init__(self, folder, *counts: int, told=None, name="") -> None:
        self.counts, self.told, self.name = list(counts), told if told is not None else [], name

    def __enter__(self):
        self.told.append(self.name)
        if not self.counts:
            raise NodeError("it did not start")
        return self

    def __exit__(self, *_):
        self.told.append(f"{self.name} stopped")

    def processes(self):
        return {RECEIVING: [os.getpid()], OTHER: []}

    def held(self):
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]


def load(tmp_path) -> Load:
    return Load(shares(tmp_path, 1), shares(tmp_path, 1), "storescu", 30)


def test_a_run_has_its_time_and_how_far_registration_was_at_its_end(sender, tmp_path):
    sender(f"{SUCCESS}; sleep 0.1")
    receiver = Candidate("it", lambda folder: Held(folder, 1, 1, 2))  # warm, at the end, later
    run = measure.measure(receiver, load(tmp_path), tmp_path / "run", nagle=False)
    assert run.error == ""
    assert 0.1 <= run.seconds < 0.5
    assert (run.registered, run.registered_share) == (0, 0)
    assert run.peak_mb > 10


@pytest.mark.parametrize("held", [3, 1])
def test_a_receiver_that_does_not_hold_what_it_acknowledged_gives_no_figure(
    held, sender, tmp_path, monkeypatch
):
    monkeypatch.setattr(measure, "REST_TIMEOUT_S", 1.5)
    sender(SUCCESS)
    receiver = Candidate("it", lambda folder: Held(folder, 1, held))
    run = measure.measure(receiver, load(tmp_path), tmp_path / "run", nagle=False)
    assert f"2 objects were acknowledged, but the receiver holds {held}" in run.error
    assert run.seconds == 0


def test_receivers_take_turns_and_each_is_stopped_before_the_next(tmp_path):
    told: list[str] = []
    chosen = [
        Candidate(name, lambda folder, name=name: Held(folder, told=told, name=name)) for name in ("A", "B")
    ]
    runs = list(alternate(chosen, load(tmp_path), tmp_path, runs=2, nagle=(False, True)))
    assert told == ["A", "B"] * 4
    assert [(run.receiver, run.nagle) for run in runs] == [
        ("A", False),
        ("B", False),
        ("A", True),
        ("B", True),
    ] * 2
    assert {run.error for run in runs} == {"it did not start"}


# who is asked


def test_the_help_shows_an_example_on_each_line():
    lines = [line.strip() for line in CliRunner().invoke(receive, ["--help"]).output.splitlines()]
    assert "prepnode bench receive --large-mb 2048 --receivers node" in lines


def test_an_unknown_receiver_is_refused_with_those_there_are():
    done = CliRunner().invoke(receive, ["--receivers", "node,dcm4chee"])
    assert done.exit_code == 2
    assert "dcm4chee" in done.output
    assert "storescp, orthanc" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--objects", "0"],
        ["--associations", "65"],
        ["--nagle", "maybe"],
        ["--large-mb", "4096"],
        ["--max-pdu", "1"],
    ],
)
def test_what_cannot_be_measured_is_refused(arguments):
    assert CliRunner().invoke(receive, arguments).exit_code == 2


def test_without_a_sender_nothing_is_measured(monkeypatch):
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(receive, [])
    assert isinstance(done.exception, NodeError)
    assert "storescu is not installed" in str(done.exception)


def test_a_receiver_that_is_not_installed_is_told_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    plan = Plan(receivers=("node", "storescp"), durability="both")
    assert plan.missing() == ["storescp is not installed (Debian: dcmtk)"]
    assert [each.name for each in plan.candidates(tmp_path)] == ["node-fsync", "node-flush"]
    with pytest.raises(NodeError, match="`node` always is"):
        Plan(receivers=("storescp",)).candidates(tmp_path)


def test_a_grown_registry_is_compared_with_an_empty_one_and_nobody_else(tmp_path):
    plan = Plan(registered=10, durability="flush")
    assert [each.name for each in plan.candidates(tmp_path)] == ["node-flush", "node-flush-grown"]


def test_storescp_forks_only_for_several_associations(tmp_path):
    one, several = (
        candidates.choose(["storescp"], (), candidates.Conditions(associations=count))[0].make(tmp_path)
        for count in (1, 4)
    )
    assert "--fork" not in one.command()
    assert "--fork" in several.command()


def test_no_sender_goes_without_an_object(tmp_path):
    made = Plan(objects=2, associations=3, size=16).load(tmp_path)
    assert [share.objects for share in made.shares] == [1, 1, 1]
