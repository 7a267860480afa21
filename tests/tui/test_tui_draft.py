import shlex
from itertools import zip_longest

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from pilot import make_experiment, make_run
from scripted import cut

from stitchtui.base.errors import BadInput, ExitCode
from stitchtui.cli import invoke
from stitchtui.run.directory import RunDirectory
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.pairing import Meeting
from stitchtui.spec.presets import from_pair, pair_names
from stitchtui.spec.shapes import Misfit, Shape
from stitchtui.stitching import stitches
from stitchtui.stitching.cuts import Cut
from stitchtui.tui import cut_pairs, draft, recipe, sources
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import BY_HAND, field_of
from stitchtui.tui.sources import Source
from stitchtui.tui.widgets.chains import chain_lines


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    return Draft(picked={"bottom": Source("a.pt", "a.pt", "./"), "top": Source("b.pt", "b.pt", "./")})


@pytest.fixture
def carried_out(monkeypatch):
    """The experiment of which `stitchtui` makes a run when it is given a command line."""
    made = []

    def create(experiment, out=None):
        made.append(experiment)
        raise BadInput("enough")

    def carry_out(command):
        monkeypatch.setattr("stitchtui.run.directory.create", create)
        assert invoke(shlex.split(command)[1:]) == ExitCode.BAD_INPUT
        return made.pop()

    return carry_out


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"data": "digits", "epochs": "2.5", "seeds": "3", "controls": "none", "cuts": "layer1,layer2"},
        {"family": "low_rank", "rank": "16", "objective": "soft", "start": "random", "best_of": "3", "pairing": "all"},
        {"cuts": "a", "top_cuts": "b, c d", "controls": "self_stitch,cluster_noise", "both": "yes"},
        {"cuts": "a : b.1, c", "both": "yes"},
        {"augment": "crop"},
        {"head": "train", "part": "ema", "leaves": "blocks.0, Attention", "trust_code": "yes"},
        {"set": "stitch.l1=0.001; networks.a.normalisation=none;"},
    ],
)
def test_the_command_line_makes_the_same_experiment(pair, carried_out, values):
    pair.values = values
    experiment, problems = recipe.check(pair)
    assert problems == {}
    assert carried_out(recipe.command(pair)) == experiment
    changed = recipe.check(Draft(picked=pair.picked))[0]
    assert (experiment == changed) == (values == {}), "every one of them changes it"


@pytest.mark.parametrize("name", ["x.pth.tar", "a b.pt", "c=d.pt", 'it\'s "so".pt', "f;.pth"])
@pytest.mark.parametrize("own", [True, False])
def test_the_command_line_works_whatever_the_files_are_called(tmp_path, monkeypatch, carried_out, name, own):
    monkeypatch.chdir(tmp_path)
    for file in (name, "b.pt"):
        (tmp_path / file).write_bytes(b"x")
    made = Draft(picked={"bottom": Source(name, name, "./"), "top": Source("b.pt", "b.pt", "./")})
    made.architectures = {"bottom": "resnet20"} if own else {"bottom": "resnet20", "top": "resnet56"}
    experiment, problems = recipe.check(made)
    assert problems == {}
    assert experiment.networks[pair_names(name, "b.pt")[0]].architecture == "resnet20"
    assert carried_out(recipe.command(made)) == experiment


def test_a_key_of_a_network_whose_name_has_dots_is_the_fields_own(tmp_path, monkeypatch, carried_out):
    monkeypatch.chdir(tmp_path)
    for file in ("x.pth.tar", "b.pt"):
        (tmp_path / file).write_bytes(b"x")
    made = Draft(picked={"bottom": Source("x.pth.tar", "x", "./"), "top": Source("b.pt", "b.pt", "./")})
    made.values = {"set": 'networks.x.pth.normalisation=none; networks."x.pth".width=2'}
    experiment, problems = recipe.check(made)
    assert problems == {}
    assert (experiment.networks["x.pth"].normalisation, experiment.networks["x.pth"].width) == ("none", 2)
    assert carried_out(recipe.command(made)) == experiment
    assert field_of('networks."x.pth".head') == "head"


