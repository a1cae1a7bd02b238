"""Bad input through the wire: each object gets a clear answer, each series an end, and the node stays small and alive."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import data
from listeners import CT, DEFLATED, EXPLICIT, RawPeer, p_data, pdv, store_rq
from node.demo import TemporaryNode
from node.header_facts import facts
from node.part10 import read_file_meta
from node.registry import queries
from node.registry.database import read_engine
from nodes import END_STATES, await_that, peak_memory_mb

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MB = 1 << 20
BOMB_MB = 1000
SC = "1.2.840.10008.5.1.4.1.1.7"
RLE, DEFLATED_FRAMES = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
GOOD = "2.25.777"
UNDEFINED = 0xFFFFFFFF
SEQUENCE = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", UNDEFINED)
LATE_SEQUENCE = struct.pack("<HH2s2xI", 0x0040, 0x0275, b"SQ", UNDEFINED)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
ENDS = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
# Memory: the idle listener takes some 70 MB, a child that processes a small series some 200 MB.
LISTENER_MB, TREE_MB = 150, 800
KEYS = {
    "completion": {"quiet_s": 1, "settle_s": 0.2, "cap_s": 2},
    "jobs": {"workers": 1, "timeout_s": 60, "memory_mb": 512},
}


def deflated(content: bytes, zeros_mb: int = 0) -> bytes:
    """Deflate content and so many megabytes of zeros behind it, a thousandth in size."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    parts = [packer.compress(content)]
    parts += [packer.compress(bytes(MB)) for _ in range(zeros_mb)]
    return b"".join((*parts, packer.flush()))


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" if len(value) % 2 else b""
    if vr in (b"OB", b"OW", b"UN", b"SQ"):
        return struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def fragments(content: bytes) -> bytes:
    """Return encapsulated pixel data of one frame (PS3.5 A.4)."""
    content += b"\0" * (len(content) % 2)
    return (
        struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", UNDEFINED)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        + struct.pack("<HHI", 0xFFFE, 0xE000, len(content))
        + content
        + ENDS[8:]
    )


