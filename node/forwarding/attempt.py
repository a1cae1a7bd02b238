"""One attempt at one delivery: take what is due, send it, and write down what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import random as uniform
from typing import Any

from node import logs
from node.config import Config, Destination
from node.errors import DeliveryError
from node.forwarding import destinations
from node.forwarding.package import Deadline, Package, pack
from node.forwarding.retry import until_next
from node.registry import due
from node.registry.repository import Repository

EARLY_S = 1.5  # the engine's clock on SQLite counts whole seconds
REMARKS = 20  # that one event keeps
KEEP_EVERY = 50  # files taken between two notes in the registry; what a crash repeats is at most that

log = logs.get("node.forwarding")


class DeliveryWork:
    """Makes one attempt at a delivery each time it is called (see `node.jobs`)."""

    def __init__(
        self,
        config: Config,
        repository: Repository,
        *,
        now: Callable[[], datetime],
        random: Callable[[], float] = uniform,
    ) -> None:
        self._config = config
        self._repository = repository
        self._engine = repository.engine
        self._now = now
        self._random = random
        self._destinations = {each.name: _as_us(each, config) for each in config.destination}

    def __call__(self, delivery_id: int) -> float | None:
        """Attempt the delivery; return the seconds until the next attempt, or None when none is to come."""
        found = due.delivery_to_make(self._engine, delivery_id)
        if found is None or found.row["state"] != "PENDING":
            return None
        due_at = found.row["due_at"]
        wait_s = 0.0 if due_at is None else float((due_at - self._now()).total_seconds())
        if wait_s > EARLY_S:
            return wait_s
        destination = self._destinations.get(found.row["destination"])
        if destination is None:
            self._end(found.row, "the destination is no longer in the configuration")
            return None
        try:
            delivered = self._send(destination, found)
        except DeliveryError as error:
            return self._again(found.row, destination, error)
        except Exception as error:
            log.exception("delivery.unexpected", destination=destination.name, delivery=delivery_id)
            return self._again(found.row, destination, DeliveryError(f"{type(error).__name__}: {error}"))
        self._repository.delivery_done(delivery_id, delivered=delivered, now=self._now())
        log.info("delivery.done", **_names(found.row), files=len(delivered))
        return None

    def _send(self, destination: Destination, found: due.DeliveryToMake) -> list[str]:
        send = destinations.sender(destination.kind)
        package = self._package(destination, found)
        deadline = Deadline(destination.timeout_s, package.size_bytes)
        delivered = list(found.row["delivered"])
        noted = len(delivered)
        remarks: dict[str, str] = {}
        try:
            for sent in send(destination, package, frozenset(delivered), deadline):
                delivered.append(sent.name)
                if sent.remark:
                    remarks[sent.name] = sent.remark
                if len(delivered) - noted >= KEEP_EVERY:
                    self._repository.delivery_progress(found.row["id"], delivered)
                    noted = len(delivered)
        finally:
            if len(delivered) > noted:
                self._repository.delivery_progress(found.row["id"], delivered)
            if remarks:
                self._remark(found.row, remarks)
        return list(dict.fromkeys(delivered))

    def _package(self, destination: Destination, found: due.DeliveryToMake) -> Package:
        """Collect what there is to send, without what this kind of destination cannot take."""
        whole = pack(
            found.row["send"],
            series={**found.series, "revision": found.row["revision"]},
            outputs=found.outputs,
            instances=found.instances,
            outputs_dir=self._config.outputs_dir,
        )
        taken = tuple(item for item in whole.items if destinations.takes(destination.kind, item))
        if not taken:
            raise DeliveryError(
                f"nothing to send: none of {', '.join(found.row['send'])} is there in a form that a "
                f"destination of kind {destination.kind!r} takes",
                retryable=False,
            )
        left_out = sorted({item.kind for item in whole.items} - {item.kind for item in taken})
        if left_out and not found.row["attempts"]:
            self._event(
                "delivery.left_out", found.row, kinds=left_out, why=f"not for kind {destination.kind!r}"
            )
        return replace(whole, items=taken)

    def _remark(self, row: Mapping[str, Any], remarks: Mapping[str, str]) -> None:
        """Put into the history what the destination said of files that it took."""
        self._event("delivery.remark", row, files=len(remarks), remarks=dict(list(remarks.items())[:REMARKS]))
        log.warning("delivery.remark", **_names(row), files=len(remarks), remark=next(iter(remarks.values())))

    def _event(self, name: str, row: Mapping[str, Any], **details: Any) -> None:
        self._repository.record_event(
            name,
            self._now(),
            series_uid=row["SeriesInstanceUID"],
            revision=row["revision"],
            destination=row["destination"],
            **details,
        )

    def _again(self, row: Mapping[str, Any], destination: Destination, error: DeliveryError) -> float | None:
        if not error.retryable:
            self._end(row, str(error))
            return None
        now = self._now()
        delay_s = until_next(
            row["attempts"] + 1,
            created_at=row["created_at"],
            now=now,
            max_age_h=destination.max_age_h,
            random=self._random,
        )
        if delay_s is None:
            self._end(row, f"given up after {destination.max_age_h:g} h; the last attempt: {error}")
            return None
        wanted = self._repository.delivery_attempt(
            row["id"], error=str(error), due_at=now + timedelta(seconds=delay_s), now=now
        )
        log.warning("delivery.failed_for_now", **_names(row), error=str(error), next_in_s=round(delay_s))
        return delay_s if wanted else None

    def _end(self, row: Mapping[str, Any], error: str) -> None:
        self._repository.delivery_failed(row["id"], error=error, now=self._now())
        log.error("delivery.given_up", **_names(row), error=error)


def _as_us(destination: Destination, config: Config) -> Destination:
    """Let a destination that names no calling AE title be called by the node's own."""
    return destination.model_copy(update={"calling_aet": destination.calling_aet or config.node.ae_title})


def _names(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "delivery": row["id"],
        "destination": row["destination"],
        "SeriesInstanceUID": row["SeriesInstanceUID"],
        "revision": row["revision"],
    }
