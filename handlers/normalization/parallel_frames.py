"""Frames decoded in several processes: most decoders hold Python's lock while they work.

The frames come in the same order, and the same error is raised, however many processes there are.
"""

from __future__ import annotations

import ctypes
import fcntl
import math
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple

from pydicom.uid import RLELossless

from handlers.errors import PixelDataError
from handlers.model import Instance
from handlers.normalization.decoding import DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED
from handlers.normalization.pixel_frames import PixelCells, pixel_cells
from handlers.normalization.pixel_layout import UNCOMPRESSED, PixelLayout

FAST = {*UNCOMPRESSED, RLELossless, DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED}  # no slower than a pipe
WORTH_BYTES = 4 << 20  # decoded: some 20 ms of the fastest of the others, as long as a fork takes
PIPE_BYTES = 1 << 20  # two slices of 512 x 512; what an unprivileged process may ask for (pipe(7))
PR_SET_PDEATHSIG = 1  # prctl(2)


class Wanted(NamedTuple):
    """Frames of one instance, by their numbers, ascending from 1."""

    instance: Instance
    layout: PixelLayout
    numbers: tuple[int, ...]

    @property
    def slow_bytes(self) -> int:
        """How many bytes the frames decode to by a decoder that is slow; 0 for one that is not."""
        if self.instance.transfer_syntax_uid in FAST:
            return 0
        return len(self.numbers) * math.prod(self.layout.shape) * self.layout.dtype.itemsize


def decoded_frames(wanted: Sequence[Wanted], processes: int) -> Generator[tuple[Wanted, int, PixelCells]]:
    """Yield every frame with what it was wanted for and its number, in the order of `wanted`.

    Processes are forks of this one and end with it; their limits are those of this one.

    Raises:
        PixelDataError: a file is cut short, damaged, or not decodable (ING-004), or a decoder crashed.
        MemoryError: a process was killed from outside, as the kernel does when memory is short.
    """
    if processes < 2 or sum(each.slow_bytes for each in wanted) < WORTH_BYTES:
        for each in wanted:
            for number, cells in zip(each.numbers, _cells(each), strict=True):
                yield each, number, cells
        return
    with ExitStack() as stack:
        shares = _shares(wanted, processes)
        helpers = [stack.enter_context(closing(_Helper(share))) for share in shares if share]
        for place, each in enumerate(wanted):
            for turn, number in enumerate(each.numbers):
                helper = helpers[(turn if len(wanted) == 1 else place) % len(helpers)]
                yield each, number, helper.next(each, number)


def _shares(wanted: Sequence[Wanted], processes: int) -> list[Sequence[Wanted]]:
    """Deal the instances out in turns; of a single one, its frames."""
    if len(wanted) > 1:
        return [wanted[first::processes] for first in range(processes)]
    (only,) = wanted
    turns = (only.numbers[first::processes] for first in range(processes))
    return [[Wanted(only.instance, only.layout, numbers)] if numbers else [] for numbers in turns]


def _cells(wanted: Wanted) -> Iterator[PixelCells]:
    return pixel_cells(wanted.instance, wanted.layout, wanted.numbers)


class _Helper:
    """A fork of this process that decodes its share, in order, and hands over frame by frame."""

    def __init__(self, share: Sequence[Wanted]) -> None:
        self._frames, send = Pipe(duplex=False)
        with suppress(OSError):  # a limit of the user may forbid it; then frames go in smaller pieces
            fcntl.fcntl(send.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        parent = os.getpid()
        self._process = os.fork()
        if self._process == 0:
            _work(share, send, parent)
        send.close()

    def next(self, wanted: Wanted, number: int) -> PixelCells:
        """Return the next frame, or raise what its decoding raised."""
        try:
            result = self._frames.recv()
        except EOFError:
            raise self._death(wanted, number) from None
        if isinstance(result, BaseException):
            raise result
        cells: PixelCells = result
        return cells

    def close(self) -> None:
        """End the process, whatever it does."""
        self._frames.close()
        if self._process:
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        process, self._process = self._process, 0
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def _death(self, wanted: Wanted, number: int) -> Exception:
        code = self._wait()
        where = f"instance {wanted.instance.sop_instance_uid}: frame {number}"
        if code == -signal.SIGKILL:
            return MemoryError(f"{where}: the process that decoded it was killed")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return PixelDataError(f"{where}: its decoder crashed ({how})", code="ING-004")


def _work(share: Sequence[Wanted], send: Connection[Any, Any], parent: int) -> None:
    """Decode a share in the fork, and end it; nothing of the parent's is run or flushed."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it died before the line above
            for each in share:
                for cells in _cells(each):
                    send.send(cells)
        code = 0
    except Exception as error:  # noqa: BLE001 - the parent raises it
        send.send(error)
        code = 0
    finally:
        os._exit(code)
