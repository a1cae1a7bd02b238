"""Whether each part of the node works, and the figures a monitoring system asks for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from node import heartbeat
from node.clock import utc_now
from node.config import Config
from node.errors import NodeError
from node.heartbeat import Heartbeat
from node.ledger import balance
from node.registry.figures import figures

LEDGER_DAYS = 30  # as `prepnode ledger` shows them


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the node: does it work, and what to tell a person."""

    name: str
    ok: bool
    detail: str


def expected_parts(config: Config) -> list[str]:
    """Return the parts that a whole node consists of, on one machine or on several."""
    return [*(f"listener-{index}" for index in range(config.node.listeners)), "registrar", "worker", "web"]


def examine(config: Config, engine: Engine, *, now: float | None = None) -> list[Part]:
    """Look at every part: processes by heartbeats, the registry by a query, the disk by its free space."""
    now = time.time() if now is None else now
    beats = heartbeat.read_all(config.node.data_dir / "run")
    processes = [_process(name, beats, now) for name in expected_parts(config)]
    return [*processes, _registry(engine), _disk(config), *_configuration(beats)]


def _process(name: str, beats: Iterable[Heartbeat], now: float) -> Part:
    """Judge one part by the heartbeats of all hosts: it works when it works somewhere."""
    own = sorted(
        (beat for beat in beats if beat.part == name), key=lambda beat: (beat.is_alive(now), beat.at)
    )
    if not own:
        return Part(name, ok=False, detail="not running")
    return Part(name, ok=own[-1].is_alive(now), detail=own[-1].describe(now))


def _configuration(beats: Iterable[Heartbeat]) -> Iterator[Part]:
    """Tell which configuration is in force, of each supervisor; a stale one is worth a look, not an alarm."""
    for beat in beats:
        if "config_stale" in beat.counters:
            yield Part(beat.part.replace("supervisor", "configuration"), ok=True, detail=beat.detail)


def _registry(engine: Engine) -> Part:
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT COUNT(*) FROM series WHERE state = 'RECEIVING'"))
    except SQLAlchemyError as error:
        return Part(
            "registry", ok=False, detail=f"cannot be read: {type(error).__name__}; see the node's log"
        )
    return Part("registry", ok=True, detail="ok")


def _disk(config: Config) -> Part:
    free_gb = min(free_bytes(config.node.data_dir), free_bytes(config.spool_dir)) / 1e9
    floor_gb = config.retention.min_free_gb
    if free_gb < floor_gb:
        return Part(
            "disk",
            ok=False,
            detail=f"{free_gb:.1f} GB free, less than min_free_gb = {floor_gb:g}: C-STORE answers 0xA700",
        )
    return Part("disk", ok=True, detail=f"{free_gb:.1f} GB free")


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where `folder` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


class NodeCollector(Collector):
    """Turn heartbeats and registry into Prometheus metrics at the moment they are asked for."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config, self._engine = config, engine

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; those of the registry are left out when it cannot be read."""
        beats = heartbeat.read_all(self._config.node.data_dir / "run")
        yield from _process_metrics(beats)
        up = GaugeMetricFamily("prepnode_part_up", "1 while this part of the node works.", labels=["part"])
        for part in examine(self._config, self._engine):
            up.add_metric([part.name], float(part.ok))
        yield up
        yield GaugeMetricFamily(
            "prepnode_free_bytes",
            "Free space where the data folder is.",
            free_bytes(self._config.node.data_dir),
        )
        try:
            yield from _registry_metrics(self._engine)
            yield from _ledger_metrics(self._config, self._engine)
        except (SQLAlchemyError, NodeError):
            return


