"""Power cuts under load: what was acknowledged is there when the power is back, on a real file system and on the strictest.

Two models, described in tests/power.py: an ext4 on a loop device that is copied while the
node stands still, and a disk that keeps exactly what was synced, which is as much as POSIX promises.
Both hold the whole of data_dir, so SQLite's files too. Each has its control: with durability
"flush" the same cuts must lose something, or they are none.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from power import Disk, ForgetfulDisk, LoopDisk
from storms import RECEIVING, Storm, assert_kept, await_settled, registered, storm_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MakeDisk = Callable[..., Disk]
FORGETFUL = pytest.param(ForgetfulDisk, id="every byte that was not synced")
EXT4 = pytest.param(LoopDisk, id="ext4", marks=pytest.mark.root)


def cuts(make: MakeDisk, folder: Path, *, n: int, acknowledged: int, seed: int) -> None:
    """Cut the power so many times, after about so many acknowledgements each; judge after each."""
    storm = Storm(storm_node(folder / "node", only=RECEIVING), seed=seed, n_senders=2)
    disk = make(storm.node, folder / "disk")
    try:
        with storm.node:
            for _ in range(n):
                with storm.sending():
                    storm.await_acknowledged(storm.chance.randint(acknowledged, 2 * acknowledged))
                    disk.cut()
                    storm.node.start()
                assert_kept(storm.node, storm.acknowledged)
    finally:
        disk.close()
    print(f"{n} cuts, {len(storm.acknowledged)} acknowledged, none lost")  # noqa: T201 - for the record
    assert len(storm.acknowledged) >= n * acknowledged


@pytest.mark.parametrize("make", [FORGETFUL, EXT4])
def test_a_power_cut_loses_nothing_that_was_acknowledged(make: MakeDisk, tmp_path: Path) -> None:
    cuts(make, tmp_path, n=3, acknowledged=60, seed=20260401)


@pytest.mark.parametrize("make", [FORGETFUL, EXT4])
def test_the_same_cut_does_lose_what_was_not_synced(make: MakeDisk, tmp_path: Path) -> None:
    tables = {"listener": {"durability": "flush"}}
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING, **tables), seed=20260402, n_senders=2)
    disk = make(storm.node, tmp_path / "disk")
    try:
        with storm.node:
            with storm.sending():
                storm.await_acknowledged(60)
                before = storm.seen()
                disk.cut()
                storm.node.start()
            await_settled(storm.node)
            found = {uid for uid, (_, path) in registered(storm.node).items() if path.exists()}
            assert before - found, "a cut that loses nothing proves nothing"
    finally:
        disk.close()


@pytest.mark.parametrize("left_out", ["spool/tmp", "spool/new"])
def test_a_node_that_leaves_out_one_of_its_syncs_is_found_out(left_out: str, tmp_path: Path) -> None:
    """The bytes are synced in tmp/, the name in new/; without either, the strict disk loses something."""
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING), seed=20260404, n_senders=2)
    disk = ForgetfulDisk(storm.node, tmp_path / "disk", left_out=storm.node.data_dir / left_out)
    with storm.node, storm.sending():
        storm.await_acknowledged(60)
        before = storm.seen()
        disk.cut()
        survivors = {path.read_bytes() for path in (storm.node.data_dir / "spool").rglob("*.dcm")}
        storm.node.start()
    lost = [uid for uid in before if not any(file.endswith(storm.sent(uid)) for file in survivors)]
    assert lost


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("make", [FORGETFUL, EXT4])
def test_twenty_power_cuts_with_four_thousand_acknowledgements(make: MakeDisk, tmp_path: Path) -> None:
    cuts(make, tmp_path, n=20, acknowledged=210, seed=20260403)
