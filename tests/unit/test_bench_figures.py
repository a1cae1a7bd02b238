"""The arithmetic of `prepnode bench receive`: medians, ranges, ratios, and how they are told."""

import io

import pytest
from rich.console import Console

from node.benchmark.figures import Run, Spread, ratio, summaries
from node.benchmark.table import cell, print_summaries, within_limit


def run(receiver="node-fsync", *, nagle=False, **figures):
    return Run(receiver, nagle, **{"objects": 200, "size_bytes": 100_000_000, "seconds": 2.0, **figures})


def failed(receiver="node-fsync", *, nagle=False):
    return Run(
        receiver, nagle, objects=200, size_bytes=100_000_000, error="3 of 200 objects were acknowledged"
    )


def printed(runs, **options) -> str:
    text = io.StringIO()
    print_summaries(Console(file=text, width=200), summaries(runs), **options)
    return text.getvalue()


def test_rates_are_of_what_was_acknowledged_in_the_time_it_took():
    one = run(cpu_s=0.5, other_cpu_s=0.1, registered=150)
    assert one.objects_per_s == 100
    assert one.mb_per_s == 50
    assert one.cpu_s_per_1000 == 2.5
    assert one.other_cpu_s_per_1000 == 0.5
    assert one.registered_share == 0.75


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([7.0], Spread(7, 7, 7)),
        ([9.0, 1.0, 4.0], Spread(4, 1, 9)),
        ([1.0, 10.0, 2.0, 3.0], Spread(2.5, 1, 10)),
    ],
)
def test_a_spread_is_median_lowest_and_highest(values, spread):
    assert Spread.of(values) == spread


def test_runs_of_one_receiver_and_one_kind_of_sender_are_one_summary():
    runs = [
        run("a", seconds=1.0),
        run("b", seconds=4.0),
        run("a", nagle=True, seconds=20.0),
        run("a", seconds=2.0),
        run("a", seconds=4.0),
    ]
    found = summaries(runs)
    assert [(each.receiver, each.nagle, each.runs) for each in found] == [
        ("a", False, 3),
        ("b", False, 1),
        ("a", True, 1),
    ]
    assert found[0].spreads["objects_per_s"] == Spread(100, 50, 200)


def test_a_failed_run_is_counted_but_gives_no_figure():
    (found,) = summaries([run(seconds=1.0), failed(), run(seconds=2.0)])
    assert (found.runs, found.failed) == (3, 1)
    assert found.spreads["objects_per_s"] == Spread(150, 100, 200)


def test_a_receiver_whose_runs_all_failed_has_no_figures_and_no_ratio():
    found = summaries([failed("node-fsync"), run("orthanc")])
    assert found[0].median("objects_per_s") is None
    assert ratio(found[0], found, to="orthanc", figure="objects_per_s") is None
    assert ratio(found[1], found, to="node-fsync", figure="objects_per_s") is None
    assert found[0].as_row()["objects_per_s"] is None


def test_a_ratio_is_of_medians_with_the_same_kind_of_sender():
    found = summaries(
        [
            run("node-fsync", seconds=1.0),
            run("node-fsync", nagle=True, seconds=2.0),
            run("orthanc", seconds=4.0),
            run("orthanc", nagle=True, seconds=20.0),
        ]
    )
    assert [ratio(each, found, to="orthanc", figure="objects_per_s") for each in found] == [4, 10, 1, 1]


def test_a_ratio_to_what_was_not_measured_or_is_zero_is_none():
    found = summaries([run("node-fsync", cpu_s=1.0), run("storescp", cpu_s=0.0)])
    assert ratio(found[0], found, to="orthanc", figure="objects_per_s") is None
    assert ratio(found[0], found, to="storescp", figure="cpu_s_per_1000") is None


def test_cells_show_the_range_only_where_runs_differ():
    assert cell(Spread(2.5, 1, 10), 1) == "2.5 (1.0..10.0)"
    assert cell(Spread(2.04, 2.01, 2.04), 1) == "2.0"
    assert cell(None, 1) == "-"


def test_the_tables_hold_medians_ratios_and_failures():
    text = printed([run("node-fsync", seconds=1.0), run("orthanc", seconds=4.0), failed("storescp")])
    lines = {line.split()[0]: line.split() for line in reversed(text.splitlines()) if line.strip()}
    assert "200" in lines["node-fsync"]
    assert "50" in lines["orthanc"]
    assert "1 of 1 failed" in text
    assert "objects/s / orthanc" in text
    assert "4.00" in text
    assert "Nagle on" not in text


def test_both_kinds_of_sender_have_tables_of_their_own():
    text = printed([run("orthanc"), run("orthanc", nagle=True)])
    assert text.index("TCP_NODELAY=1: median") < text.index("(Nagle on): median")


def test_a_grown_registry_is_held_against_the_empty_one():
    text = printed([run("node-fsync", seconds=1.0), run("node-fsync-grown", seconds=1.25)])
    assert "objects/s / node-fsync" in text
    assert "0.80" in text


def test_growth_is_judged_by_the_worst_run():
    within, beyond = summaries(
        [run("a", growth_mb=1.0), run("a", growth_mb=16.0), run("b", growth_mb=1.0), run("b", growth_mb=16.1)]
    )
    assert within_limit(within) == "within"
    assert within_limit(beyond) == "BEYOND"
    assert "BEYOND" in printed([run("b", growth_mb=17.0)], is_large=True)