def test_defaults_are_left_out_of_the_command_line_but_for_the_data(pair):
    assert recipe.command(pair) == "stitchtui run a.pt b.pt --data cifar10"


def test_a_rank_is_asked_for_where_the_family_has_one_and_a_number_of_starts_where_they_are_random(pair):
    assert not pair.applies("rank")
    assert not pair.applies("best_of")
    pair.values = {"family": "low_rank", "start": "random"}
    assert pair.applies("rank")
    assert pair.applies("best_of")


@pytest.mark.parametrize("name", ["head", "part", "leaves", "trust_code"])
def test_what_a_network_lacks_becomes_a_field_once_the_inspector_has_said_so(pair, name):
    pair.answers["top"] = {"error": "it can't be used; add --head, --part, --leaf and type its architecture"}
    assert not pair.applies(name)
    assert not pair.needs_architecture("top")
    pair.answers["top"]["field"] = name
    assert pair.applies(name)
    assert name not in pair.question("top")
    pair.set(name, "yes")
    assert name in pair.question("top")


def test_a_changed_field_that_is_changed_back_is_left_out(pair):
    pair.values = {"family": "identity"}
    assert "--family identity" in recipe.command(pair)
    pair.values = {"family": "affine"}
    assert "--family" not in recipe.command(pair)


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("epochs", "many", "expected a number"),
        ("epochs", "0", "above 0"),
        ("seeds", "x", "expected a number of seeds"),
        ("seeds", "1,1", "seeds that differ"),
        ("data", "digit", "nearest: 'digits'"),
        ("data", "npz:nowhere.npz", "no such file"),
        ("cuts", "", "expected blocks, all"),
        ("rank", "few", "expected a whole number"),
        ("set", "stitch.epoch=3", "nearest: 'epochs'"),
        ("set", "epochs", "expected KEY=VALUE"),
    ],
)
def test_the_reason_stands_beside_the_field_that_is_at_fault(pair, field, text, reason):
    pair.values = {"family": "low_rank", field: text}
    experiment, problems = recipe.check(pair)
    assert experiment is None
    assert list(problems) == [field]
    assert reason in problems[field]


def test_every_field_that_is_at_fault_says_so(pair):
    pair.values = {"epochs": "x", "seeds": "y", "data": "z"}
    assert set(recipe.check(pair)[1]) == {"epochs", "seeds", "data"}


def test_fields_that_contradict_each_other_name_one_of_them(pair):
    pair.values = {"family": "bn_affine_bn", "objective": "direct"}
    [(field, reason)] = recipe.check(pair)[1].items()
    assert field in ("family", "objective")
    assert "no closed form" in reason


def test_the_networks_say_what_data_they_are_for(pair):
    assert pair.value("data") == "cifar10"
    pair.answers["top"] = {"data": "digits", "cuts": []}
    assert pair.value("data") == "digits"
    assert "--data digits" in recipe.command(pair)


def test_data_that_a_network_was_not_made_for_is_a_reason_beside_it(pair):
    pair.answers["top"] = {"cuts": [], "misfit": "cifar10 has 3 channels"}
    assert recipe.check(pair) == (None, {"data": "top: cifar10 has 3 channels"})


def test_an_architecture_is_asked_for_only_where_the_checkpoint_does_not_say(pair):
    assert not pair.needs_architecture("bottom")
    pair.answers["bottom"] = {
        "error": "checkpoint a.pt: doesn't say what network it is for; type its architecture: ...",
        "field": "architecture",
    }
    assert pair.needs_architecture("bottom")
    assert not pair.needs_architecture("top")
    pair.architectures["bottom"] = "resnet20"
    pair.answers.clear()
    assert pair.needs_architecture("bottom")
    assert recipe.check(pair)[0].networks["a"].architecture == "resnet20"
    assert "--set networks.a.architecture=resnet20" in recipe.command(pair)
    pair.architectures["top"] = "resnet20"
    assert recipe.command(pair).count("--architecture resnet20") == 1


