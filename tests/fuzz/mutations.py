"""Inputs for fuzzing: mutations of a population that grows with every input that reaches a new line."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from types import CodeType, FrameType

HANGS_AFTER_S = 1.0
SLOW_S = 0.02  # seeds that take longer are replayed, not mutated: tracing them costs seconds each
TRACED_EVERY = 16  # tracing costs tenfold, so one input in so many is judged by the lines it reaches
LENGTHS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
MAX_BYTES = 1 << 16


def mutate(content: bytes, population: list[bytes], random: Random) -> bytes:
    """Damage content in one to four ways: bits, truncation, insertion, lengths, a splice with another input."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choices((_flip, _truncate, _insert, _length, _repeat, _splice), (45, 10, 10, 20, 5, 10))[0](
            data, population, random
        )
    return bytes(data[:MAX_BYTES])


def _flip(data: bytearray, _population: list[bytes], random: Random) -> None:
    for _ in range(random.choice((1, 1, 2, 8))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _truncate(data: bytearray, _population: list[bytes], random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _insert(data: bytearray, _population: list[bytes], random: Random) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.choice((1, 2, 4, 8, 64)))


def _length(data: bytearray, _population: list[bytes], random: Random) -> None:
    width, order = random.choice((2, 4)), random.choice(("little", "big"))
    if len(data) >= width:
        at = random.randrange(len(data) - width + 1)
        data[at : at + width] = (random.choice(LENGTHS) % (1 << 8 * width)).to_bytes(width, order)


def _repeat(data: bytearray, _population: list[bytes], random: Random) -> None:
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    piece = data[first : min(last, first + 64)]
    data[first:first] = piece * random.choice((1, 2, 40))


def _splice(data: bytearray, population: list[bytes], random: Random) -> None:
    other = random.choice(population)
    at = random.randrange(len(data) + 1)
    data[at:] = other[random.randrange(len(other) + 1) :]


class Lines:
    """The pairs of lines, one after the other, that were reached in some files."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = {str(file) for file in files}
        self._wanted: dict[CodeType, bool] = {}
        self.reached: set[tuple[int, int, int]] = set()

    def is_news(self, call: Callable[[], object]) -> bool:
        """Call, and say whether that reached what was not reached before."""
        before, others = len(self.reached), sys.gettrace()
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(others)
        return len(self.reached) > before

    def _enter(self, frame: FrameType, event: str, _argument: object):
        code = frame.f_code
        if code not in self._wanted:
            self._wanted[code] = code.co_filename in self._files
        if not self._wanted[code]:
            return None
        last = [0]

        def line(frame: FrameType, _event: str, _argument: object):
            self.reached.add((hash(code), last[0], frame.f_lineno))
            last[0] = frame.f_lineno
            return line

        return line


def fuzz(
    target: Callable[[bytes], object], seeds: list[bytes], files: Iterable[Path], *, count: int, seed: int
) -> Iterator[bytes]:
    """Give `count` inputs to `target`; yield those that reach new lines. A failure carries its input."""
    random, lines = Random(seed), Lines(files)
    population = [content for content in seeds if _lasts(target, content) < SLOW_S]
    for content in population:
        lines.is_news(lambda content=content: target(content))
    for number in range(count):
        content = mutate(random.choice(population), population, random)
        lasted = 0.0
        try:
            if number % TRACED_EVERY:
                lasted = _lasts(target, content)
            elif lines.is_news(lambda content=content: target(content)):
                population.append(content)
                yield content
        except Exception as error:
            raise AssertionError(f"input {number} of seed {seed}: {error!r}: {content.hex()}") from error
        assert lasted < HANGS_AFTER_S, f"input {number} of seed {seed} lasts {lasted:.1f} s: {content.hex()}"


def _lasts(target: Callable[[bytes], object], content: bytes) -> float:
    started = time.perf_counter()
    target(content)
    return time.perf_counter() - started