class Object:
    """One object to be sent: a header in Explicit VR Little Endian, then anything."""

    def __init__(self, name: str, **attributes: object) -> None:
        self.syntax, self.front, self.behind = EXPLICIT, b"", b""
        self.study = f"2.25.1{zlib.crc32(name.encode())}"
        self.series, self.sop = f"{self.study}.1", f"{self.study}.1.1"
        self.rows = self.columns = 16
        self.frames, self.bits, self.samples = "", 16, 1
        self.more = b""
        for key, value in attributes.items():
            setattr(self, key, value)
        if "pixels" not in attributes:
            self.pixels = element(0x7FE00010, b"OW", bytes(512))

    def header(self) -> bytes:
        us = struct.Struct("<H").pack
        return b"".join((
            self.front,
            element(0x00080008, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
            element(0x00080016, b"UI", CT.encode()),
            element(0x00080018, b"UI", self.sop.encode()),
            element(0x00080060, b"CS", b"CT"),
            self.behind,
            element(0x0020000D, b"UI", self.study.encode()),
            element(0x0020000E, b"UI", self.series.encode()),
            element(0x00200013, b"IS", b"1 "),
            self.more or element(0x00200032, b"DS", b"0\\0\\0 ") + element(0x00200037, b"DS", b"1\\0\\0\\0\\1\\0 "),
            element(0x00280002, b"US", us(self.samples)),
            element(0x00280004, b"CS", b"MONOCHROME2 "),
            element(0x00280008, b"IS", self.frames.encode()) if self.frames else b"",
            element(0x00280010, b"US", us(self.rows)),
            element(0x00280011, b"US", us(self.columns)),
            element(0x00280030, b"DS", b"1\\1 "),
            element(0x00280100, b"US", us(self.bits)),
            element(0x00280101, b"US", us(self.bits)),
            element(0x00280102, b"US", us(self.bits - 1)),
            element(0x00280103, b"US", us(0)),
        ))  # fmt: skip

    def encoded(self) -> bytes:
        whole = self.header() + self.pixels
        return deflated(whole) if self.syntax == DEFLATED else whole


def bomb(name: str, content_before: str) -> Object:
    """Return a deflated object whose gigabyte is behind (header) or in front of its UIDs."""
    made = Object(name, syntax=DEFLATED)
    size = BOMB_MB * MB
    if content_before == "the pixels":
        packed = deflated(made.header() + struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", size), BOMB_MB)
    else:
        packed = deflated(struct.pack("<HH2s2xI", 0x0008, 0x0001, b"UN", size), BOMB_MB)
    assert len(packed) < 1.1 * MB
    made.encoded = lambda: packed
    return made


@pytest.fixture
def peaks() -> dict[str, float]:
    """Return the peak of memory in MB of each role, filled in while a test waits."""
    return {}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TemporaryNode]:
    with TemporaryNode(KEYS, folder=tmp_path / "node") as made:
        yield made


def send(
    node: TemporaryNode, content: bytes, sop: str, *, sop_class: str = CT, syntax: str = EXPLICIT
) -> tuple[int, str]:
    """Send one object on an association of its own; return status and Error Comment."""
    with RawPeer(node.port, timeout_s=60) as peer:
        assert peer.associate(contexts=((1, sop_class, (syntax,)),)) == "AC"
        peer.send(p_data(pdv(1, 3, store_rq(uid=sop, sop_class=sop_class))))
        for at in range(0, max(len(content), 1), 65536):
            is_last = at + 65536 >= len(content)
            peer.send(p_data(pdv(1, 2 if is_last else 0, content[at : at + 65536])))
        answer = peer.response()
        peer.release()
    return answer


def series_of(node: TemporaryNode) -> dict[str, dict]:
    engine = read_engine(f"sqlite:///{node.data_dir / 'registry.db'}")
    try:
        return {row["SeriesInstanceUID"]: row for row in queries.series_list(engine, limit=1000)}
    finally:
        engine.dispose()


def assert_ended(node: TemporaryNode, uids: set[str], peaks: dict[str, float]) -> dict[str, dict]:
    """Wait until the series have ended, each with an error or a report; note what memory was used meanwhile."""

    def ended():
        rows = series_of(node)
        for role, mb in peak_memory_mb(node).items():
            peaks[role] = max(mb, peaks.get(role, 0.0))
        done = {uid for uid, row in rows.items() if row["state"] in END_STATES}
        return rows if uids <= done else None

    rows = await_that(ended, "the series to end", 120)
    for uid in uids:
        row = rows[uid]
        if row["state"] == "FAILED":
            assert row["error"]
        else:
            folder = node.data_dir / "outputs" / row["StudyInstanceUID"] / uid / f"r{row['revision']}"
            assert (folder / "report.json").exists()
    return rows


def assert_healthy(node: TemporaryNode, files_before: set[Path], peaks: dict[str, float]) -> None:
    """Assert that a good series is still processed, nothing died, memory is bounded and no file has strayed."""
    for dataset in data.ct_series(slices=5, rows=32, columns=32, series_uid=GOOD):
        content = data.file_bytes(dataset)
        meta = read_file_meta(content)
        assert send(node, content[meta.dataset_offset :], str(dataset.SOPInstanceUID))[0] == 0
    assert assert_ended(node, {GOOD}, peaks)[GOOD]["state"] == "PROCESSED"
    log = node.log_file.read_text()
    assert "process.died" not in log
    assert "process.hangs" not in log
    assert "Traceback" not in log
    assert peaks["listener"] < LISTENER_MB
    assert max(peaks.values()) < TREE_MB
    strayed = {path for path in node.folder.parent.rglob("*") if path.is_file()} - files_before
    assert not [path for path in strayed if not path.is_relative_to(node.folder)]
    for top, depth in (("spool/store", 3), ("outputs", 4)):
        root = node.data_dir / top
        for path in root.rglob("*"):
            assert not path.is_symlink()
            assert path.is_dir() or len(path.relative_to(root).parts) >= depth


ACCEPTED = [
    Object("nested behind the last wanted tag", pixels=(LATE_SEQUENCE + ITEM) * 5000 + ENDS * 5000),
    Object("65535 rows, columns", rows=65535, columns=65535),
    Object("2147483647 frames", frames="2147483647"),
    Object("all three", rows=65535, columns=65535, frames="2147483647"),
    Object("-1 frames", frames="-1"),
    Object("no rows", rows=0),
    Object("255 bits", bits=255),
    Object("65535 samples", samples=65535),
    Object("a length of 4 GB", pixels=struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", 0xFFFFFFFE) + bytes(512)),
    Object("native of undefined length", pixels=struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", UNDEFINED) + bytes(512)),
    Object("numbers beyond reason", more=element(0x00200032, b"DS", b"nan\\1e400\\0") + element(0x00200037, b"DS", b"0\\0\\0\\0\\0\\0 ")),
    Object("half an orientation", more=element(0x00200037, b"DS", b"1\\0 ")),
    Object("a frame of an inflating 1 GB", syntax=DEFLATED_FRAMES, pixels=fragments(deflated(b"", BOMB_MB))),
    Object("RLE that grows 64 times", syntax=RLE, pixels=fragments(struct.pack("<16I", 2, 64, 64 + 3 * MB, *[0] * 13) + b"\x81\0" * (3 * MB))),
    Object("RLE with offsets outside", syntax=RLE, pixels=fragments(struct.pack("<16I", 15, *[0xFFFFFFF0] * 15))),
    Object("a million elements", pixels=b"".join(element(0x00290010 + n, b"LO", b"x ") for n in range(65000))),
    bomb("deflated pixels", "the pixels"),
]  # fmt: skip
REFUSED = [
    (Object("nested before the UIDs", behind=(SEQUENCE + ITEM) * 5000 + ENDS * 5000), 0xC001, "nested too deeply"),
    (Object("nested without end", front=(SEQUENCE + ITEM) * 50_000), 0xC001, "nested too deeply"),
    (bomb("deflated header", "the UIDs"), 0xC000, "cannot be read"),
    (Object("a path as series", series="../../../../tmp/x"), 0x0117, "SeriesInstanceUID is not a valid UID"),
    (Object("a root as study", study="/etc", series="1.2"), 0x0117, "StudyInstanceUID is not a valid UID"),
    (Object("a path as instance", sop="../../x"), 0x0117, "UID"),
    (Object("dots", study="..", series="1.2", sop="1.3"), 0x0117, "StudyInstanceUID is not a valid UID"),
    (Object("a line break", series="1.2\n3"), 0x0117, "SeriesInstanceUID is not a valid UID"),
    (Object("a long UID", series="1." * 40 + "1"), 0x0117, "SeriesInstanceUID is not a valid UID"),
    (Object("a NUL within", series="1.2\x003.4"), 0x0117, "SeriesInstanceUID is not a valid UID"),
]  # fmt: skip


def test_hostile_objects_are_refused_or_judged_and_the_node_stays_small(
    node: TemporaryNode, tmp_path: Path, peaks: dict[str, float]
) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for each, status, reason in REFUSED:
        found = send(node, each.encoded(), each.sop, syntax=each.syntax)
        assert found[0] == status, (each.sop, found)
        assert reason in found[1]
    for each in ACCEPTED:
        assert send(node, each.encoded(), each.sop, syntax=each.syntax)[0] == 0x0000
    rows = assert_ended(node, {each.series for each in ACCEPTED}, peaks)
    assert len(rows) == len(ACCEPTED)
    for each in ACCEPTED:
        assert rows[each.series]["verdict"] != "ACCEPT", each.series
    assert_healthy(node, before, peaks)


def test_bad_real_files_are_refused_or_judged(
    node: TemporaryNode, shared_data: Path, tmp_path: Path, peaks: dict[str, float]
) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    accepted = set()
    for path in sorted(shared_data.glob("bad_*/*")):
        content = path.read_bytes()
        meta, found = read_file_meta(content), facts(path)
        sop_class = meta.sop_class_uid or found.get("SOPClassUID", CT)
        sop = str(found.get("SOPInstanceUID", meta.sop_instance_uid or "1.2.3"))
        encoded = content[meta.dataset_offset :]
        syntax = meta.transfer_syntax_uid or EXPLICIT
        status, reason = send(node, encoded, sop, sop_class=sop_class, syntax=syntax)
        if status == 0:
            accepted.add(str(found["SeriesInstanceUID"]))
        else:
            assert status in (0x0117, 0xA900, 0xC000, 0xC001), path
            assert reason
    assert len(accepted) > 10
    assert set(assert_ended(node, accepted, peaks)) == accepted
    assert_healthy(node, before, peaks)


VILLAIN = """
import ctypes, os, signal, time
from handlers.preprocess import preprocess


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    ctypes.CDLL(None).sleep(600)


def grow():
    kept = [bytearray(50_000_000) for _ in range(1000)]


def leave():
    os._exit(3)


def villain(series, out):
    globals()[series.instances[0].header.SeriesDescription]()
"""
FAILURES = {
    "crash": "crashed (SIGSEGV)",
    "hang": "took longer than 3 s",
    "grow": "needed more than 512 MB",
    "leave": "ended by itself with exit code 3",
}


def test_a_series_that_crashes_or_hangs_fails_with_the_reason_and_the_next_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peaks: dict[str, float]
) -> None:
    info = tmp_path / "site" / "villain-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: villain\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[prepnode.handlers]\nvillain = villain:villain\n")
    (tmp_path / "site" / "villain.py").write_text(VILLAIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site") + os.pathsep + os.environ.get("PYTHONPATH", ""))
    tables = KEYS | {
        "jobs": KEYS["jobs"] | {"timeout_s": 3},
        "profile": {"villain": {"handler": "villain"}},
        "route": [
            {"name": name, "match": {"SeriesDescription": name}, "profile": "villain", "destinations": []}
            for name in FAILURES
        ],
    }
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        uids = {}
        for number, name in enumerate(FAILURES):
            (dataset,) = data.ct_series(slices=1, series_uid=f"2.25.66{number}", SeriesDescription=name)
            content = data.file_bytes(dataset)
            encoded = content[read_file_meta(content).dataset_offset :]
            assert send(node, encoded, str(dataset.SOPInstanceUID))[0] == 0
            uids[name] = f"2.25.66{number}"
        rows = assert_ended(node, set(uids.values()), peaks)
        for name, reason in FAILURES.items():
            assert rows[uids[name]]["state"] == "FAILED"
            assert reason in rows[uids[name]]["error"]
        assert_healthy(node, set(tmp_path.rglob("*")), peaks)
