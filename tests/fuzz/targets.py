"""What is fuzzed: parsers of bytes that a peer chose, each with what must hold for any bytes.

    python tests/fuzz/targets.py NAME COUNT     fuzz one target; keep in the corpus what reaches new lines

The corpus is replayed by every run of the tests. Its seeds are made here, without any data of patients.
"""

import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

from mutations import fuzz  # noqa: E402

import data  # noqa: E402 - needs the path
from listeners import dataset, echo_rq, p_data, pdu, pdv, store_rq  # noqa: E402
from node import command_set, header_facts, part10  # noqa: E402

CORPUS = Path(__file__).parent / "corpus"
SYNTAXES = ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
LIMIT_BYTES = 16384


def header(content: bytes) -> None:
    """The header parser: the first byte chooses the transfer syntax. Never raises, gives what JSON holds."""
    found = header_facts.facts(
        content[1:], transfer_syntax_uid=SYNTAXES[content[0] % len(SYNTAXES)] if content else ""
    )
    json.dumps(found)
    syntax = SYNTAXES[content[0] % len(SYNTAXES)] if content else ""
    quick = header_facts.identity(content[1:], syntax)
    unreadable = header_facts.UNREADABLE in found
    assert unreadable or all(quick.get(key) == found.get(key) for key in header_facts.IDENTITY.values())
    wanted = {keyword for keyword, _ in header_facts.WANTED.values()}
    assert found.keys() <= wanted | {header_facts.UNREADABLE}
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    assert (header_facts.UNREADABLE in found) != all(each in found for each in uids)


def command(content: bytes) -> None:
    """The command set: an element that is cut short is a ValueError, and what is given was in the bytes."""
    try:
        elements = command_set.decode(content)
    except ValueError:
        return
    assert sum(8 + len(value) for value in elements.values()) <= len(content)
    for element in elements:
        command_set.number(elements, element)
        command_set.text(elements, element)


class Fragments:
    """A sink of the walker that keeps what it is given, fragment by fragment."""

    def __init__(self) -> None:
        self.whole: list[tuple[int, int, bytes]] = []
        self.open = b""

    def take(self, context_id: int, control: int, data: memoryview, *, is_end: bool) -> bool:
        self.open += data
        if is_end:
            self.whole.append((context_id, control, self.open))
            self.open = b""
        return True


def walk(content: bytes, sizes: Random | None) -> tuple[list[tuple[int, int, bytes]], bytes, str]:
    """Feed content to the walker at once, or in pieces of random size; return fragments and how it ended."""
    from node.listener import pdata

    sink = Fragments()
    walker = pdata.Walker(sink, limit=LIMIT_BYTES)
    waiting, at = b"", 0
    while at < len(content):
        size = len(content) if sizes is None else sizes.choice((1, 2, 5, 6, 7, 12, 100, 5000))
        waiting += content[at : at + size]
        at += size
        try:
            done = walker.feed(memoryview(waiting))
        except pdata.ProtocolError as error:
            return sink.whole, sink.open, type(error).__name__
        assert 0 <= done <= len(waiting)
        waiting = waiting[done:]
        if walker.is_at_other:
            return sink.whole, sink.open, f"PDU type {waiting[0]}"
        assert len(waiting) < pdata.HEADER_BYTES, "bytes are left that are no beginning of a header"
    return sink.whole, sink.open, ""


def walker(content: bytes) -> None:
    """The walk over P-DATA-TF PDUs: in whatever pieces bytes come, the fragments are the same."""
    assert walk(content, Random(len(content))) == walk(content, None)


@dataclass(frozen=True)
class Target:
    """One parser: what must hold for any bytes, where its lines are, and from which inputs mutation begins."""

    check: Callable[[bytes], None]
    files: tuple[Path, ...]
    seeds: Callable[[], dict[str, bytes]]

    def corpus(self, name: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((CORPUS / name).glob("*.bin"))]


def header_seeds() -> dict[str, bytes]:
    found = {}
    for number, syntax in enumerate(SYNTAXES[1:], start=1):
        content = data.file_bytes(data.ct_series(slices=1, rows=4, columns=4, transfer_syntax=syntax)[0])
        found[f"ct-{syntax}"] = bytes((number,)) + content[part10.dataset_offset(content) :]
    content = data.file_bytes(data.mr_series(slices=1, rows=4, columns=4)[0])
    found["mr"] = bytes((2,)) + content[part10.dataset_offset(content) :]
    begin = struct.pack("<HH2s2xI", 8, 0x1115, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    found["nested"] = b"\2" + begin * 70 + end * 70 + found["mr"][1:]
    japanese = struct.pack("<HH2sH", 8, 5, b"CS", 16) + b"\\ISO 2022 IR 87 "
    found["characters"] = b"\2" + japanese + struct.pack("<HH2sH", 8, 0x103E, b"LO", 10) + b"\x1b$BF,It\x1b(B"
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    found["bomb"] = b"\4" + packer.compress(bytes(5_000_000)) + packer.flush()
    return found


def command_seeds() -> dict[str, bytes]:
    return {"store": store_rq(), "echo": echo_rq(), "without-length": store_rq()[12:]}


def walker_seeds() -> dict[str, bytes]:
    store, content = store_rq(), dataset(pixels=2048)
    small = b"".join(p_data(pdv(1, 0, content[at : at + 50])) for at in range(0, len(content), 50))
    return {
        "one-pdu": p_data(pdv(1, 3, store), pdv(1, 2, content)),
        "two-pdus": p_data(pdv(1, 3, store)) + p_data(pdv(1, 2, content)),
        "small-pdus": p_data(pdv(1, 1, store[:7]), pdv(1, 3, store[7:])) + small + p_data(pdv(1, 2, b"")),
        "many-fragments": p_data(*(pdv(1, 0, bytes((n,))) for n in range(200))),
        "release-behind": p_data(pdv(3, 3, echo_rq())) + pdu(5, bytes(4)),
        "too-long": p_data(pdv(3, 3, echo_rq())) + pdu(4, b"", length=LIMIT_BYTES + 1),
    }


def _package(name: str) -> Path:
    return Path(header_facts.__file__).parent / name


TARGETS = {
    "header": Target(header, (_package("header_facts.py"),), header_seeds),
    "command": Target(command, (_package("command_set.py"),), command_seeds),
    "walker": Target(walker, (_package("listener/pdata.py"),), walker_seeds),
}


def write_seeds() -> None:
    """Write the seeds of every target into the corpus."""
    for name, target in TARGETS.items():
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        for seed, content in target.seeds().items():
            (CORPUS / name / f"seed-{seed}.bin").write_bytes(content)


def main(name: str, count: int) -> None:
    write_seeds()
    target = TARGETS[name]
    for content in fuzz(target.check, target.corpus(name), target.files, count=count, seed=0):
        digest = hashlib.sha256(content).hexdigest()[:12]
        (CORPUS / name / f"found-{digest}.bin").write_bytes(content)
        print(f"{name}: {len(content)} bytes reach new lines")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
