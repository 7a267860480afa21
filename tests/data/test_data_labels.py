"""Label noise moves as many labels as it says and no others; coarse labels keep every image with its like."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.labels import GROUPS, coarse, noisy, relabelled, with_noise

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

shares = st.floats(0, 1)
labels_of_classes = st.integers(2, 12).flatmap(
    lambda classes: st.tuples(st.lists(st.integers(0, classes - 1), min_size=1, max_size=60), st.just(classes))
)


def dataset(classes: tuple[str, ...] = CIFAR) -> Dataset:
    part = Part(torch.zeros(len(classes), 1, 2, 2, dtype=torch.uint8), torch.arange(len(classes)))
    return Dataset("small", part, part, classes, (0.5,), (0.2,), "none", "digest")


@given(labels_of_classes, shares, st.integers())
def test_moved_labels_are_as_many_as_asked_for_and_never_stay_in_their_class(case, share, seed):
    labels, classes = torch.tensor(case[0]), case[1]
    changed = noisy(labels, classes, share, "different", seed)
    assert int((changed != labels).sum()) == round(share * len(labels))
    assert 0 <= int(changed.min()) <= int(changed.max()) < classes


@given(labels_of_classes, shares, st.sampled_from(["different", "uniform"]), st.integers())
def test_noise_follows_from_its_seed_and_leaves_what_it_was_given_alone(case, share, kind, seed):
    labels, classes = torch.tensor(case[0]), case[1]
    before = labels.clone()
    first, again = (noisy(labels, classes, share, kind, seed) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(labels, before)


@given(labels_of_classes, shares, shares, st.sampled_from(["different", "uniform"]))
def test_less_noise_is_a_part_of_more(case, one, other, kind):
    labels, classes = torch.tensor(case[0]), case[1]
    less, more = (noisy(labels, classes, share, kind, 3) for share in sorted((one, other)))
    moved = less != labels
    assert torch.equal(less[moved], more[moved])


def test_uniform_noise_leaves_about_one_in_as_many_classes_where_it_was():
    labels = torch.zeros(4000, dtype=torch.int64)
    stayed = int((noisy(labels, 4, 1.0, "uniform", 0) == labels).sum())
    assert 850 < stayed < 1150
    assert noisy(labels, 4, 1.0, "different", 0).eq(labels).sum() == 0


def test_moved_labels_are_spread_over_all_the_other_classes():
    counts = torch.bincount(noisy(torch.full((3000,), 2), 4, 1.0, "different", 0), minlength=4)
    assert counts[2] == 0
    assert counts[[0, 1, 3]].min() > 900


def test_two_seeds_choose_other_images():
    labels = torch.zeros(200, dtype=torch.int64)
    assert not torch.equal(noisy(labels, 10, 0.5, "different", 0), noisy(labels, 10, 0.5, "different", 1))


def test_noise_is_for_training_only_and_gives_another_digest():
    data = dataset()
    changed = with_noise(data, 0.5, "different", 0)
    assert int((changed.train.labels != data.train.labels).sum()) == 5
    assert torch.equal(changed.test.labels, data.test.labels)
    assert torch.equal(changed.train.images, data.train.images)
    assert changed.digest != data.digest


def test_a_single_class_has_no_other_to_move_to():
    with pytest.raises(BadInput, match="single class"):
        with_noise(dataset(("only",)), 0.5, "different", 0)


def test_objects_and_animals_part_with_the_bird_among_the_animals():
    data = coarse(dataset(), "object_animal")
    assert data.classes == ("object", "animal")
    named = dict(zip(CIFAR, data.train.labels.tolist(), strict=True))
    assert [name for name, group in named.items() if group == 0] == ["airplane", "automobile", "ship", "truck"]
    assert named["bird"] == 1
    assert torch.equal(data.test.labels, data.train.labels)


def test_coarse_labels_follow_the_names_of_the_classes_not_their_order():
    backwards = coarse(dataset(CIFAR[::-1]), "object_animal")
    assert backwards.train.labels.tolist() == coarse(dataset(), "object_animal").train.labels.tolist()[::-1]


def test_digits_part_into_even_and_odd():
    assert coarse(dataset(tuple("0123456789")), "even_odd").train.labels.tolist() == [0, 1] * 5


def test_classes_are_merged_before_labels_are_moved():
    data = relabelled(dataset(), "object_animal", 1.0)
    assert data.classes == ("object", "animal")
    assert torch.equal(data.train.labels, 1 - coarse(dataset(), "object_animal").train.labels)
    assert relabelled(dataset()).digest == dataset().digest


def test_every_group_names_each_class_once():
    for groups in GROUPS.values():
        members = [name for group in groups.values() for name in group]
        assert len(members) == len(set(members))


@pytest.mark.parametrize(
    ("classes", "groups", "expected"),
    [
        (CIFAR, "objects", "labels.groups: 'objects' is not known"),
        (("cat", "wa\x1bsp"), "object_animal", r"object_animal has no place for class 'wa\?sp' of small"),
    ],
)
def test_what_has_no_group_is_refused(classes, groups, expected):
    with pytest.raises(BadInput, match=expected):
        coarse(dataset(classes), groups)
