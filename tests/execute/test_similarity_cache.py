"""How similar two representations are: measured once, in one pass, and equal to the plain reference."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import experiment
from torch import Tensor

from stitchtui.base.work import Pass, T, finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring import similarity_cache
from stitchtui.measuring.feed import pixels
from stitchtui.measuring.material import Ends, Noise
from stitchtui.measuring.planned_cells import Pairs, chains
from stitchtui.measuring.session import Session
from stitchtui.measuring.similarity_cache import SimilarityCache
from stitchtui.networks.obtain import obtain
from stitchtui.stitching.similarity import Alignments, MinibatchCka, linear_cka
from stitchtui.stitching.streamed import pooled

NETWORKS = {
    f"seed{seed}": {"architecture": "digits_cnn", "width": 0.5, "seed": seed, "untrained": True} for seed in (0, 1)
}
TEST = 100


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_cache, "CKA_BATCH", 30)


def session_of(**changes: Any) -> Session:
    wanted = experiment(networks=NETWORKS, **changes)
    session = Session(wanted, torch.device("cpu"), load_dataset(wanted.data))
    for name, spec in wanted.networks.items():
        session.add(finish(obtain(name, spec, session.dataset, session.device)))
    return session


def asked(session: Session, bottom: str = "seed0", top: str = "seed1") -> tuple[Ends, Pairs]:
    """The two networks, and every cut of the one with every cut of the other."""
    ends = Ends(session.loaded[bottom], session.loaded[top])
    return ends, [(b, t) for b in session.cuts_of(ends.bottom) for t in session.cuts_of(ends.top)]


def at(session: Session, ends: Ends, pair: Any, chosen: Tensor) -> list[Tensor]:
    """Both sides' activations at a pair of cuts, for these test images in this order."""
    both = chains(session, ends, [pair])
    batch = pixels(session.dataset.test.images[chosen])
    with torch.no_grad():
        return [both.bottom.features(batch)[1], both.top.features(batch)[1]]


def counting(work: Pass[T], said: list[int]) -> T:
    """What a pass finds; `said` gets how many images each batch has."""
    while True:
        try:
            said.append(next(work))
        except StopIteration as ended:
            return ended.value


def order() -> Tensor:
    return torch.randperm(TEST, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("small_batches")
def test_a_whole_grid_comes_from_one_pass_and_equals_each_pair_by_itself() -> None:
    session = session_of()
    ends, pairs = asked(session)
    said: list[int] = []
    found = counting(SimilarityCache(session).similarities(ends, pairs), said)
    assert said == [30, 30, 30, 10]
    for pair, each in zip(pairs, found, strict=True):
        cka, alignments = MinibatchCka([(0, 1)]), Alignments([(0, 1)])
        for x, y in zip(*(t.split(30) for t in at(session, ends, pair, order())), strict=True):
            cka.add([x, y])
            alignments.add([pooled(x, pair[0].channel_axis), pooled(y, pair[1].channel_axis)])
        assert each is not None
        assert each.cka == pytest.approx(cka.values()[0], rel=1e-3)
        assert each.alignment.procrustes == pytest.approx(alignments.values()[0].procrustes, abs=1e-6)
        assert each.alignment.cca == pytest.approx(alignments.values()[0].cca, abs=1e-3)


def test_exact_cka_is_that_of_as_many_images_as_were_asked_for() -> None:
    session = session_of(cka="exact", cka_images=40)
    ends, pairs = asked(session)
    for pair, each in zip(pairs, finish(SimilarityCache(session).similarities(ends, pairs)), strict=True):
        tensors = at(session, ends, pair, order()[:40])
        (expected,) = finish(linear_cka(lambda a, b, kept=tensors: [t[a:b] for t in kept], 40, [(0, 1)], 40))
        assert each is not None
        assert each.cka == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("cka", ["minibatch", "exact"])
def test_the_images_that_it_will_count_are_known_beforehand(cka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_cache, "EXACT_BYTES", 1 << 16)  # several blocks
    session = session_of(cka=cka)
    known = SimilarityCache(session)
    ends, pairs = asked(session)

    def counted(ends: Ends) -> Iterator[int]:
        said: list[int] = []
        yield known.visits(ends, pairs)
        counting(known.own(ends.top, pairs), said)
        counting(known.similarities(ends, pairs), said)
        yield sum(said)

    for each, passes in ((ends, True), (ends, False), (Ends(ends.top, ends.bottom), True)):
        expected, found = counted(each)
        assert found == expected
        assert (found > 0) is passes
    again: list[int] = []
    swapped = counting(known.similarities(Ends(ends.top, ends.bottom), [(t, b) for b, t in pairs]), again)
    assert swapped == counting(known.similarities(ends, pairs), again)
    assert again == []


def test_noise_is_like_nothing_and_a_representation_is_like_itself_without_measuring() -> None:
    session = session_of()
    ends, pairs = asked(session, "seed0", "seed0")
    known = SimilarityCache(session)
    said: list[int] = []
    (itself, *_) = counting(known.similarities(ends, [(b, t) for b, t in pairs if b is t]), said)
    assert said == []
    assert itself is not None
    assert (itself.cka, itself.alignment.procrustes, itself.alignment.cca) == (1.0, 0.0, 1.0)
    assert finish(known.similarities(Ends(ends.bottom, ends.top, Noise(0)), pairs)) == [None] * len(pairs)


def test_what_does_not_vary_has_no_cka() -> None:
    session = session_of()
    ends, pairs = asked(session)
    with torch.no_grad():
        for parameter in ends.bottom.network.module.parameters():
            parameter.zero_()
    assert {each.cka for each in finish(SimilarityCache(session).similarities(ends, pairs)) if each} == {None}
