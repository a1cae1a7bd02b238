"""The figures as tables for people: medians with their range, then ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from node.benchmark.figures import REFERENCES, Spread, Summary, ratio

GROWTH_LIMIT_MB = 16.0  # of a listener's peak memory, by an object of any size
COLUMNS: dict[str, tuple[str, int]] = {  # figure -> heading, decimals
    "objects_per_s": ("objects/s", 0),
    "mb_per_s": ("MB/s", 1),
    "cpu_s_per_1000": ("CPU s/1000", 2),
    "other_cpu_s_per_1000": ("rest of node", 2),
    "peak_mb": ("peak MB", 0),
    "pss_mb": ("tree MB", 0),
    "registered_share": ("registered", 2),
    "elsewhere": ("elsewhere", 1),
}
LARGE_COLUMNS: dict[str, tuple[str, int]] = {
    "mb_per_s": ("MB/s", 1),
    "cpu_s": ("CPU s", 2),
    "peak_mb": ("peak MB", 0),
    "growth_mb": ("growth MB", 1),
    "elsewhere": ("elsewhere", 1),
}
RATIO_FIGURES = {"objects_per_s": "objects/s", "cpu_s_per_1000": "CPU"}
LEGEND = """\
objects/s, MB/s: from the first sender's start to the last sender's end. MB of files: 10^6 bytes.
CPU s/1000: CPU of the processes that receive (of this node listeners and registrar) for 1000 objects,
until all is registered. rest of node: the same of supervisor, worker and web.
peak MB: VmHWM of the largest process that receives. tree MB: Pss of all processes after the last object.
registered: the part that was registered (by others: written) when the last sender ended. The rest
followed, and every object was found. elsewhere: cores busy meanwhile with something else (other programs,
the kernel writing to disk): measure again when it is not small.
Each run has a receiver of its own, warmed up, at rest, and the disk synced before. Series of this node
do not become complete meanwhile, so that receiving alone is measured.
storescp and orthanc-nodelay have TCP_NODELAY=1 in their environment. orthanc has not: Nagle's algorithm
delays its answers even to senders that do without (its option TcpNoDelay is for HTTP alone)."""


def print_summaries(console: Console, summaries: Sequence[Summary], *, is_large: bool = False) -> None:
    """Print one table for each kind of sender, and the ratios to what is measured beside."""
    columns = LARGE_COLUMNS if is_large else COLUMNS
    for nagle in sorted({summary.nagle for summary in summaries}):
        chosen = [summary for summary in summaries if summary.nagle is nagle]
        console.print(_figures(chosen, columns, is_large=is_large))
        console.print()
        ratios = _ratios(chosen)
        if ratios is not None and not is_large:
            console.print(ratios)
            console.print()
    console.print(LEGEND, style="dim", highlight=False)


def _figures(
    summaries: Sequence[Summary], columns: Mapping[str, tuple[str, int]], *, is_large: bool
) -> Table:
    table = _table(f"{sender(nagle=summaries[0].nagle)}: median (min..max)")
    table.add_column("receiver")
    for heading, _ in columns.values():
        table.add_column(heading, justify="right")
    table.add_column("runs", justify="right")
    if is_large:
        table.add_column(f"limit {GROWTH_LIMIT_MB:.0f} MB")
    for summary in summaries:
        cells = [cell(summary.spreads.get(name), decimals) for name, (_, decimals) in columns.items()]
        runs = f"{summary.runs}" if not summary.failed else f"{summary.failed} of {summary.runs} failed"
        verdict = [within_limit(summary)] if is_large else []
        table.add_row(summary.receiver, *cells, runs, *verdict, style="red" if summary.failed else "")
    return table


def _ratios(summaries: Sequence[Summary]) -> Table | None:
    """Return the ratios of medians; None when nothing was measured that others are held against."""
    names = [summary.receiver for summary in summaries]
    references = [name for name in (*REFERENCES, *_empty_of_grown(names)) if name in names]
    if not references or len(names) == 1:
        return None
    table = _table(f"{sender(nagle=summaries[0].nagle)}: ratio of medians")
    table.add_column("receiver")
    for heading in RATIO_FIGURES.values():
        for reference in references:
            table.add_column(f"{heading} / {reference}", justify="right")
    for summary in summaries:
        found = [
            ratio(summary, summaries, to=reference, figure=figure)
            for figure in RATIO_FIGURES
            for reference in references
        ]
        table.add_row(summary.receiver, *("" if value is None else f"{value:.2f}" for value in found))
    return table


def _empty_of_grown(names: Sequence[str]) -> list[str]:
    return [name.removesuffix("-grown") for name in names if name.endswith("-grown")]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)


def sender(*, nagle: bool) -> str:
    """Name a kind of sender."""
    return "sender as shipped (Nagle on)" if nagle else "sender with TCP_NODELAY=1"


def cell(spread: Spread | None, decimals: int) -> str:
    """Write a spread: `412 (398..420)`, or the value alone where all runs agree."""
    if spread is None:
        return "-"
    median, low, high = (f"{value:.{decimals}f}" for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} ({low}..{high})"


def within_limit(summary: Summary) -> str:
    """Say whether the growth of the worst run is within the limit."""
    spread = summary.spreads.get("growth_mb")
    return "-" if spread is None else "within" if spread.high <= GROWTH_LIMIT_MB else "BEYOND"
