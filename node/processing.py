"""The work of a series job: from a complete series to its result and its deliveries in the registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from node import logs, routing
from node.child import Order
from node.config import Config
from node.errors import ProcessingError, ProcessingStoppedError
from node.registry import due, intensity
from node.registry.repository import Repository
from node.routing import Plan
from node.runner import SeriesRunner

NAMED = 20  # instances that a finding names; the registry has them all

log = logs.get("node.processing")

__all__ = ["SeriesRunner", "SeriesWork", "revision_folder"]


class SeriesWork:
    """Processes one revision of a series each time it is called (see `node.jobs`).

    It may be called twice for the same revision: the registry says whether there is still
    something to do, and the second run replaces what the first has written.
    """

    def __init__(
        self,
        config: Config,
        repository: Repository,
        runner: SeriesRunner,
        *,
        now: Callable[[], datetime],
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`done` is told when a series has ended: its deliveries may be taken up at once."""
        self._config = config
        self._repository = repository
        self._runner = runner
        self._now = now
        self._done = done

    def __call__(self, series_uid: str, revision: int) -> None:
        """Process a revision, unless the series has gone on; end as PROCESSED, HELD or FAILED.

        Raises:
            ProcessingStoppedError: the node is stopping; the job runs again after its next start.
            RegistryError: the registry cannot be read or written; the sweep submits the job again.
        """
        found = due.series_to_process(self._repository.engine, series_uid)
        if found is None:
            return
        planned = routing.plan(found.facts, self._config.route)
        if not self._repository.start(series_uid, revision, self._now(), profile=planned.profile):
            log.info("series.gone_on", SeriesInstanceUID=series_uid, revision=revision)
            return
        try:
            result = self._runner.run(self._order(found, planned, revision))
        except ProcessingStoppedError:
            raise
        except ProcessingError as error:
            self._repository.fail(series_uid, revision, str(error), self._now())
            log.warning("series.failed", SeriesInstanceUID=series_uid, revision=revision, error=str(error))
        else:
            self._finish(series_uid, revision, result, planned)
        self._done()

    def _finish(self, series_uid: str, revision: int, result: Mapping[str, Any], planned: Plan) -> None:
        report = result["report"]
        deliveries = routing.deliveries_for(planned, str(report["verdict"]))
        is_current = self._repository.finish(
            series_uid,
            revision,
            report,
            result["products"],
            [{"destination": each.destination, "send": list(each.send)} for each in deliveries],
            self._now(),
        )
        log.info(
            "series.processed" if is_current else "series.stale",
            SeriesInstanceUID=series_uid,
            revision=revision,
            verdict=report["verdict"],
            deliveries=len(deliveries),
        )

    def _order(self, found: due.SeriesToProcess, planned: Plan, revision: int) -> Order:
        row = found.row
        series_uid, study_uid = row["SeriesInstanceUID"], row["StudyInstanceUID"]
        return Order(
            series_instance_uid=series_uid,
            study_instance_uid=study_uid,
            revision=revision,
            files=tuple(Path(each["path"]) for each in found.instances),
            digests=tuple(each["sha256"] or "" for each in found.instances),
            out=revision_folder(self._config.outputs_dir, study_uid, series_uid, revision),
            profile=planned.profile,
            writers=routing.extra_writers(planned, self._config),
            release=bool(row["released"]),
            reason=row["reason"] or "",
            evidence=row["evidence"],
            siblings=found.siblings,
            findings=tuple(registry_findings(found)),
            models=self._models(planned.profile),
            labels=self._labels(planned.profile, study_uid),
        )

    def _labels(self, profile: str, study_uid: str) -> tuple[Path, ...]:
        keys = self._config.profiles.get(profile)
        if keys is None or not keys.labels:
            return ()
        return due.files_of_modality(self._repository.engine, study_uid, ("SEG", "RTSTRUCT"))

    def _models(self, profile: str) -> tuple[Mapping[str, Any], ...]:
        keys = self._config.profiles.get(profile)
        return () if keys is None else intensity.in_use(self._repository.engine, keys.model_kinds)


def registry_findings(found: due.SeriesToProcess) -> list[dict[str, Any]]:
    """Say what only the registry knows of a series: late instances, conflicts with other series, doubts.

    Two objects of one UID within the series are seen by whoever reads its files.
    """
    findings = [dict(each) for each in found.row["evidence"].get("findings", ())]
    counts = Counter(each["SOPInstanceUID"] for each in found.instances)
    conflicts = sorted(
        each["SOPInstanceUID"]
        for each in found.instances
        if each["is_conflict"] and counts[each["SOPInstanceUID"]] == 1
    )
    if conflicts:
        findings.append(
            {
                "code": "ING-002",
                "severity": "REVIEW",
                "message": f"{len(conflicts)} instances bear the UID of an object in another series",
                "evidence": {"SOPInstanceUID": conflicts[:NAMED], "n": len(conflicts)},
            }
        )
    if found.n_late:
        before = found.row["revision"] - 1
        findings.append(
            {
                "code": "ING-009",
                "severity": "WARN",
                "message": f"{found.n_late} instances came after revision {before} was complete",
                "evidence": {"n": found.n_late, "revision": found.row["revision"]},
            }
        )
    return findings


def revision_folder(outputs: Path, study_uid: str, series_uid: str, revision: int) -> Path:
    """Return the folder that holds the results of one revision of a series."""
    return outputs / study_uid / series_uid / f"r{revision}"