def test_names_with_control_characters_are_spelt_out_in_the_command(pair):
    pair.picked["bottom"] = Source("[bold red]x\x1b[2J.pt", "x", "./")
    command = recipe.command(pair)
    assert "\x1b" not in command
    assert "$'[bold red]x\\x1b[2J.pt'" in command


def test_a_network_of_a_known_run_keeps_its_name(pair, tmp_path):
    (tmp_path / ("f" * 64)).write_bytes(b"x")
    pair.picked["top"] = Source("f" * 64, "seed1 of older", sources.RUNS, name="seed1")
    experiment = recipe.check(pair)[0]
    assert list(experiment.networks) == ["a", "seed1"]
    assert experiment.title == "a > seed1"
    pair.picked["bottom"] = Source("a.pt", "seed1 of newer", sources.RUNS, name="seed1")
    assert list(recipe.check(pair)[0].networks) == ["seed1-bottom", "seed1-top"]


def test_a_preset_keeps_everything_that_is_not_changed():
    made = draft.from_preset("quickstart")
    assert recipe.command(made) == "stitchtui run quickstart"
    made.values["epochs"] = "2"
    assert recipe.command(made) == "stitchtui run quickstart --epochs 2"
    experiment, problems = recipe.check(made)
    assert problems == {}
    assert experiment.stitch.epochs == 2
    assert len(experiment.pairs) == 2


def test_a_prepared_experiment_without_a_file_has_no_command_line():
    plain = draft.from_preset("quickstart").document
    assert recipe.command(draft.from_prepared(plain)) == ""
    assert recipe.command(draft.from_prepared({**plain, "origin": ["x.toml"]})) == "stitchtui run x.toml"


def test_seeds_are_shown_as_they_are_typed():
    plain = draft.from_preset("quickstart").document
    for seeds, text in (([0], "1"), ([0, 1, 2], "3"), ([7], "7,"), ([1, 5], "1,5")):
        made = draft.from_prepared({**plain, "stitch": {**plain["stitch"], "seeds": seeds}})
        assert made.value("seeds") == text
        made.values["seeds"] = text
        assert list(recipe.check(made)[0].stitch.seeds) == seeds


def fits(bottom, top, **meeting):
    return [joint.fit for joint in cut_pairs.joints(zip_longest(bottom, top), Meeting(**meeting))]


def test_cuts_fit_as_they_are_by_their_channels_or_after_a_change_of_size():
    bottom = [cut("a", 16, 8, 8), cut("b", 16, 8, 8), cut("c", 16, 8, 8), cut("d", 16, 4, 4)]
    top = [cut("a", 16, 8, 8), cut("b", 32, 8, 8), cut("c", 16, 4, 4)]
    assert fits(bottom, top) == ["equal", "mapped", "adapted", "alone"]
    assert fits(bottom, top, family="identity") == ["equal", "misfit", "misfit", "alone"]
    assert fits(bottom, top, pairing="all") == ["alone"] * 4
    assert "4 cuts, the top 3" in cut_pairs.problems(bottom, top, Meeting(pairing="equal"))["cuts"]
    assert cut_pairs.problems(bottom, top, Meeting()) == cut_pairs.problems(bottom, top, Meeting(pairing="all")) == {}
    assert cut_pairs.shared(bottom, top) == ["a", "b", "c"]


def test_a_family_that_fits_nowhere_is_the_field_at_fault_unless_none_would_fit():
    bottom, top = [cut("a", 16, 8, 8)], [cut("a", 32, 8, 8)]
    [(field, reason)] = cut_pairs.problems(bottom, top, Meeting(family="permutation")).items()
    assert field == "family"
    assert "permutation needs equal channels: bottom 16, top 32" in reason
    tokens = [{**cut("a", 7, 32), "channel_axis": -1}]
    assert list(cut_pairs.problems(bottom, tokens, Meeting())) == ["cuts"]


places = st.one_of(
    st.just(()),
    st.tuples(st.integers(1, 20)),
    st.tuples(*[st.sampled_from([1, 3, 4, 8])] * 2),
    st.tuples(*[st.sampled_from([1, 4])] * 3),
)
channels = st.sampled_from([1, 3, 16, 8192, 16_384])


