import sqlite3
import threading
from datetime import date

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from node.errors import RegistryError
from node.ledger import balance
from node.registry import database
from node.registry.database import check, engine, migrate, read_engine, reading, writing
from node.registry.repository import Repository
from node.registry.schema import Base
from registries import NOON, arrival, registry, rows


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'data' / 'registry.db'}"


def test_the_migrations_make_the_tables_of_the_schema(tmp_path):
    made = registry(tmp_path)
    with made.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert "research_series" in inspect(connection).get_view_names()
    made.dispose()


def test_migrating_again_changes_nothing(tmp_path):
    made = registry(tmp_path)
    Repository(made).register([arrival(0)], NOON)
    migrate(made)
    assert len(rows(made, "instance")) == 1
    made.dispose()


def test_the_folder_of_the_registry_is_made(url):
    made = engine(url)
    migrate(made)
    made.dispose()


def test_processes_that_migrate_at_once_wait_for_one_another(url, monkeypatch):
    monkeypatch.setattr(
        database, "BUSY_TIMEOUT_MS", 120_000
    )  # six in a row, on a machine that has more to do
    engines = [engine(url) for _ in range(6)]
    problems = []

    def run(each):
        try:
            migrate(each)
        except RegistryError as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in engines:
        each.dispose()
    assert problems == []


def test_a_registry_of_a_newer_version_is_refused(tmp_path):
    made = registry(tmp_path)
    with writing(made) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RegistryError, match="newer"):
        migrate(made)
    made.dispose()


def test_what_is_committed_survives_a_power_loss(tmp_path):
    made = registry(tmp_path)
    with reading(made) as connection:
        values = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    made.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "registry.db").write_bytes(b"this is no database, but it is long enough to be one" * 100)
    made = engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with pytest.raises(RegistryError, match="not a database"):
        migrate(made)
    made.dispose()


def test_a_damaged_database_is_refused_with_the_way_out(tmp_path):
    made = registry(tmp_path)
    Repository(made).register([arrival(index) for index in range(500)], NOON)
    with made.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.dispose()
    path = tmp_path / "registry.db"
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content) - 4096, 8192):
        content[start : start + 2000] = b"\xa5" * 2000
    path.write_bytes(content)
    with pytest.raises(RegistryError, match=r"rebuild|malformed"):
        check(engine(f"sqlite:///{path}"))


def test_a_locked_registry_is_told_and_written_when_it_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    made = registry(tmp_path)
    repository = Repository(made)
    blocker = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryError, match="locked"):
        repository.register([arrival(0)], NOON)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert len(repository.register([arrival(0)], NOON)) == 1
    made.dispose()


def test_readers_do_not_wait_for_a_writer(tmp_path):
    made = registry(tmp_path)
    blocker = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert rows(made, "series") == []
    blocker.close()
    made.dispose()


