"""Which cuts meet: laws of pairing by name, by depth and as was named, on networks that are lists of cuts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.spec import overrides
from stitchtui.spec.pairing import Meeting, Uneven, cuts_text, read_cuts, turned
from stitchtui.spec.presets import load_preset
from stitchtui.spec.shapes import Misfit, Shape, positioned


@dataclass(frozen=True)
class Cut(Shape):
    name: str
    depth: float


@dataclass(frozen=True)
class Network:
    cuts: tuple[Cut, ...]

    def select(self, wanted: str | Sequence[str]) -> Sequence[Cut]:
        return self.cuts if isinstance(wanted, str) else [cut for cut in self.cuts if cut.name in wanted]

    def knows(self, name: str) -> bool:
        return any(cut.name == name for cut in self.cuts)

    def depth(self, cut: Cut) -> float:
        return cut.depth


SHAPES = [(4, 2, 2), (8, 2, 2), (8, 4, 4), (4,)]


@st.composite
def networks(draw: st.DrawFn, letter: str, of: Sequence[tuple[int, ...]] = SHAPES) -> Network:
    depths = [each / 32 for each in sorted(draw(st.lists(st.integers(0, 32), min_size=1, max_size=9)))]
    shapes = [draw(st.sampled_from(of)) for _ in depths]
    axes = [1 if len(shape) == 3 else -1 for shape in shapes]
    made = zip(shapes, axes, depths, strict=True)
    return Network(tuple(Cut(*each[:2], f"{letter}{place}", each[2]) for place, each in enumerate(made)))


def names(pairs: Sequence[tuple[Cut, Cut]]) -> list[tuple[str, str]]:
    return [(low.name, high.name) for low, high in pairs]


@given(networks("a"), networks("a"))
def test_networks_with_the_same_cuts_meet_by_name_as_in_order(bottom: Network, top: Network) -> None:
    count = min(len(bottom.cuts), len(top.cuts))
    low, high = Network(bottom.cuts[:count]), Network(top.cuts[:count])
    for cuts in ("blocks", "all", tuple(cut.name for cut in low.cuts)):
        assert Meeting(cuts).joined(low, high) == Meeting(cuts, pairing="equal").joined(low, high)


@given(networks("a"), networks("b"), st.sampled_from(["affine", "permutation", "identity", "orthogonal"]))
def test_other_networks_cuts_meet_the_nearest_in_depth_that_fits(bottom: Network, top: Network, family: str) -> None:
    meeting = Meeting(family=family)
    pairs = meeting.joined(bottom, top)
    assert [low for low, _ in pairs] == list(bottom.cuts)
    for low, high in pairs:
        candidates = [cut for cut in top.cuts if not meeting.misfit(low, cut)] or list(top.cuts)
        before = [cut for cut in candidates if cut.depth <= low.depth]
        after = [cut for cut in candidates if cut.depth > low.depth]
        next_to = [cut for cut in before if cut.depth == before[-1].depth]
        next_to += [cut for cut in after if cut.depth == after[0].depth]
        next_to = [cut for cut in next_to if positioned(cut) == positioned(low)] or next_to
        assert high in next_to
        assert abs(high.depth - low.depth) == min(abs(cut.depth - low.depth) for cut in next_to)


@given(networks("a", [(4, 2, 2), (8, 2, 2)]), networks("b", [(4, 2, 2), (8, 2, 2)]))
def test_where_nothing_is_resized_the_order_of_depth_is_kept(bottom: Network, top: Network) -> None:
    pairs = Meeting().joined(bottom, top)
    assert [high.depth for _, high in pairs] == sorted(high.depth for _, high in pairs)


@given(networks("a"))
def test_a_copy_under_other_names_is_met_cut_by_cut(bottom: Network) -> None:
    copied = Network(tuple(replace(cut, name=f"copy of {cut.name}") for cut in bottom.cuts))
    if len({cut.depth for cut in bottom.cuts}) == len(
        bottom.cuts
    ):  # else what lies at one depth is told apart by shape and place
        assert Meeting().joined(bottom, copied) == list(zip(bottom.cuts, copied.cuts, strict=True))


@given(networks("a"), networks("b"), st.data())
def test_named_pairs_are_joined_as_named_and_turned_round_they_are_their_mirror(
    bottom: Network, top: Network, data: st.DataObject
) -> None:
    ends = st.tuples(*(st.sampled_from([cut.name for cut in each.cuts]) for each in (bottom, top)))
    said = dict(data.draw(st.lists(ends, min_size=1)))
    pairs = Meeting(read_cuts(cuts_text(said))).joined(bottom, top)
    assert sorted(names(pairs)) == sorted(said.items())
    mirrored = turned(pairs, bottom, top)
    assert sorted(names(mirrored)) == sorted((high, low) for low, high in said.items())
    assert turned(mirrored, top, bottom) == pairs
    every = Meeting(said, pairing="all").joined(bottom, top)
    assert set(names(every)) == {(low, high) for low in said for high in said.values()}


def test_cuts_that_are_named_for_either_network_meet_in_order_and_those_of_one_alone_the_nearest() -> None:
    bottom = Network(tuple(Cut((4, 2, 2), 1, name, depth) for name, depth in (("a", 0.1), ("b", 0.5), ("c", 0.9))))
    top = Network(tuple(Cut((4, 2, 2), 1, name, depth) for name, depth in (("a", 0.1), ("x", 0.5), ("y", 0.8))))
    assert names(Meeting(("a", "b"), ("x", "y")).joined(bottom, top)) == [("a", "x"), ("b", "y")]
    assert names(Meeting(("a", "b"), ("x",)).joined(bottom, top)) == [("a", "x"), ("b", "x")]
    assert names(Meeting(("b", "c")).joined(bottom, top)) == [("b", "x"), ("c", "y")]
    with pytest.raises(Uneven, match="2 cuts of one and 1"):
        Meeting(("a", "b"), ("x",), "equal").joined(bottom, top)


def test_of_several_cuts_at_one_depth_the_one_of_the_name_or_the_shape_is_met() -> None:
    shapes = {"conv": (8, 2, 2), "bn": (8, 2, 2), "relu": (4, 2, 2)}
    bottom = Network(tuple(Cut(shape, 1, name, 0.5) for name, shape in shapes.items()))
    top = Network((Cut((4, 2, 2), 1, "pool", 0.5), *bottom.cuts[:2]))
    assert names(Meeting().joined(bottom, top)) == [("conv", "conv"), ("bn", "bn"), ("relu", "pool")]


def test_a_named_pair_that_no_adapter_joins_is_refused() -> None:
    bottom, top = Network((Cut((5, 8), -1, "tokens", 0.5),)), Network((Cut((4, 2, 2), 1, "map", 0.5),))
    joined = Network((Cut((6, 8), -1, "tokens", 0.5),))
    assert names(Meeting({"tokens": "map"}).joined(bottom, top)) == [("tokens", "map")]
    with pytest.raises(Misfit, match="tokens:map: 6 tokens can't be read as a grid"):
        Meeting({"tokens": "map"}).joined(joined, top)


def test_the_text_of_cuts_is_names_or_pairs() -> None:
    assert (read_cuts("blocks"), read_cuts("all"), read_cuts(" a, b ,")) == ("blocks", "all", ("a", "b"))
    assert read_cuts("a:x, b , c : y") == {"a": "x", "b": "b", "c": "y"}
    for text, why in (("a:", "got 'a:'"), ("a:b:c", "got 'a:b:c'"), ("a:x,a:y", "'a' meets 'x' already")):
        with pytest.raises(BadInput, match=why):
            overrides.settings(cuts=text)


def test_pairs_of_a_flag_or_a_scale_replace_what_was_said_of_either_networks_cuts(tmp_path: Path) -> None:
    pairs = overrides.settings(cuts="layer1.1:blocks.2")
    stitch = load_preset("resnet-into-vit", settings=pairs).stitch
    assert (stitch.cuts, stitch.top_cuts) == ({"layer1.1": "blocks.2"}, None)
    text = 'networks.a.architecture = "vit"\npairs = [{ bottom = "a", top = "a" }]\nstitch.cuts = ["x.1", "x.2"]\n'
    (tmp_path / "own.toml").write_text(text + '[scales.mini]\nstitch.cuts = { "x.1" = "y.1" }\n')
    assert load_preset(str(tmp_path / "own.toml"), "mini").stitch.cuts == {"x.1": "y.1"}
    with pytest.raises(BadInput, match="cuts says which cuts of the top are met; leave top_cuts out"):
        load_preset(str(tmp_path / "own.toml"), "mini", ['stitch.top_cuts=["y.2"]'])