@st.composite
def shaped(draw):
    """A cut of any shape: a vector, tokens, a map or a volume, its channels first or last."""
    positions, count = draw(places), draw(channels)
    axis = -1 if not positions else draw(st.sampled_from([1, -1]))
    return (count, *positions) if axis == 1 else (*positions, count), axis


@given(shaped(), shaped(), st.sampled_from(sorted(FAMILIES)))
def test_a_cut_fits_here_where_the_run_itself_can_build_the_stitch(bottom, top, family):
    said = Meeting(family=family, start="random").misfit(*(Shape(shape, axis) for shape, axis in (bottom, top)))
    cuts = (Cut("x", shape, axis, True) for shape, axis in (bottom, top))
    rotates = family == "orthogonal"  # which computes while it is made
    assume(not rotates or max(*bottom[0], *top[0]) <= 20)
    with torch.device("cpu" if rotates else "meta"):  # so that nothing large is made
        try:
            stitches.build(family, *cuts, rank=4)
        except Misfit as misfit:
            assert said == str(misfit)
        else:
            assert said == ""


def test_names_typed_by_hand_are_checked_against_each_chain(pair):
    pair.answers = {
        "bottom": {"cuts": [cut("stem", 4), cut("layer1", 4)]},
        "top": {"cuts": [cut("conv", 4), cut("block1", 4), cut("block2", 4)]},
    }
    assert pair.set("cuts", BY_HAND)
    assert pair.value("cuts") == "stem:conv,layer1:block2", "what meets is where the typing begins"
    pair.set("own_cuts", "stem,layr1")
    assert recipe.check(pair) == (None, {"cuts": "bottom: 'layr1' is not known; nearest: 'layer1'"})
    pair.set("own_cuts", "stem,layer1")
    assert recipe.check(pair)[1] == {}, "those that only the bottom has meet the top's nearest"
    pair.set("pairing", "equal")
    [(field, reason)] = recipe.check(pair)[1].items()
    assert (field, reason.split(";")[0]) == ("top_cuts", "top: 'stem' is not known")
    pair.set("top_cuts", "conv")
    assert "the bottom has 2 cuts, the top 1" in recipe.check(pair)[1]["top_cuts"]
    pair.set("top_cuts", "conv, block2")
    experiment, problems = recipe.check(pair)
    assert problems == {}
    assert (experiment.stitch.cuts, experiment.stitch.top_cuts) == (("stem", "layer1"), ("conv", "block2"))
    assert """--cuts stem,layer1 --pairing equal --set 'stitch.top_cuts=["conv", "block2"]'""" in recipe.command(pair)
    pair.swap()
    assert (pair.value("cuts"), pair.value("top_cuts")) == ("conv, block2", "stem,layer1")
    pair.set("cuts", "blocks")
    assert not pair.by_hand
    assert pair.value("top_cuts") == ""


def test_a_modules_path_names_the_cut_at_its_end(pair):
    pair.answers = {end: {"cuts": [{**cut("layer1.relu", 4), "aliases": ["layer1"]}]} for end in ("bottom", "top")}
    pair.values["cuts"] = "layer1"
    assert recipe.check(pair)[1] == {}
    assert [each["name"] for each in pair.chosen_cuts("top")] == ["layer1.relu"]


def test_cells_that_can_not_be_are_said_though_the_others_can_start(pair):
    pair.answers = {
        "bottom": {"cuts": [cut("a", 4, 2, 2), cut("b", 4, 2, 2)]},
        "top": {"cuts": [cut("a", 4, 2, 2), cut("b", 8, 2, 2)]},
    }
    assert pair.remarks() == {}
    pair.values["family"] = "identity"
    assert recipe.check(pair)[1] == {}
    assert pair.remarks() == {"cuts": "1 cell can't be: identity needs equal shapes: bottom 4x2x2, top 8x2x2"}


