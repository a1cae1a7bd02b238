"""Make a recorded result again from its originals, by the recipe that its report keeps, and compare.

The recipe comes from the report, not from the configuration of today. What is compared are
digests: of every file that was written, as recorded when it was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from node import digest
from node.child import Order
from node.config import Config
from node.errors import ReplayError
from node.processing import registry_findings
from node.registry import due
from node.runner import SeriesRunner

REPORT, PAGE = "report.json", "report.html"


class Sameness(StrEnum):
    """How a file that was made again compares with the record."""

    SAME = "same"
    VERSIONS = "same but for the versions named in it"
    ALTERED = "made as recorded, but the file has been altered since"
    DIFFERS = "differs"
    NOT_MADE = "recorded, but not made again"
    NOT_RECORDED = "made, but not recorded"


GOOD = (Sameness.SAME, Sameness.VERSIONS)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result as it was recorded: its folder, report, the digest of each file, and how to make it again.

    `changes` says what is known to be other than it was then: originals, the rest of the study.
    """

    folder: Path
    report: Mapping[str, Any]
    digests: Mapping[str, str]
    order: Order
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReplay:
    """One file of a result, and what differs in it."""

    path: str
    sameness: Sameness
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay; `findings` as in report.json (PRV-001)."""

    files: tuple[FileReplay, ...]
    changes: tuple[str, ...]
    findings: tuple[Mapping[str, Any], ...]

    @property
    def is_same(self) -> bool:
        """Say whether every file is as recorded, but for software versions named in it."""
        return all(file.sameness in GOOD for file in self.files)


def registered(series_uid: str, config: Config, engine: Engine) -> Recorded:
    """Find the result of the current revision of a registered series.

    Raises:
        ReplayError: there is no such series or no result of it, or its report or originals are gone.
    """
    found = due.series_to_process(engine, series_uid)
    if found is None:
        raise ReplayError(f"series {series_uid} is not registered; `prepnode series list` shows what is")
    row = found.row
    outputs = due.outputs_of(engine, series_uid, row["revision"])
    if not outputs:
        raise ReplayError(f"series {series_uid} r{row['revision']} is {row['state']} and has no outputs yet")
    inner = f"{row['StudyInstanceUID']}/{series_uid}/r{row['revision']}"
    folder = config.outputs_dir / inner
    digests = {each["path"].removeprefix(f"{inner}/"): each["sha256"] for each in outputs}
    report = _report(folder)
    paths = tuple(Path(each["path"]) for each in found.instances)
    order = Order(
        series_instance_uid=series_uid,
        study_instance_uid=row["StudyInstanceUID"],
        revision=row["revision"],
        files=paths,
        out=folder,
        reason=row["reason"] or "",
        evidence=row["evidence"],
        siblings=found.siblings,
        findings=tuple(registry_findings(found)),
        digests=tuple(each["sha256"] or "" for each in found.instances),
        recipe=_recipe(report),
    )
    return Recorded(folder, report, digests, order, tuple(_changed_originals(order)))


def folder_of(report_or_folder: Path, originals: Path) -> Recorded:
    """Take a folder of results, as `prepnode run` writes it, and the folder that holds its originals.

    Raises:
        ReplayError: there is no report, or none of the originals is of its series.
    """
    from handlers.reading import series_from_files

    folder = report_or_folder.parent if report_or_folder.is_file() else report_or_folder
    report = _report(folder)
    paths = [path for path in sorted(originals.rglob("*")) if path.is_file() and folder not in path.parents]
    every, _ = series_from_files(paths)
    own = [each for each in every if each.series_instance_uid == report["SeriesInstanceUID"]]
    if not own:
        raise ReplayError(f"no file in {originals} is of series {report['SeriesInstanceUID']}")
    series = own[0]
    digests = {each["path"]: each["sha256"] for each in report.get("products", ())}
    # The reports cannot hold their own digest: they are compared with the files.
    digests |= {name: _sha256(folder / name) for name in (REPORT, PAGE) if (folder / name).is_file()}
    completion = report["completion"]
    late = [each for each in report["findings"] if each["code"] == "ING-009"]
    order = Order(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=report["StudyInstanceUID"],
        revision=report["revision"],
        files=(*(each.path for each in series.instances), *(path for path, _ in series.unreadable)),
        out=folder,
        reason=completion["reason"],
        evidence=completion["evidence"],
        siblings={each.series_instance_uid: each.facts for each in series.study},
        findings=(*completion["evidence"].get("findings", ()), *late),
        recipe=_recipe(report),
    )
    if report["provenance"].get("content_sha256"):  # a node had digests of what it received
        order = replace(order, digests=tuple(digest.digest(path) for path in order.files))
    return Recorded(folder, report, digests, order)


def replay(recorded: Recorded, config: Config, scratch: Path) -> Replay:
    """Make a result again in the folder `scratch`/replay, in a child process with limits, and compare.

    Raises:
        ProcessingError: the handler crashed, took too long or too much memory.
        ReplayError: this version cannot follow the recorded recipe.
    """
    from handlers.outputs.provenance import changed_versions
    from handlers.outputs.report import finding_as_data

    made = scratch / "replay"
    _check_recipe(recorded.order.recipe or {}, config)
    runner = SeriesRunner(config)
    try:
        result = runner.run(replace(recorded.order, out=made))
    finally:
        runner.stop()
    versions = [finding_as_data(each) for each in changed_versions(recorded.report["provenance"])]
    names = sorted({*recorded.digests, *(each["path"] for each in result["products"])})
    files = [_compared(name, recorded, made) for name in names]
    changes = (*recorded.changes, *_changed_facts(recorded.report, result["report"]))
    return Replay(tuple(_with_page(files, has_versions=bool(versions))), changes, tuple(versions))


def _compared(name: str, recorded: Recorded, made: Path) -> FileReplay:
    from handlers.outputs.comparison import differences

    before, after = recorded.folder / name, made / name
    if name not in recorded.digests:
        return FileReplay(name, Sameness.NOT_RECORDED)
    if not after.is_file():
        return FileReplay(name, Sameness.NOT_MADE)
    is_there = before.is_file()
    is_unaltered = is_there and _sha256(before) == recorded.digests[name]
    if _sha256(after) == recorded.digests[name]:
        if is_unaltered or not is_there:
            return FileReplay(name, Sameness.SAME, () if is_there else ("its file is gone",))
        return FileReplay(name, Sameness.ALTERED, tuple(differences(before, after)))
    if not is_unaltered:
        what = "has been altered since" if is_there else "is gone"
        return FileReplay(name, Sameness.DIFFERS, (f"from the recorded digest; the file itself {what}",))
    found = tuple(differences(before, after))
    return FileReplay(name, Sameness.DIFFERS if found else Sameness.VERSIONS, found)


def _with_page(files: Sequence[FileReplay], *, has_versions: bool) -> list[FileReplay]:
    """Judge the page by the report that it shows: it has no more to say, but shows the versions too."""
    by_name = {file.path: file for file in files}
    report, page = by_name.get(REPORT), by_name.get(PAGE)
    is_excused = (
        has_versions
        and report is not None
        and report.sameness is Sameness.VERSIONS
        and page is not None
        and page.sameness is Sameness.DIFFERS
    )
    return [
        FileReplay(PAGE, Sameness.VERSIONS) if is_excused and file.path == PAGE else file for file in files
    ]


def _changed_originals(order: Order) -> list[str]:
    """Name the stored originals that are gone, or no longer what was received."""
    found = []
    for path, expected in zip(order.files, order.digests, strict=True):
        try:
            if digest.digest(path) != expected:
                found.append(f"the original {path.name} is not what was received")
        except OSError as error:
            found.append(f"the original {path.name} cannot be read: {error.strerror}")
    return found


def _changed_facts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the inputs that are other than they were, from the digests in both reports."""
    words = {
        "sop_uid_digest": "the instances are not those of the recorded result",
        "content_sha256": "the content of the instances is not that of the recorded result",
        "study_sha256": "other series of the study have come or changed since; rules may look at them",
        "config_sha256": "the recorded recipe does not have its recorded digest",
    }
    old, new = then["provenance"], now["provenance"]
    return [text for key, text in words.items() if old.get(key) != new.get(key)]


def _report(folder: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        _ = report["provenance"], report["completion"], report["SeriesInstanceUID"]
    except OSError as error:
        raise ReplayError(
            f"{folder / REPORT}: {error.strerror}; without it nobody knows the recipe"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReplayError(f"{folder / REPORT} is not a report: {error!r}") from error
    return report


def _recipe(report: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = report["provenance"].get("recipe")
    if not isinstance(recipe, dict):
        raise ReplayError("the report keeps no recipe: an older version or a site's own handler made it")
    return recipe


def _check_recipe(recipe: Mapping[str, Any], config: Config) -> None:
    from node.errors import ConfigError
    from node.recipes import recorded_recipe

    try:
        recorded_recipe(recipe, config)
    except ConfigError as error:
        raise ReplayError(f"the recorded recipe cannot be followed: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
