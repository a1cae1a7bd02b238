"""No bytes of a peer make a parser fail, hang or grow: the corpus is replayed, then mutated."""

import importlib.util
import logging

import pytest
from mutations import fuzz
from targets import CORPUS, SYNTAXES, TARGETS

from census import Census
from listeners import memory_mb

GROWTH_MB = 20
DEFLATED = SYNTAXES.index("1.2.840.10008.1.2.1.99")
HAS_WALKER = importlib.util.find_spec("node.listener.pdata") is not None


def target(name: str):
    if name == "walker" and not HAS_WALKER:
        pytest.skip("this listener has no walker of its own")
    return TARGETS[name]


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_the_corpus_are_those_made_in_code(name: str) -> None:
    """Nothing of a patient can be among them. Deflated ones differ from one zlib to the next."""
    for seed, content in TARGETS[name].seeds().items():
        kept = (CORPUS / name / f"seed-{seed}.bin").read_bytes()
        assert kept == content or (kept[0] == content[0] == DEFLATED and len(kept) < 5000)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep pytest from collecting a million warnings, which would count as growth."""
    caplog.set_level(logging.ERROR, logger="pydicom")


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_survived(name: str) -> None:
    for content in target(name).corpus(name):
        target(name).check(content)


@pytest.mark.parametrize("name", TARGETS)
def test_some_thousand_mutations_are_survived(name: str) -> None:
    run(name, count=5_000)


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_a_million_mutations_are_survived(name: str) -> None:
    run(name, count=1_000_000)


def run(name: str, *, count: int) -> None:
    chosen = target(name)
    seeds = chosen.corpus(name)
    for content in seeds * 3:  # what is loaded and cached once, before memory is measured
        chosen.check(content)
    before, base = memory_mb(), Census.take()
    for _ in fuzz(chosen.check, seeds, chosen.files, count=count, seed=1):
        pass
    assert memory_mb() - before < GROWTH_MB
    assert not Census.take().surplus(base)
