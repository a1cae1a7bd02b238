"""The C-STORE SCP of one process: what it consists of, how it starts, how it stops without loss.

Events in the log: `listener.started`, `listener.stopped`, `listener.exhausted` (no descriptors
left) · `connection.failed` · `association.accepted`, `association.refused` (with the reason in
words), then one of `association.released`, `association.aborted`, `association.lost`; before
it, if so, `association.silent`, `association.malformed`, `association.protocol_error`,
`pdu.too_long`, `pdu.too_slow` · `instance.refused` (with status and reason),
`instance.not_durable`, `instance.failed`, `disk.unknown` · `commitment.requested`,
`commitment.refused`, `commitment.report_refused`, `commitment.not_durable` ·
`listener.reloaded`, `certificate.expires`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from socketserver import BaseServer
from typing import Any, Protocol

from pynetdicom import _config as pynetdicom_config
from pynetdicom.ae import ApplicationEntity

from node import logs
from node.commitment.exchange import Exchange
from node.config import Config
from node.errors import ConfigError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.listener.acceptor import Parts
from node.listener.access import Access
from node.listener.c_store import Acknowledging, Registering, Spooling, StoreService
from node.listener.commitment import CommitmentService
from node.listener.open_associations import AssociationNotes, OpenAssociations
from node.listener.port import ACCEPT_POLL_S, Port
from node.listener.quotas import Quotas
from node.listener.tls import Expiry, not_after, tls_context
from node.listener.upper_layer import provider
from node.listener.users import users

DRAIN_TIMEOUT_S = 20.0  # the node has 30 s to stop
FAREWELL_S = 1.0  # for peers to take the A-ABORT, once nothing is in flight
OWNER_LENGTH = 40  # of the 64 characters that the registry has for the id of an association
HANGS_AFTER_S = 5.0  # an accept loop that has not turned for so long

log = logs.get("node.listener")


class Spool(Spooling, Protocol):
    """What is needed of `node.spool.Spool`."""

    owner: str


class Registrar(Registering, AssociationNotes, Protocol):
    """What is needed of `node.handover.Handover`."""

    @property
    def pending(self) -> int:
        """How many instances are durable but not registered yet."""


class ListenerServer:
    """Receives objects into `spool` and hands them to `registrar`. Start once, stop once."""

    def __init__(  # noqa: PLR0913 - the parts of the node that a listener works with
        self,
        config: Config,
        spool: Spool,
        registrar: Registrar,
        *,
        run: str = "",
        accepting: Callable[[], bool] | None = None,
        acks: Acknowledging | None = None,
        index: int = 0,
    ) -> None:
        self._config = config
        self._registrar = registrar
        self._index = index
        self._run = run or new_run(spool.owner)
        self._provider = provider()
        self._commitment = (
            CommitmentService(Exchange(config.commitment_dir)) if config.listener.storage_commitment else None
        )
        self._service = StoreService(
            spool,
            registrar,
            max_bytes=config.listener.max_instance_mb * 1024**2,
            accepting=accepting or (lambda: True),
            acks=acks,
        )
        self._associations = OpenAssociations(
            registrar,
            max_per_host=config.listener.max_connections_per_host,
            refused=self._service.tally.refused,
        )
        self._quotas = Quotas(config.listener.peer)
        self._expiry: Expiry | None = None
        self._port: Port | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen; return the TCP port.

        Raises:
            ConfigError: the address is taken or not of this machine, or TLS or users cannot be set up.
        """
        node = self._config.node
        tls = tls_context(self._config.tls)
        silence_pynetdicom()
        parts = self._parts(self._config)
        self._expiry = _expiry(self._config)
        try:
            port = Port(
                self._entity(),
                (node.host, node.port),
                parts,
                tls=tls,
                prefix=self._run,
                is_shared=node.listeners > 1,
            )
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(
                [f"node.host, node.port: cannot listen at {node.host}:{node.port}: {why}"]
            ) from error
        self._port = port
        self._thread = threading.Thread(
            target=port.serve_forever, kwargs={"poll_interval": ACCEPT_POLL_S}, name="accept", daemon=True
        )
        self._thread.start()
        log.info(
            "listener.started",
            ae_title=node.ae_title,
            port=port.number,
            listener=self._index,
            tls=tls is not None,
        )
        return port.number

    def reload(self, config: Config) -> None:
        """Let new peers, limits, users and certificates hold for new connections; open ones go on untouched.

        Nothing changes unless everything can change.

        Raises:
            ConfigError: a file of certificates or users cannot be used.
        """
        tls, parts, expiry = tls_context(config.tls), self._parts(config), _expiry(config)
        listener, port = config.listener, self._port
        if port is None:
            return
        self._quotas.reload(listener.peer)
        self._service.max_bytes = listener.max_instance_mb * 1024**2
        self._associations.max_per_host = listener.max_connections_per_host
        port.ae.acse_timeout, port.ae.network_timeout = listener.acse_timeout_s, listener.network_timeout_s
        port.ssl_context, port.parts = tls, parts
        self._expiry = expiry
        log.info("listener.reloaded", listener=self._index, peers=len(listener.peer), tls=tls is not None)

    def warn_of_expiry(self) -> None:
        """Log, once a day, that the certificate of the port ends soon."""
        if self._expiry is not None and (warning := self._expiry.warning(datetime.now(UTC))):
            log.warning("certificate.expires", reason=warning, at=self._expiry.at.isoformat())

    def stop(self, timeout_s: float = DRAIN_TIMEOUT_S) -> bool:
        """Accept nothing more, let objects in flight get their answer, then end every association.

        Returns False when something was cut off because it took longer than `timeout_s`; it was
        not acknowledged.
        """
        if self._port is None or self._thread is None:
            return True
        deadline = time.monotonic() + timeout_s
        self._associations.drain()
        self._service.drain()
        BaseServer.shutdown(self._port)
        self._thread.join()
        self._port.server_close()
        self._associations.cut_silent()
        is_idle = self._service.wait_idle(max(0.0, deadline - time.monotonic()))
        for acceptor in self._associations.acceptors():
            acceptor.stop()
        self._join(min(deadline, time.monotonic() + FAREWELL_S) if is_idle else 0.0)
        for acceptor in self._associations.acceptors():
            acceptor.cut()
        self._join(time.monotonic() + FAREWELL_S)
        log.info("listener.stopped", in_order=is_idle)
        return is_idle

    def is_healthy(self) -> bool:
        """Say whether the accept loop turns and what is received can be registered."""
        port, thread = self._port, self._thread
        if port is None or thread is None or not thread.is_alive():
            return False
        return time.monotonic() - port.ticked_at < HANGS_AFTER_S and self._registrar.problem is None

    def counters(self) -> dict[str, Any]:
        """Return received, refused, bytes, by_status, by_outcome, associations (open now) and pending."""
        figures = self._service.tally.figures()
        if self._expiry is not None:
            figures["certificate_not_after"] = self._expiry.at.timestamp()
        return figures | {"associations": self._associations.count, "pending": self._registrar.pending}

    def _parts(self, config: Config) -> Parts:
        listener = config.listener
        return Parts(
            Access(config.node.ae_title, listener),
            users(listener.users_file, is_required=listener.require_user_identity),
            self._quotas,
            self._service,
            self._associations,
            self._provider,
            self._commitment,
        )

    def _entity(self) -> ApplicationEntity:
        listener = self._config.listener
        entity = ApplicationEntity(self._config.node.ae_title)
        entity.maximum_pdu_size = listener.max_pdu
        entity.acse_timeout = listener.acse_timeout_s
        entity.network_timeout = listener.network_timeout_s
        entity.maximum_associations = 1_000_000  # `Access` counts, and only those that are established
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        return entity

    def _join(self, deadline: float) -> None:
        for acceptor in self._associations.acceptors():
            acceptor.join(max(0.0, deadline - time.monotonic()))


def new_run(owner: str) -> str:
    """Return what the ids of associations begin with in this run of a process: no other run has the same."""
    return f"{owner[-OWNER_LENGTH:]}:{secrets.token_hex(4)}-"


def _expiry(config: Config) -> Expiry | None:
    return Expiry(not_after(Path(config.tls.cert))) if config.tls.enabled else None


def silence_pynetdicom() -> None:
    """Keep pynetdicom from formatting what it receives for its log; the effect is on the whole process."""
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"
    pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
