"""`prepnode registry`: built anew from the received files, and brought up to date."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

import data
from node.cli.registry import registry
from node.registry.database import read_engine
from node.registry.schema import Instance, Series
from node.spool import Spool


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    return path


def counted(data_dir: Path, table: type) -> int:
    reader = read_engine(f"sqlite:///{data_dir / 'registry.db'}")
    with reader.connect() as connection:
        count = connection.execute(select(func.count()).select_from(table)).scalar_one()
    reader.dispose()
    return count


def store(data_dir: Path, datasets) -> None:
    for dataset in datasets:
        folder = data_dir / "spool" / "store" / dataset.StudyInstanceUID / dataset.SeriesInstanceUID
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dataset.SOPInstanceUID}.dcm").write_bytes(data.file_bytes(dataset))


def test_a_lost_registry_is_built_anew_from_the_spool(config_file, tmp_path):
    store(tmp_path / "data", data.ct_series(slices=5, rows=8, columns=8))
    store(tmp_path / "data", data.ct_series(slices=3, rows=8, columns=8, series_uid="2.25.42"))
    for _ in range(2):  # a second time changes nothing
        done = CliRunner().invoke(registry, ["rebuild", "-c", str(config_file)])
        assert done.exit_code == 0, done.output
        assert "8 instances" in done.stdout
        assert counted(tmp_path / "data", Instance) == 8
        assert counted(tmp_path / "data", Series) == 2


def test_a_registry_is_not_rebuilt_under_a_running_node(config_file, tmp_path):
    spool = Spool(tmp_path / "data" / "spool")
    spool.lock()
    try:
        done = CliRunner().invoke(registry, ["rebuild", "-c", str(config_file)])
    finally:
        spool.close()
    assert done.exit_code == 1
    assert "another node uses this spool" in str(done.exception)


def test_migrate_makes_the_tables(config_file, tmp_path):
    done = CliRunner().invoke(registry, ["migrate", "-c", str(config_file)])
    assert done.exit_code == 0, done.output
    assert counted(tmp_path / "data", Series) == 0
