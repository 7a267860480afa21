"""Laws of subsets: distinct, seeded, nested, disjoint where the ranges are, and stratified where classes matter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.data.subsets import (
    generator,
    indices_for_testing,
    indices_for_training,
    random_subset,
    stratified_split,
)
from stitchtui.spec.experiment import Subset

seeds = st.integers(-(2**70), 2**70)


@settings(deadline=None)
@given(n=st.integers(1, 300), seed=seeds, data=st.data())
def test_a_subset_has_as_many_distinct_images_as_asked_for_and_its_seed_fixes_it(
    n: int, seed: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, n))
    subset = Subset(train_size=size, subset_seed=seed)
    chosen = indices_for_training(n, subset, "data").tolist()
    assert len(chosen) == len(set(chosen)) == size
    assert set(chosen) <= set(range(n))
    assert chosen == sorted(chosen) == indices_for_training(n, subset, "data").tolist()


@settings(deadline=None)
@given(n=st.integers(3, 300), seed=seeds, data=st.data())
def test_subsets_of_disjoint_ranges_are_disjoint_and_stay_within_them(n: int, seed: int, data: st.DataObject) -> None:
    middle = data.draw(st.integers(1, n - 1))
    size = data.draw(st.integers(1, min(middle, n - middle)))
    ranges = ((0, middle), (middle, n))
    lower, upper = (
        set(indices_for_training(n, Subset(train_range=r, train_size=size, subset_seed=seed), "data").tolist())
        for r in ranges
    )
    assert len(lower) == len(upper) == size
    assert max(lower) < middle <= min(upper)


@settings(deadline=None)
@given(n=st.integers(1, 200), seed=seeds, data=st.data())
def test_a_smaller_subset_of_the_same_seed_lies_within_a_larger_one(n: int, seed: int, data: st.DataObject) -> None:
    large = data.draw(st.integers(1, n))
    small = data.draw(st.integers(1, large))
    within = random_subset(n, small, generator("law", seed)).tolist()
    assert set(within) <= set(random_subset(n, large, generator("law", seed)).tolist())


def test_other_seeds_and_other_purposes_give_other_subsets() -> None:
    first, other_seed = (indices_for_training(500, Subset(train_size=50, subset_seed=s), "data") for s in (0, 1))
    assert not torch.equal(first, other_seed)
    assert not torch.equal(first, indices_for_testing(500, 50, 0))


def test_no_subset_is_everything_in_order() -> None:
    assert indices_for_training(7, Subset(), "data").tolist() == list(range(7))
    assert indices_for_testing(7, None, 0).tolist() == list(range(7))


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        (Subset(train_range=(0, 11)), r"networks\.a\.subset\.train_range: \[0, 11\] .*the 10 training images"),
        (Subset(train_range=(20, 30)), r"networks\.a\.subset\.train_range: .* at most 10"),
        (Subset(train_size=11), r"networks\.a\.subset\.train_size: 11 .*there are 10"),
        (Subset(train_range=(2, 6), train_size=5), r"train_size: 5 .*train_range leaves 4"),
    ],
)
def test_asking_for_more_training_images_than_there_are_names_the_key(subset: Subset, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        indices_for_training(10, subset, "networks.a.subset")


def test_asking_for_more_test_images_than_there_are_names_the_key() -> None:
    with pytest.raises(BadInput, match=r"data\.test_size: 11 .*there are 10"):
        indices_for_testing(10, 11, 0)


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=8), share=st.floats(0.01, 0.99), seed=seeds)
def test_a_stratified_split_takes_each_class_in_proportion_and_leaves_one_to_train_on(
    counts: list[int], share: float, seed: int
) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    n, total = len(labels), int(share * len(labels))
    train, test = stratified_split(labels, total, generator("split", seed))
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(n))
    assert len(test) <= total
    for label, count in enumerate(counts):
        taken = int((labels[test] == label).sum())
        assert count * total // n <= taken <= count * total // n + 1
        assert taken < count


@settings(deadline=None)
@given(counts=st.lists(st.integers(10, 40), min_size=2, max_size=6), seed=seeds)
def test_a_stratified_split_of_classes_with_room_has_exactly_the_size_asked_for(counts: list[int], seed: int) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    total = len(labels) // 3
    train, test = stratified_split(labels, total, generator("split", seed))
    assert (len(train), len(test)) == (len(labels) - total, total)