def test_cuts_that_meet_in_order_need_equal_numbers_and_others_do_not(pair):
    pair.answers = {"bottom": {"cuts": [cut("a", 4), cut("b", 4)]}, "top": {"cuts": [cut("c", 4)]}}
    assert recipe.check(pair)[1] == {}, "each meets the nearest in depth"
    pair.set("pairing", "equal")
    assert "cuts" in recipe.check(pair)[1]
    pair.set("pairing", "all")
    experiment, problems = recipe.check(pair)
    assert (problems, experiment.stitch.pairing) == ({}, "all")
    assert "--pairing all" in recipe.command(pair)


def test_pairs_of_cuts_are_typed_with_a_colon_and_checked_against_their_own_chains(pair):
    pair.answers = {
        "bottom": {"cuts": [cut("stem", 4), cut("layer1", 4)]},
        "top": {"cuts": [cut("conv", 4), cut("block1", 4)]},
    }
    pair.set("cuts", BY_HAND)
    for typed, why in (
        ("stem:conv,layer1:stem", "top: 'stem' is not known"),
        ("conv:conv", "bottom: 'conv' is not known"),
        ("stem:", "expected BOTTOM:TOP, got 'stem:'"),
    ):
        pair.set("own_cuts", typed)
        assert why in recipe.check(pair)[1]["cuts"]
    pair.set("own_cuts", "layer1:conv, stem:block1")
    assert recipe.check(pair)[0].stitch.cuts == {"layer1": "conv", "stem": "block1"}
    assert not pair.applies("top_cuts"), "the pairs say them"
    rows = [line.plain.split() for line in chain_lines(pair, 80) if "=" in line.plain]
    assert [row[:4:3] for row in rows[:2]] == [["stem", "block1"], ["layer1", "conv"]]
    pair.swap()
    assert recipe.check(pair)[0].stitch.cuts == {"conv": "layer1", "block1": "stem"}


def test_checkpoints_are_found_folder_by_folder_without_those_of_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    wanted = ("a.pt", "run.pth.tar", "deep/er/b.safetensors")
    unwanted = (".hidden/c.pt", "venv/d.pt", "notes.txt", "data.tar", "stitches/e.safetensors", "cache/f.safetensors")
    for name in wanted + unwanted:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x08")
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    assert [(s.label, s.group) for s in sources.files()] == [
        ("a.pt", "./"),
        ("run.pth.tar", "./"),
        ("b.safetensors", "deep/er/"),
    ]


@pytest.mark.parametrize("head", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x0a\0\0\0\0\0\0\0{"])
def test_a_file_with_a_broken_head_is_listed_all_the_same(tmp_path, monkeypatch, head):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(head)
    assert [source.label for source in sources.files()] == ["x.safetensors"]


@pytest.mark.parametrize(
    "name",
    [
        "torchvision:vgg11",
        "torchvision:vgg11@IMAGENET1K_V1",
        "timm:vit_tiny",
        "timm:vit_tiny@augreg",
        "hf:me/net",
        "hub:me/net:entry",
    ],
)
def test_a_published_network_is_picked_by_its_name_and_asked_about_as_the_run_takes_it(tmp_path, name):
    source = sources.typed(f" {name} ")
    assert not source.is_file
    spec = from_pair(source.value, "other.pt").networks[pair_names(source.value, "other.pt")[0]]
    asked = source.question()
    assert (asked["architecture"], asked.get("weights")) == (spec.architecture, spec.weights)
    experiment = make_experiment(networks={"mine": spec}, pairs=[{"bottom": "mine", "top": "mine"}])
    offered = sources.of_runs([make_run(tmp_path, experiment=experiment)])
    kept = from_pair(offered[0].value, "other.pt").networks
    assert (spec.architecture, spec.weights) in [(each.architecture, each.weights) for each in kept.values()]


def test_what_is_no_name_of_a_network_and_no_file_is_nothing(tmp_path):
    assert sources.typed("timm:") is None
    assert sources.typed(str(tmp_path / "nowhere.pt")) is None


def test_a_run_without_an_experiment_offers_no_networks(tmp_path):
    assert sources.of_runs([RunDirectory(tmp_path)]) == []