def test_a_transaction_that_fails_writes_nothing(tmp_path):
    made = registry(tmp_path)

    def write():
        with writing(made) as connection:
            connection.execute(text("INSERT INTO event (at, name, details) VALUES ('2026-01-01', 'x', '{}')"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert rows(made, "event") == []
    made.dispose()


def test_an_error_does_not_show_what_was_to_be_written(tmp_path):
    made = registry(tmp_path)
    with pytest.raises(RegistryError) as caught, writing(made) as connection:
        connection.execute(
            text("INSERT INTO study (StudyInstanceUID, PatientID) VALUES ('1.2', :id)"), {"id": "DOE^JOHN"}
        )
    assert "DOE" not in str(caught.value)
    assert "DOE" not in str(caught.value.__cause__)
    made.dispose()


def test_the_read_engine_cannot_write(tmp_path):
    made = registry(tmp_path)
    reader = read_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with pytest.raises(RegistryError, match="readonly"), reading(reader) as connection:
        connection.execute(text("DELETE FROM event"))
    reader.dispose()
    made.dispose()


def test_the_read_engine_makes_no_registry_where_there_is_none(tmp_path):
    reader = read_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with pytest.raises(RegistryError, match="unable to open"), reading(reader):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_special_characters_is_a_path(tmp_path):
    folder = tmp_path / "a b#c"
    folder.mkdir()
    made = registry(folder)
    assert (folder / "registry.db").is_file()
    reader = read_engine(str(made.url))
    assert rows(reader, "series") == []
    reader.dispose()
    made.dispose()


@pytest.mark.parametrize("url", ["", "nonsense", "oracle9://x"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(RegistryError, match=r"registry\.url"):
        engine(url)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"no database at all " * 300, "prepnode registry rebuild"),
        (b"", "prepnode registry rebuild"),
        (None, "`-c FILE` names another one"),
    ],
)
def test_a_registry_that_cannot_be_read_comes_with_advice(content, advice, tmp_path):
    path = tmp_path / "registry.db"
    if content is not None:
        path.write_bytes(content)
    reader = read_engine(f"sqlite:///{path}")
    with pytest.raises(RegistryError, match=advice), reading(reader) as connection:
        connection.execute(text("SELECT * FROM series"))
    reader.dispose()


def test_a_registry_of_the_first_version_opens_its_ledger_with_what_it_holds(tmp_path):
    """What retention had removed by then is known from its events."""
    made = engine(f"sqlite:///{tmp_path / 'registry.db'}")
    upgrade(made, "0001")
    kept, gone = "1.2.1", "1.2.2"
    with writing(made) as connection:
        connection.execute(
            text("INSERT INTO study (StudyInstanceUID, first_received_at) VALUES ('1.2', :at)"), OLD
        )
        for uid in (kept, gone):
            connection.execute(text(OLD_SERIES), OLD | {"uid": uid})
        for number, (uid, sender, conflict) in enumerate(
            [(kept, "PACS1", 0), (kept, "PACS1 ", 1), (kept, None, 0), (gone, "PACS1", 0)]
        ):
            connection.execute(
                text(OLD_INSTANCE), OLD | {"n": number, "uid": uid, "sender": sender, "conflict": conflict}
            )
        connection.execute(
            text(
                "INSERT INTO event (at, name, SeriesInstanceUID, details) VALUES (:later, 'originals.deleted', :uid, '{}')"
            ),
            {"later": "2026-02-01 00:00:00.000000", "uid": gone},
        )
    migrate(made)
    lines = {row["calling_ae_title"]: row for row in rows(made, "ledger")}
    assert {name: (row["n_new"], row["n_conflicts"], row["adjustment"]) for name, row in lines.items()} == {
        "PACS1": (2, 1, 3),
        "": (1, 0, 1),
    }
    assert {row["day"] for row in lines.values()} == {date(2026, 1, 1)}
    assert {row["SeriesInstanceUID"] for row in rows(made, "instance") if row["removed_at"]} == {gone}
    assert all(line.is_balanced and line.is_rebuilt for line in balance(made, tmp_path))
    made.dispose()


OLD = {"at": "2026-01-01 12:00:00.000000"}
OLD_SERIES = """
INSERT INTO series (SeriesInstanceUID, StudyInstanceUID, state, revision, evidence, first_received_at,
    last_received_at, n_instances, released, facts)
VALUES (:uid, '1.2', 'PROCESSED', 1, '{}', :at, :at, 1, 0, '{}')
"""
OLD_INSTANCE = """
INSERT INTO instance (SOPInstanceUID, SOPClassUID, TransferSyntaxUID, StudyInstanceUID, SeriesInstanceUID, path,
    size_bytes, sha256, is_conflict, calling_ae_title, received_at)
VALUES ('1.9', '1', '1', '1.2', :uid, '/x', 1, :n, :conflict, :sender, :at)
"""


def upgrade(made, version):
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with writing(made) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
