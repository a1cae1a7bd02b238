"""Open the registry: SQLite or PostgreSQL, its settings, its transactions, its migrations.

SQLite runs in write-ahead mode with synchronous=FULL: what is committed survives a power
loss. A writing transaction takes the write lock at its beginning (BEGIN IMMEDIATE), so that
what it has read still holds when it writes; on PostgreSQL the rows are locked instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from node.errors import RegistryError
from node.registry.schema import Base

BUSY_TIMEOUT_MS = 5000  # a registry that stays locked for longer is told as failing (0xA701)
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x70726570  # any fixed number: the key of PostgreSQL's advisory lock
MOVE_AWAY = (
    "stop the node, move registry.db, registry.db-wal and registry.db-shm away, and run"
    " `prepnode registry rebuild`: every received instance is still in the spool"
)
OLDER = "it is of an older version; `prepnode registry migrate`, or a start of the node, brings it up to date"
ADVICE = {  # what SQLite says -> what a person can do about it
    "file is not a database": MOVE_AWAY,
    "disk image is malformed": MOVE_AWAY,
    "unable to open database file": "has a node run with this configuration? `-c FILE` names another one",
    "no such table: ledger": OLDER,
    "no such column": OLDER,
    "no such table": "it is empty; `prepnode registry rebuild` fills it from the spool",
    "readonly database": "run this as the user of the node: sudo -u prepnode prepnode ...",
    "database is locked": "another process writes for long; try again",
}
POSTGRESQL_OPTIONS = f"-c lock_timeout={BUSY_TIMEOUT_MS} -c timezone=utc"


def engine(url: str) -> Engine:
    """Return an engine that writes; nothing is opened yet.

    Raises:
        RegistryError: the URL is not one.
    """
    made = _engine(url, is_read_only=False)
    if made.dialect.name == "sqlite":
        event.listen(made, "begin", _begin)
    return made


def read_engine(url: str) -> Engine:
    """Return an engine on which the database itself refuses every change.

    Raises:
        RegistryError: the URL is not one.
    """
    return _engine(url, is_read_only=True)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one writing transaction: committed at the end, rolled back on any error.

    Raises:
        RegistryError: the database is locked, gone, full or refuses.
    """
    with _told(), engine.execution_options(prepnode_writes=True).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one reading transaction: everything in it sees the same moment.

    Raises:
        RegistryError: the database is gone or cannot be read.
    """
    with _told(), engine.begin() as connection:
        yield connection


def insert_ignoring(connection: Connection, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that leaves rows alone whose key is there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def check(engine: Engine) -> None:
    """Refuse a damaged SQLite file.

    Raises:
        RegistryError: the file is no database, or its pages contradict one another.
    """
    if engine.dialect.name != "sqlite":
        return
    with reading(engine) as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        raise RegistryError(f"the registry {engine.url.database} is damaged ({found}); {MOVE_AWAY}")


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest version; processes that do this at once wait for one another.

    Raises:
        RegistryError: the database is damaged, or was written by a newer version.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise RegistryError(
                f"the registry cannot be brought up to date: {error}; was it written by a newer prepnode?"
            ) from error


def _engine(url: str, *, is_read_only: bool) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            made = _sqlite(url, parsed.database or "", is_read_only=is_read_only)
        else:
            options = POSTGRESQL_OPTIONS + (" -c default_transaction_read_only=on" if is_read_only else "")
            made = create_engine(
                url, connect_args={"options": options}, pool_pre_ping=True, hide_parameters=True
            )
    except (ArgumentError, SQLAlchemyError, ImportError) as error:
        raise RegistryError(
            f"registry.url is not a database URL: {error}; see conf/node.toml for examples"
        ) from error
    return made


def _sqlite(url: str, database: str, *, is_read_only: bool) -> Engine:
    uri = f"file:{quote(database)}?mode={'ro' if is_read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)

    made = create_engine(url, creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(made, "connect")
    def settings(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if is_read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return made


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("prepnode_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _told() -> Iterator[None]:
    """Tell errors of the database as the registry's own, without statement and parameters."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        words = str(cause).strip().splitlines()[0]
        advice = next((advice for sign, advice in ADVICE.items() if sign in words), "")
        raise RegistryError(
            f"the registry cannot be used: {type(cause).__name__}: {words}{'; ' if advice else ''}{advice}"
        ) from error