def _process_metrics(beats: Iterable[Heartbeat]) -> Iterator[Metric]:
    received = CounterMetricFamily(
        "prepnode_received_instances", "C-STOREs by status.", labels=["part", "status"]
    )
    volume = CounterMetricFamily(
        "prepnode_received_bytes", "Bytes of acknowledged instances.", labels=["part"]
    )
    open_now = GaugeMetricFamily("prepnode_associations", "Associations open now.", labels=["part"])
    accepted = CounterMetricFamily(
        "prepnode_associations", "Associations by outcome.", labels=["part", "outcome"]
    )
    pending = GaugeMetricFamily(
        "prepnode_registration_pending", "Acknowledged, not yet registered.", labels=["part"]
    )
    durations = HistogramMetricFamily("prepnode_job_seconds", "Time to process a series.", labels=["part"])
    refusals = CounterMetricFamily(
        "prepnode_refusals",
        "Associations refused and connections closed, by reason.",
        labels=["part", "reason"],
    )
    for beat in beats:
        for status, count in beat.counters.get("by_status", {}).items():
            received.add_metric([beat.part, status], count)
        for outcome, count in beat.counters.get("by_outcome", {}).items():
            accepted.add_metric([beat.part, outcome], count)
        for reason, count in beat.counters.get("by_refusal", {}).items():
            refusals.add_metric([beat.part, reason], count)
        if "bytes" in beat.counters:
            volume.add_metric([beat.part], beat.counters["bytes"])
            open_now.add_metric([beat.part], beat.counters.get("associations", 0))
            pending.add_metric([beat.part], beat.counters.get("pending", 0))
        if "job_seconds" in beat.counters:
            histogram = beat.counters["job_seconds"]
            durations.add_metric([beat.part], histogram["buckets"], histogram["sum"])
    yield from (received, volume, open_now, accepted, refusals, pending, durations)
    yield from _configuration_metrics(beats)


def _configuration_metrics(beats: Iterable[Heartbeat]) -> Iterator[Metric]:
    stale = GaugeMetricFamily(
        "prepnode_config_stale", "1 while the configuration file has mistakes.", labels=["part", "host"]
    )
    reloads = CounterMetricFamily(
        "prepnode_config_reloads", "Readings of the file since the start.", labels=["part", "host", "result"]
    )
    ends = GaugeMetricFamily(
        "prepnode_certificate_not_after_seconds",
        "When the TLS certificate ends, as Unix time.",
        labels=["part"],
    )
    for beat in beats:
        if "config_stale" in beat.counters:
            stale.add_metric([beat.part, beat.host], beat.counters["config_stale"])
            for result, count in beat.counters.get("config_reloads", {}).items():
                reloads.add_metric([beat.part, beat.host, result], count)
        if "certificate_not_after" in beat.counters:
            ends.add_metric([beat.part], beat.counters["certificate_not_after"])
    yield from (stale, reloads, ends)


def _registry_metrics(engine: Engine) -> Iterator[Metric]:
    found = figures(engine, utc_now())
    series = GaugeMetricFamily("prepnode_series", "Series by state.", labels=["state"])
    for state, count in found.series_by_state.items():
        series.add_metric([state], count)
    verdicts = GaugeMetricFamily(
        "prepnode_verdicts", "Series by verdict of their current revision.", labels=["verdict"]
    )
    for verdict, count in found.series_by_verdict.items():
        verdicts.add_metric([verdict], count)
    deliveries = GaugeMetricFamily(
        "prepnode_deliveries", "Deliveries by destination and state.", labels=["destination", "state"]
    )
    for (destination, state), count in found.deliveries_by_state.items():
        deliveries.add_metric([destination, state], count)
    yield from (series, verdicts, deliveries)
    yield GaugeMetricFamily("prepnode_instances", "Registered instances.", found.instances)
    yield GaugeMetricFamily(
        "prepnode_conflicts", "Instances with the UID of another, but other bytes.", found.conflicts
    )
    yield GaugeMetricFamily(
        "prepnode_queue_depth", "Complete series that wait or are worked on.", found.queue_depth
    )
    yield GaugeMetricFamily("prepnode_queue_age_seconds", "Age of the oldest of them.", found.queue_age_s)
    yield GaugeMetricFamily(
        "prepnode_delivery_age_seconds", "Age of the oldest pending delivery.", found.delivery_age_s
    )


def _ledger_metrics(config: Config, engine: Engine) -> Iterator[Metric]:
    since = utc_now().date() - timedelta(days=LEDGER_DAYS)
    lines = balance(engine, config.spool_dir, since, with_rows=False)
    yield GaugeMetricFamily(
        "prepnode_ledger_unbalanced",
        f"Peers and days, of the last {LEDGER_DAYS}, whose acknowledged objects are not all accounted for.",
        sum(not line.is_balanced for line in lines),
    )
    yield GaugeMetricFamily(
        "prepnode_ledger_lost", "Acknowledged objects that are nowhere.", sum(line.lost for line in lines)
    )


def metrics_registry(config: Config, engine: Engine) -> CollectorRegistry:
    """Return a Prometheus registry that holds this node's metrics and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(config, engine))
    return registry
