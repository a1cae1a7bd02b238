"""`prepnode send` and `prepnode echo`: be the other side, for a first test or a whole archive."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.progress import Progress, progress
from node.config import Config
from node.errors import ConfigError, DeliveryError
from node.forwarding.association import (
    VERIFICATION_CONTEXT,
    Answer,
    Association,
    Target,
    batches,
)
from node.forwarding.negotiation import Context
from node.forwarding.sendable import Sendable, sendable

TOLD = 5  # refused files that are named; the counts tell of all


@dataclass
class Outcome:
    """What became of the files: how many by answer, and the first that were refused."""

    taken: int = 0
    taken_bytes: int = 0
    by_answer: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def answered(self, item: Sendable, answer: Answer) -> None:
        """Note the peer's answer for one file."""
        self.by_answer[str(answer)] += 1
        if answer.is_success:
            self.taken += 1
            self.taken_bytes += item.size
        else:
            self.refused.append(f"{item.path}: {answer}")

    def not_sent(self, items: Iterable[Sendable], reason: str) -> None:
        """Note files that could not even be offered, or whose association broke."""
        for item in items:
            self.by_answer[reason] += 1
            self.refused.append(f"{item.path}: {reason}")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--to", "address", required=True, metavar="HOST:PORT", help="Where to send to.")
@click.option("--called", required=True, metavar="AET", help="The AE title of the peer.")
@click.option("--calling", default="PREPNODE", show_default=True, metavar="AET", help="Our AE title.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for any one answer.")
@click.pass_context
def send(  # noqa: PLR0913, PLR0917 - the options of a command
    context: click.Context, paths: tuple[Path, ...], address: str, called: str, calling: str, timeout: float
) -> None:
    """Send DICOM files, and all files of folders, by C-STORE; exit 1 when something was not taken.

    Data sets are sent as they are: each combination of SOP class and transfer syntax that
    occurs is proposed, and nothing is converted. Files that are not DICOM are skipped.
    """
    host, port = _host_and_port(address, "--to")
    target = Target(host, port, _title(called), _title(calling), timeout_s=timeout)
    items, skipped = _look_at(paths)
    outcome = Outcome()
    started = time.monotonic()
    with progress("sending", len(items)) as bar:
        for contexts in batches([item.context for item in items]):
            chosen = frozenset(contexts)
            _send_batch(target, contexts, [item for item in items if item.context in chosen], outcome, bar)
    _report(outcome, len(items), skipped, time.monotonic() - started)
    context.exit(1 if outcome.refused or not items else 0)


@click.command()
@click.argument("destination", metavar="DEST")
@click.option("--calling", default=None, metavar="AET", help="Our AE title. Default: that of the node.")
@config_option
@click.pass_context
def echo(context: click.Context, destination: str, calling: str | None, config_file: Path | None) -> None:
    """Ask a DICOM node whether it answers (C-ECHO); exit 1 when it does not.

    DEST is the name of a destination of kind "dicom" in the configuration, or HOST:PORT/AET.
    """
    target = _destination(destination, load_config(config_file), calling)
    started = time.monotonic()
    try:
        with Association(target, [VERIFICATION_CONTEXT]) as association:
            answer = association.echo()
    except DeliveryError as error:
        click.echo(f"{target}: {error}", err=True)
        context.exit(1)
    click.echo(f"{target} answered {answer} after {(time.monotonic() - started) * 1000:.0f} ms")
    context.exit(0 if answer.status == 0 else 1)


def _send_batch(
    target: Target, contexts: list[Context], items: list[Sendable], outcome: Outcome, bar: Progress
) -> None:
    """Send files on one association; when it breaks, the rest counts as not sent."""
    waiting = list(reversed(items))
    try:
        with Association(target, contexts) as association:
            while waiting:
                item = waiting[-1]
                if association.accepts(item.context):
                    outcome.answered(item, association.store(item))
                else:
                    outcome.not_sent([item], f"{association.why_not(item.context)}: {' '.join(item.context)}")
                waiting.pop()
                bar.advance()
    except (DeliveryError, OSError) as error:
        outcome.not_sent(reversed(waiting), str(error))
        bar.advance(len(waiting))


def _look_at(paths: Iterable[Path]) -> tuple[list[Sendable], int]:
    items, skipped = [], 0
    for path in _files(paths):
        item = sendable(path)
        if item is None:
            skipped += 1
        else:
            items.append(item)
    return items, skipped


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.is_file())
        else:
            yield path


def _report(outcome: Outcome, total: int, skipped: int, seconds: float) -> None:
    for line in outcome.refused[:TOLD]:
        click.echo(line, err=True)
    if len(outcome.refused) > TOLD:
        click.echo(f"... and {len(outcome.refused) - TOLD} more", err=True)
    megabytes = outcome.taken_bytes / 1e6
    rate = f", {outcome.taken / seconds:.0f}/s" if seconds > 0 else ""
    click.echo(f"{outcome.taken} of {total} objects taken, {megabytes:.1f} MB in {seconds:.1f} s{rate}")
    for answer, count in sorted(outcome.by_answer.items()):
        click.echo(f"  {answer}: {count}")
    if skipped:
        click.echo(f"  skipped, not a DICOM object that can be sent: {skipped}")


def _destination(name: str, config: Config, calling: str | None) -> Target:
    own = _title(calling) if calling else config.node.ae_title
    for destination in config.destination:
        if destination.name == name and destination.kind == "dicom":
            return Target(
                destination.host,
                destination.port,
                destination.called_aet or "",
                destination.calling_aet or own,
            )
    address, slash, called = name.rpartition("/")
    if not slash:
        known = ", ".join(each.name for each in config.destination if each.kind == "dicom") or "none"
        raise ConfigError([f"{name!r} is no destination of kind 'dicom' ({known}), and not HOST:PORT/AET"])
    return Target(*_host_and_port(address, "DEST"), _title(called), own)


def _host_and_port(address: str, where: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdecimal() and 0 < int(port) <= 65535):
        raise click.BadParameter(f"{address!r} is not HOST:PORT", param_hint=where)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _title(text: str) -> str:
    if not (text.strip() and len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text):
        raise click.BadParameter(f"{text!r} is no AE title: 1 to 16 ASCII characters (PS3.5 6.2)")
    return text
