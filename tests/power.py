"""Power cuts without a switch: two disks that lose what was not synced, and the tree as it is after the cut.

ForgetfulDisk follows the letter of POSIX in user space (see shims/forgetful_disk.c): any
file system may lose that much. LoopDisk is a real ext4 in a file: what it had not yet handed
to its device is lost. Either way the whole tree is dead, data_dir keeps its path and holds what
survived, and the node may be started again.
"""

import os
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from node.demo import TemporaryNode
from nodes import await_that
from preloads import compiled, preload
from storms import kill_tree, processes

SYNC_ALL = """
import os, sys
for folder, _, files in os.walk(sys.argv[1]):
    for path in (folder, *(os.path.join(folder, name) for name in files)):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
"""


class Disk(ABC):
    """Where data_dir is. `cut` is a power cut: afterwards it holds what survived."""

    def __init__(self, node: TemporaryNode, folder: Path) -> None:
        self.node, self.folder = node, folder
        self.data_dir = node.data_dir
        self.data_dir.mkdir(parents=True)
        folder.mkdir()

    @abstractmethod
    def cut(self) -> None:
        """Stop every process, and leave in data_dir only what was on the disk."""

    def close(self) -> None:
        """Stop the node, and give back what the machine lent."""
        self.node.stop()


class ForgetfulDisk(Disk):
    """Loses every byte and every name that was not synced, SQLite's too.

    `left_out`: what is synced below this path is lost as well, as if the node had not synced it.
    """

    def __init__(self, node: TemporaryNode, folder: Path, *, left_out: Path | None = None) -> None:
        super().__init__(node, folder)
        self._library = compiled("forgetful_disk", folder)
        self._memory = folder / "memory"
        self._settings = {"DISK_ROOT": self.data_dir, "DISK_MEMORY": self._memory}
        preload(node, self._library, **self._settings, **({"DISK_LEAVES_OUT": left_out} if left_out else {}))
        self._begin()

    def cut(self) -> None:
        kill_tree(self.node)
        shutil.rmtree(self.data_dir)
        self._put_together("root", self.data_dir)
        self._begin()

    def _begin(self) -> None:
        """Note all that is there as synced: so it is on a disk that was just switched on."""
        shutil.rmtree(self._memory, ignore_errors=True)
        self._memory.mkdir()
        environment = os.environ | {"LD_PRELOAD": self._library, **self._settings}
        subprocess.run([sys.executable, "-c", SYNC_ALL, self.data_dir], env=environment, check=True)

    def _put_together(self, key: str, folder: Path) -> None:
        folder.mkdir()
        note = self._memory / key
        for entry in note.read_text().splitlines() if note.exists() else []:
            kind, key, name = entry.split(" ", 2)
            content = self._memory / key
            if kind == "d":
                self._put_together(key, folder / name)
            elif kind == "f" and content.exists():
                shutil.copyfile(content, folder / name)
            elif kind == "f":
                (folder / name).touch()  # a name that was synced, of a file that was not


class LoopDisk(Disk):
    """ext4 on a loop device; needs root. The cut is a copy of the device while every process stands still."""

    def __init__(self, node: TemporaryNode, folder: Path, *, size_mb: int = 256) -> None:
        super().__init__(node, folder)
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
            pytest.skip("a file system can be made and mounted by root only")
        self._image, self._copy = folder / "image", folder / "copy"
        with self._image.open("wb") as file:
            file.truncate(size_mb << 20)
        _run("mkfs.ext4", "-q", "-F", self._image)
        self._mount()

    def cut(self) -> None:
        for process in processes(self.node):
            os.kill(process.pid, signal.SIGSTOP)
        await_that(
            lambda: all(_stands(each.pid) for each in processes(self.node)), "every process to stand", 10
        )
        _run("cp", "--sparse=always", self._image, self._copy)
        kill_tree(self.node)
        self.close()
        self._copy.replace(self._image)
        self._mount()

    def close(self) -> None:
        super().close()
        if os.path.ismount(self.data_dir):
            await_that(lambda: not _is_busy(self.data_dir), "the file system to be unmounted", 10)

    def _mount(self) -> None:
        done = subprocess.run(
            ["mount", "-o", "loop", self._image, self.data_dir], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"no loop device here: {done.stderr}")
        assert os.path.ismount(self.data_dir)  # else the test would run on the disk of this machine


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=60)


def _stands(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return True


def _is_busy(folder: Path) -> bool:
    done = subprocess.run(["umount", folder], capture_output=True, timeout=60, check=False)
    return done.returncode != 0 and os.path.ismount(folder)
