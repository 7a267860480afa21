from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.stats.objections import (
    CutEvidence,
    Judgement,
    OffDiagonal,
    as_good,
    judgement,
    triangle,
)
from stitchtui.stats.paired_difference import difference_of
from stitchtui.stats.penalty import Interval


def points(value: float, half: float = 0.3) -> Interval:
    return Interval(value, value - half, value + half)


GOOD = CutEvidence(
    "layer1",
    points(1),
    direct=points(2),
    cluster_noise=points(30),
    random_bottom=points(20),
    shuffled_labels=points(40),
    self_stitch=points(0),
    outlying=Interval(0.6, 0.58, 0.62),
)


def pair(*changes: dict[str, object]) -> list[CutEvidence]:
    """A pair that can be read at each cut but for the changes."""
    return [replace(GOOD, name=f"layer{k}", **change) for k, change in enumerate(changes, 1)]


def texts(found: Judgement) -> str:
    return "\n".join(r.text for r in found.remarks)


def test_a_pair_whose_controls_all_stitch_worse_can_be_read_and_nothing_is_held_against_it() -> None:
    found = judgement(pair({}, {}))
    assert (found.reading, found.readable, found.remarks) == ("yes", ("layer1", "layer2"), ())
    assert found.sentence == "The penalty can be read as similarity at every cut."


@pytest.mark.parametrize(
    ("control", "says"),
    [
        ("cluster_noise", "class-cluster noise stitches as well as this bottom at layer2: this tells how separable"),
        ("random_bottom", "a random bottom stitches as well as the trained one at layer2: this doesn't discriminate"),
        ("random_top", "a random top does as well as the trained one at layer2"),
    ],
)
def test_a_control_that_stitches_as_well_takes_its_cut_away(control: str, says: str) -> None:
    found = judgement(pair({}, {control: points(1.2)}))
    assert found.reading == "in part"
    assert found.readable == ("layer1",)
    assert says in texts(found)
    assert found.remarks[0].cuts == ("layer2",)
    assert judgement(pair({control: points(1.2)})).reading == "no"


def test_cuts_with_the_same_objection_share_a_remark() -> None:
    found = judgement(pair({"random_bottom": points(1)}, {"random_bottom": points(0)}, {}))
    assert [r.cuts for r in found.remarks] == [("layer1", "layer2")]
    assert "layer1, layer2" in found.remarks[0].text


def test_a_control_within_the_intervals_leaves_the_cut_undecided() -> None:
    found = judgement(pair({"cluster_noise": points(4, half=5)}))
    assert found.reading == "undecided"
    assert "whether class-cluster noise stitches as well is open at layer1" in texts(found)


def test_a_control_that_is_worse_by_less_than_the_margin_counts_as_good() -> None:
    cuts = pair({"cluster_noise": points(2, half=0.1), "penalty": points(1, half=0.1)})
    assert judgement(cuts).reading == "no"
    assert judgement(cuts, margin=0.5).reading == "yes"


def test_without_a_control_nothing_is_claimed_and_what_is_missing_is_said() -> None:
    found = judgement([CutEvidence("layer1", points(0))])
    assert found.reading == "undecided"
    assert {"class-cluster noise", "a random bottom", "self-stitch", "cells off the diagonal"} <= set(found.missing)
    assert judgement([]).reading == "undecided"


def test_what_was_measured_anywhere_is_not_missing() -> None:
    found = judgement(pair({"direct": None}, {}), [OffDiagonal(0, 1, points(50))])
    assert found.missing == ("a random top", "the same stitch trained for longer", "low rank")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"self_stitch": points(5)}, "a self-stitch costs something at layer2"),
        ({"outlying": Interval(0.97, 0.96, 0.98)}, "the top is fed activations unlike its own at layer2"),
        ({"longer": points(-2)}, "longer training lowers the penalty at layer2"),
    ],
)
def test_what_speaks_against_the_training_or_the_activations_leaves_the_cut_undecided(
    change: dict[str, Interval], says: str
) -> None:
    found = judgement(pair({}, change))
    assert (found.reading, found.readable) == ("in part", ("layer1",))
    assert says in texts(found)


def test_where_a_self_stitch_gains_the_penalty_against_it_is_what_can_be_read() -> None:
    found = judgement(pair({}, {"self_stitch": points(-1)}, {"self_stitch": points(-0.3)}))
    assert (found.reading, found.gained) == ("yes", ("layer2",))
    assert "a self-stitch gains at layer2: stitches make up for something else there" in texts(found)
    assert found.sentence.endswith("at every cut, at layer2 that against the self-stitch.")


@pytest.mark.parametrize("longer", [points(0.5), points(-1, half=0.5), points(4)])
def test_longer_training_that_gains_no_more_than_the_margin_for_sure_says_nothing(longer: Interval) -> None:
    assert judgement(pair({"longer": longer})) == judgement(pair({"longer": points(1)}))
    assert judgement(pair({"longer": longer})).reading == "yes"


