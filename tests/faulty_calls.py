"""A node whose system calls on its own files fail when told to: see shims/faulty_calls.c."""

from dataclasses import dataclass
from pathlib import Path

from node.demo import TemporaryNode
from nodes import await_that
from preloads import compiled, preload


@dataclass(frozen=True, order=True)
class Step:
    """A call that the node makes for an instance, and the folder or file of data_dir that it is about."""

    call: str
    place: str

    def __str__(self) -> str:
        return f"{self.call} in {self.place}"


class FaultyCalls:
    """What fails next. To be made before the node starts."""

    def __init__(self, node: TemporaryNode, folder: Path) -> None:
        folder.mkdir()
        self._plan, self._trace = folder / "plan", folder / "trace"
        library = compiled("faulty_calls", folder)
        preload(node, library, FAULT_ROOT=node.data_dir, FAULT_PLAN=self._plan, FAULT_TRACE=self._trace)

    def arm(self, step: Step, action: str, number: int = 0, *, always: bool = False) -> None:
        """Have the next such call fail (`fail` with an errno, `short`, `kill`, `kill-after`), or all of them."""
        self._fired.unlink(missing_ok=True)
        drawn = self._plan.with_name("drawn")
        drawn.write_text(f"{step.call} {step.place} {action} {number}{' always' if always else ''}")
        drawn.rename(self._plan)

    def await_fired(self, what: str) -> None:
        """Wait until it happened; a fault that never does proves nothing."""
        await_that(self._fired.exists, f"{what} to happen", 15)

    def disarm(self) -> None:
        """Take a plan away."""
        self._plan.unlink(missing_ok=True)

    def record(self) -> None:
        """Begin to note the calls."""
        self._trace.touch()

    def recorded(self) -> list[Step]:
        """Return the steps so far, each once, in the order of their first call, without those of no instance."""
        steps = (_step(line) for line in self._trace.read_text().splitlines())
        return [step for step in dict.fromkeys(steps) if step.place.startswith(("spool/", "registry"))]

    def stop_recording(self) -> None:
        self._trace.unlink()

    @property
    def _fired(self) -> Path:
        return self._plan.with_name("plan.fired")


def _step(line: str) -> Step:
    call, _, path = line.partition(" ")
    parts = path.split("/")
    return Step(call, "/".join(parts[:2]) if parts[0] == "spool" else parts[0])
