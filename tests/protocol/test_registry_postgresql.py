"""The registry on PostgreSQL: the same writes, the same view, several processes at once."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from node.completion import CompletionPolicy
from node.completion_loop import CompletionLoop
from node.errors import RegistryError
from node.registry.arrivals import Outcome
from node.registry.associations import Ending, Opening
from node.registry.database import engine, migrate, read_engine, reading
from node.registry.queries import research, research_columns
from node.registry.repository import Repository
from node.registry.schema import Base
from phantoms import uid
from registries import NOON, after, arrival, report, rows

PROGRAMS = next(
    (path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/usr/bin")
)
pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(not (PROGRAMS / "initdb").exists(), reason="PostgreSQL is not installed"),
]


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL of this test alone; it refuses to run as root, so there it runs as its own user."""
    folder = Path(tempfile.mkdtemp(prefix="registry-"))
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def run(*command):
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **user)

    cluster, log = str(folder / "data"), str(folder / "log")
    run(PROGRAMS / "initdb", "-D", cluster, "-U", "node", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(PROGRAMS / "pg_ctl", "-D", cluster, "-l", log, "-w", "-o", options, "start")
    yield f"postgresql+psycopg://node@127.0.0.1:{port}/postgres"
    run(PROGRAMS / "pg_ctl", "-D", cluster, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def repository(server):
    made = Repository(engine(server))
    migrate(made.engine)
    yield made
    with made.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    made.engine.dispose()


def test_the_migrations_make_the_tables_of_the_schema(repository):
    migrate(repository.engine)
    with repository.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_series_goes_all_its_way(repository, server):
    repository.note_associations([Opening("a", "SENDER", "PREPNODE", "::1", NOON)])
    repository.register([arrival(index) for index in range(5)], NOON)
    outcomes = [
        each.outcome for each in repository.register([arrival(0), arrival(1, content="other")], after(1))
    ]
    assert outcomes == [Outcome.DUPLICATE, Outcome.CONFLICT]
    repository.note_associations([], [Ending("a", "released", after(1), n_received=7)])
    loop = CompletionLoop(
        repository, CompletionPolicy(settle_s=1), now=lambda: after(3), monotonic=lambda: 3.0
    )
    assert loop.run_once() == [(uid("series"), 1)]
    assert repository.start(uid("series"), 1, after(4), profile="default")
    output = {"kind": "nifti", "path": "v0.nii.gz", "volume": 0, "sha256": "0" * 64, "size_bytes": 2**40}
    delivery = {"destination": "research", "send": ["outputs"]}
    assert repository.finish(uid("series"), 1, report(), [output], [delivery], after(5))
    repository.delivery_done(rows(repository.engine, "delivery")[0]["id"], delivered=["x"], now=after(6))
    (late,) = repository.register([arrival(9)], after(60))
    assert (late.is_late, late.revision) == (True, 2)
    (row,) = rows(repository.engine, "series")
    assert (row["state"], row["n_instances"], row["revision"]) == ("RECEIVING", 6, 2)


def test_the_view_has_its_columns_by_their_keywords(repository, server):
    repository.register([arrival(0)], NOON)
    repository.complete(uid("series"), "because", {}, after(1))
    repository.start(uid("series"), 1, after(2))
    repository.finish(uid("series"), 1, report(), [], [], after(3))
    reader = read_engine(server)
    (row,) = research(reader, "Modality = 'CT' AND contrast_phase = 'ARTERIAL' AND NOT lossy")
    assert list(row) == research_columns()
    assert (row["SeriesInstanceUID"], row["first_received_at"]) == (uid("series"), NOON)
    with pytest.raises(RegistryError):
        research(reader, "EXISTS (SELECT 1 FROM study)")
    with pytest.raises(RegistryError, match="read-only"), reading(reader) as connection:
        connection.execute(text("DELETE FROM event"))
    reader.dispose()


def test_listeners_that_register_the_same_series_at_once_agree(repository, server):
    engines = [engine(server) for _ in range(4)]
    problems = []

    def run(made):
        try:
            for index in range(0, 60, 3):
                Repository(made).register([arrival(each) for each in range(index, index + 3)], NOON)
        except RegistryError as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(made,)) for made in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for made in engines:
        made.dispose()
    assert problems == []
    (row,) = rows(repository.engine, "series")
    assert row["n_instances"] == len(rows(repository.engine, "instance")) == 60
