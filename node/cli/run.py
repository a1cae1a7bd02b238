"""`prepnode run`: the same science on a folder, without a node."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handlers.api import load
from handlers.errors import PluginError
from handlers.model import Outcome, Series
from node import child
from node.cli.main import config_option, load_config
from node.cli.printing import print_rows
from node.config import Config
from node.errors import ConfigError
from node.recipes import DEFAULT_PROFILE, recipe_of

COLUMNS = ("series", "modality", "instances", "volumes", "verdict", "codes", "report")
# Digests in place of UIDs, as some anonymizers write, name a folder as well as a UID does.
SAFE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}", re.ASCII)
NOTHING_TO_JUDGE = 1
FAILED = 1


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where results are written.",
)
@click.option(
    "--profile",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="A profile of the configuration, or one that `prepnode profiles list` shows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as a JSON array of objects.")
@config_option
def run(folder: Path, out: Path, profile: str, *, as_json: bool, config_file: Path | None) -> None:
    """Prepare every DICOM series found in FOLDER and below.

    Results go to DIR/<SeriesInstanceUID>/: report.json, report.html, and for every accepted
    volume v<k>.nii.gz, v<k>.json and v<k>.png. Older results of the same series are replaced.

    Exits with 0 when every series was judged, whatever the verdict; with 1 when one could not be,
    or when there is no file in FOLDER; with 2 on wrong usage or configuration.
    """
    config = load_config(config_file)
    _check_profile(profile, config)
    gc.set_threshold(child.COLLECT_EVERY)
    with _Progress() as progress:
        found, unreadable = _read(folder, out, progress)
        rows = [_judged(series, out, profile, config, progress) for series in progress.each(found)]
    _print_summary(rows, unreadable, as_json=as_json)
    if not rows:
        click.echo(f"no DICOM series in {folder}", err=True)
        sys.exit(0 if unreadable else NOTHING_TO_JUDGE)
    if any(row["error"] for row in rows):
        sys.exit(FAILED)


def _check_profile(profile: str, config: Config) -> None:
    """Load every plug-in that the profile names.

    Raises:
        ConfigError: the profile, or one of its plug-ins, does not exist.
    """
    recipe = recipe_of(profile, config)
    handler = _handler(profile, config)
    wanted = [("prepnode.triage_rules", name) for name in recipe.rules]
    wanted += [("prepnode.steps", name) for name in recipe.steps]
    wanted += [("prepnode.writers", name) for name in recipe.writers]
    wanted += [("prepnode.handlers", handler)] if handler else []
    mistakes = []
    for group, name in wanted:
        try:
            load(group, name)
        except PluginError as error:
            mistakes.append(f"profile {profile!r}: {error}")
    if mistakes:
        raise ConfigError(mistakes)


def _handler(profile: str, config: Config) -> str:
    keys = config.profiles.get(profile)
    return "" if keys is None else keys.handler


def _read(folder: Path, out: Path, progress: _Progress) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Read the headers of all files, leaving out what earlier runs wrote."""
    from handlers.reading import series_from_files

    paths = list(_files(folder, out.resolve()))
    with progress.counting(f"reading {len(paths)} files", len(paths)) as advance:
        found: tuple[list[Series], list[tuple[Path, str]]] = series_from_files(paths, progress=advance)
    return found


def _files(folder: Path, out: Path) -> Iterator[Path]:
    """Yield every regular file below a folder, in the order of names, except those below `out`."""
    if folder.is_file():
        yield folder
        return
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if (here / name).resolve() != out)
        yield from (path for name in sorted(names) if (path := here / name).is_file())


def _judged(series: Series, out: Path, profile: str, config: Config, progress: _Progress) -> dict[str, Any]:
    """Process one series and return its row of the summary."""
    folder = out / _folder_name(series.series_instance_uid)
    row: dict[str, Any] = {
        "series": series.series_instance_uid,
        "modality": _modality(series),
        "instances": len(series.instances),
        "volumes": 0,
        "verdict": None,
        "codes": "",
        "report": None,
        "error": None,
    }
    try:
        described = _process(series, folder, profile, config)
    except (OSError, MemoryError) as error:
        row["error"] = f"{type(error).__name__}: {error}"
        progress.say(f"{series.series_instance_uid}: could not be judged: {row['error']}")
        return row
    codes = Counter(finding["code"] for finding in described["findings"] if finding["severity"] != "INFO")
    row |= {
        "volumes": len(described["volumes"]),
        "verdict": described["verdict"],
        "codes": " ".join(sorted(codes)),
        "report": str(folder / "report.json"),
    }
    progress.say(f"{series.series_instance_uid}: {row['verdict']} {row['codes']}".rstrip())
    return row


def _process(series: Series, folder: Path, profile: str, config: Config) -> dict[str, Any]:
    """Run the profile's handler in this process and return its report."""
    if _handler(profile, config):
        files = tuple(instance.path for instance in series.instances)
        order = child.Order(
            series.series_instance_uid, series.study_instance_uid, 1, files, out=folder, profile=profile
        )
        report: dict[str, Any] = child.run(order, config)["report"]
        return report
    from handlers.outputs.report import report as report_of
    from handlers.preprocess import preprocess

    processes = len(os.sched_getaffinity(0))
    outcome: Outcome = preprocess(series, folder, recipe_of(profile, config), processes=processes)
    return report_of(outcome)


def _folder_name(series_uid: str) -> str:
    """Return the UID where it may become the name of a folder, else a name computed from it."""
    if SAFE_NAME.fullmatch(series_uid):
        return series_uid
    return f"invalid-uid-{hashlib.sha256(series_uid.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _modality(series: Series) -> str:
    from handlers import attributes
    from handlers.errors import MalformedAttributeError

    found = set()
    for instance in series.instances:
        try:
            found.add(attributes.text(instance, "Modality") or "")
        except MalformedAttributeError:
            continue
    return ", ".join(sorted(found - {""}))


def _print_summary(
    rows: Sequence[dict[str, Any]], unreadable: Sequence[tuple[Path, str]], *, as_json: bool
) -> None:
    print_rows(rows, COLUMNS, output_format="json" if as_json else None, title="series")
    failed = [row for row in rows if row["error"]]
    if failed:
        click.echo(f"\n{len(failed)} series could not be judged:", err=True)
        for row in failed:
            click.echo(f"  {row['series']}: {row['error']}", err=True)
    if unreadable:
        click.echo(f"\n{len(unreadable)} files are no DICOM instances that can be read:", err=True)
        for path, reason in unreadable:
            click.echo(f"  {path}: {reason}", err=True)


class _Progress:
    """A bar on a terminal, plain lines elsewhere; always on standard error."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not self._is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line; on a terminal the summary table says the same in the end."""
        if not self._is_terminal:
            click.echo(line, err=True)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far a counted piece of work is; yields what takes the count done so far."""
        self.say(what)
        task = self._bar.add_task(what, total=total)
        yield lambda done: self._bar.update(task, completed=done)

    def each(self, series: Sequence[Series]) -> Iterator[Series]:
        """Yield series and show how many are done."""
        self.say(f"{len(series)} series")
        yield from self._bar.track(series, description="processing series")