def test_strange_activations_are_a_remark_only_where_distant_cells_were_seen_to_stitch_worse() -> None:
    cuts = pair({}, {}, {"outlying": Interval(0.97, 0.96, 0.98)})
    assert judgement(cuts).reading == "in part"
    found = judgement(cuts, cells(3, later=20, earlier=20))
    assert found.reading == "yes"
    assert "unlike its own at layer3" in texts(found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"direct": points(30)}, "only training for the task reaches this penalty at layer1"),
        ({"shuffled_labels": points(1)}, "a stitch trained on shuffled labels does as well at layer1"),
        ({"low_rank": {4: points(1.1), 64: points(1)}}, "a rank below the 10 classes is enough at layer1"),
    ],
)
def test_remarks_that_qualify_a_number_leave_it_readable(change: dict[str, object], says: str) -> None:
    found = judgement(pair(change), classes=10)
    assert found.reading == "yes"
    assert says in texts(found)


def test_a_rank_that_is_not_enough_or_not_below_the_classes_is_no_remark() -> None:
    assert not judgement(pair({"low_rank": {4: points(9), 16: points(1)}}), classes=10).remarks
    assert not judgement(pair({"low_rank": {4: points(1)}})).remarks


def cells(cuts: int, later: float, earlier: float, half: float = 0.3) -> list[OffDiagonal]:
    """Every cell off the diagonal, of these penalties."""
    every = [(i, j) for i in range(cuts) for j in range(cuts) if i != j]
    return [OffDiagonal(i, j, points(later if i > j else earlier, half)) for i, j in every]


def test_cells_off_the_diagonal_as_good_as_it_make_the_penalty_unreadable() -> None:
    found = judgement(pair({}, {}, {}, {}), cells(4, later=1, earlier=1))
    assert (found.reading, found.readable) == ("no", ())
    assert "off-diagonal cells equal the diagonal: 6 of 6" in texts(found)


def test_cells_off_the_diagonal_that_are_worse_are_as_they_should_be() -> None:
    found = judgement(pair({}, {}, {}), cells(3, later=20, earlier=20))
    assert (found.reading, found.remarks) == ("yes", ())


def test_neighbouring_cuts_may_be_as_good() -> None:
    near = [replace(c, penalty=points(1)) if abs(c.bottom - c.top) == 1 else c for c in cells(4, 20, 20)]
    assert judgement(pair({}, {}, {}, {}), near).reading == "yes"
    assert judgement(pair({}, {}), cells(2, 1, 1)).reading == "no"  # but where there are no others, they tell


def test_a_diagonal_within_the_intervals_is_undecided() -> None:
    assert judgement(pair({}, {}, {}, {}), cells(4, later=3, earlier=3, half=4)).reading == "undecided"


def test_a_cut_that_stitches_better_than_the_corresponding_one_is_named_by_its_top() -> None:
    off = [replace(c, penalty=points(-4)) if (c.bottom, c.top) == (3, 0) else c for c in cells(4, 20, 20)]
    found = judgement(pair({}, {}, {}, {}), off)
    assert found.reading == "yes"
    assert "1 of 6 off-diagonal cells stitch as well as corresponding cuts" in texts(found)
    assert "stitches better than the one that does into the top at layer1" in texts(found)


def test_the_triangle_is_found_where_only_later_layers_stitch_into_earlier_ones() -> None:
    cuts = pair({}, {}, {})
    assert triangle(cuts, cells(3, later=1, earlier=20)) == "found"
    assert triangle(cuts, cells(3, later=20, earlier=1)) == "not found"
    assert triangle(cuts, cells(3, later=20, earlier=20)) == "not found"
    assert triangle(cuts, cells(3, later=1, earlier=1)) == "not found"
    assert triangle(cuts, cells(3, later=2, earlier=20, half=3)) == "undecided"
    assert triangle(cuts, [c for c in cells(3, 1, 20) if c.bottom > c.top]) == "undecided"
    assert triangle(cuts, []) == "undecided"


def test_names_are_repeated_as_they_are() -> None:
    found = judgement([replace(GOOD, name="{x}", random_bottom=points(1))])
    assert "at {x}:" in texts(found)


intervals = st.tuples(st.floats(-50, 50), st.floats(0, 10), st.floats(0, 10)).map(
    lambda t: Interval(t[0], t[0] - t[1], t[0] + t[2])
)


@given(intervals, intervals, st.floats(0, 5))
def test_as_good_is_sure_only_beyond_the_intervals(a: Interval, b: Interval, margin: float) -> None:
    answer, gap = as_good(a, b, margin), difference_of(b, a)
    assert (answer is True) == (gap.high <= margin)
    assert (answer is None) == (gap.low <= margin < gap.high)


@given(st.lists(st.tuples(intervals, intervals), min_size=1, max_size=4), st.floats(0, 100))
def test_worse_controls_never_make_a_reading_worse(both: list[tuple[Interval, Interval]], by: float) -> None:
    def read(shift: float) -> Judgement:
        moved = [(p, Interval(c.value + shift, c.low + shift, c.high + shift)) for p, c in both]
        return judgement([CutEvidence(f"c{k}", p, random_bottom=c) for k, (p, c) in enumerate(moved)])

    order = ["no", "undecided", "in part", "yes"]
    assert order.index(read(0).reading) <= order.index(read(by).reading)
    assert set(read(0).readable) <= set(read(by).readable)
    assert read(1000).reading == "yes"
