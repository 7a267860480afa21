import shlex

import pytest

from stitchtui.commands import flags
from stitchtui.presets import from_pair
from stitchtui.run.directory import RunDirectory
from stitchtui.tui import draft, fit, sources
from stitchtui.tui.draft import Draft
from stitchtui.tui.sources import Source


def cut(name, *shape, block=True, depth=0.5):
    return {"name": name, "shape": list(shape), "channel_axis": 1, "depth": depth, "parameters": 1, "block": block}


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    return Draft(picked={"bottom": Source("a.pt", "a.pt", "./"), "top": Source("b.pt", "b.pt", "./")})


def test_the_command_line_makes_the_same_experiment(pair):
    pair.values = {"data": "digits", "epochs": "2.5", "seeds": "3", "controls": "none", "cuts": "layer1,layer2"}
    experiment, problems = pair.check()
    assert problems == {}
    words = shlex.split(pair.command())
    assert words[:4] == ["stitchtui", "run", "a.pt", "b.pt"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    settings = flags.settings(**{k.removeprefix("--"): float(v) if k == "--epochs" else v for k, v in given.items()})
    assert from_pair("a.pt", "b.pt", settings=settings) == experiment


def test_defaults_are_left_out_of_the_command_line(pair):
    assert pair.command() == "stitchtui run a.pt b.pt"


def test_a_changed_field_that_is_changed_back_is_left_out(pair):
    pair.values = {"family": "identity"}
    assert "--family identity" in pair.command()
    pair.values = {"family": "affine"}
    assert "--family" not in pair.command()


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
    ],
)
def test_the_reason_stands_beside_the_field_that_is_at_fault(pair, field, text, reason):
    pair.values = {field: text}
    experiment, problems = pair.check()
    assert experiment is None
    assert list(problems) == [field]
    assert reason in problems[field]


def test_every_field_that_is_at_fault_says_so(pair):
    pair.values = {"epochs": "x", "seeds": "y", "data": "z"}
    assert set(pair.check()[1]) == {"epochs", "seeds", "data"}


def test_fields_that_contradict_each_other_name_one_of_them(pair):
    pair.values = {"family": "bn_affine_bn", "objective": "direct"}
    [(field, reason)] = pair.check()[1].items()
    assert field in ("family", "objective")
    assert "no closed form" in reason


def test_the_networks_say_what_data_they_are_for(pair):
    assert pair.value("data") == "cifar10"
    pair.answers["top"] = {"data": "digits", "cuts": []}
    assert pair.value("data") == "digits"
    assert "--data digits" in pair.command()


def test_data_that_a_network_was_not_made_for_is_a_reason_beside_it(pair):
    pair.answers["top"] = {"cuts": [], "misfit": "cifar10 has 3 channels"}
    assert pair.check() == (None, {"data": "top: cifar10 has 3 channels"})


def test_an_architecture_is_asked_for_only_where_the_checkpoint_does_not_say(pair):
    assert not pair.needs_architecture("bottom")
    pair.answers["bottom"] = {
        "error": "checkpoint a.pt: doesn't say what network it is for; type its architecture: ..."
    }
    assert pair.needs_architecture("bottom")
    assert not pair.needs_architecture("top")
    pair.architectures["bottom"] = "resnet20"
    pair.answers.clear()
    assert pair.needs_architecture("bottom")
    assert pair.check()[0].networks["a"].architecture == "resnet20"
    assert "--set networks.a.architecture=resnet20" in pair.command()
    pair.architectures["top"] = "resnet20"
    assert pair.command().count("--architecture resnet20") == 1


def test_names_with_control_characters_are_spelt_out_in_the_command(pair):
    pair.picked["bottom"] = Source("[bold red]x\x1b[2J.pt", "x", "./")
    command = pair.command()
    assert "\x1b" not in command
    assert "$'[bold red]x\\x1b[2J.pt'" in command


def test_a_network_of_a_known_run_keeps_its_name(pair, tmp_path):
    (tmp_path / ("f" * 64)).write_bytes(b"x")
    pair.picked["top"] = Source("f" * 64, "seed1 of older", sources.RUNS, name="seed1")
    experiment = pair.check()[0]
    assert list(experiment.networks) == ["a", "seed1"]
    assert experiment.title == "a > seed1"
    pair.picked["bottom"] = Source("a.pt", "seed1 of newer", sources.RUNS, name="seed1")
    assert list(pair.check()[0].networks) == ["seed1-bottom", "seed1-top"]


def test_a_preset_keeps_everything_that_is_not_changed():
    made = draft.from_preset("quickstart")
    assert made.command() == "stitchtui run quickstart"
    made.values["epochs"] = "2"
    assert made.command() == "stitchtui run quickstart --epochs 2"
    experiment, problems = made.check()
    assert problems == {}
    assert experiment.stitch.epochs == 2
    assert len(experiment.pairs) == 2


def test_a_prepared_experiment_without_a_file_has_no_command_line():
    plain = draft.from_preset("quickstart").document
    assert draft.from_prepared(plain).command() == ""
    assert draft.from_prepared({**plain, "origin": ["x.toml"]}).command() == "stitchtui run x.toml"


def test_seeds_are_shown_as_they_are_typed():
    plain = draft.from_preset("quickstart").document
    for seeds, text in (([0], "1"), ([0, 1, 2], "3"), ([7], "7,"), ([1, 5], "1,5")):
        made = draft.from_prepared({**plain, "stitch": {**plain["stitch"], "seeds": seeds}})
        assert made.value("seeds") == text
        made.values["seeds"] = text
        assert list(made.check()[0].stitch.seeds) == seeds


def test_cuts_fit_where_shapes_are_equal_or_differ_in_channels_only():
    bottom = [cut("a", 16, 8, 8), cut("b", 16, 8, 8), cut("c", 16, 8, 8), cut("d", 16, 4, 4)]
    top = [cut("a", 16, 8, 8), cut("b", 32, 8, 8), cut("c", 16, 4, 4)]
    assert [joint.fit for joint in fit.joints(bottom, top, "affine")] == ["equal", "mapped", "misfit", "alone"]
    assert [joint.fit for joint in fit.joints(bottom, top, "identity")][:2] == ["equal", "misfit"]
    assert "4 cuts, the top 3" in fit.problem(bottom, top, "affine")
    assert fit.shared(bottom, top) == ["a", "b", "c"]


def test_a_pair_whose_chosen_cuts_differ_in_number_can_not_start_until_a_shared_one_is_chosen(pair):
    pair.answers = {"bottom": {"cuts": [cut("a", 4), cut("b", 4)]}, "top": {"cuts": [cut("a", 4)]}}
    assert "cuts" in pair.check()[1]
    pair.values["cuts"] = "a"
    assert pair.check()[1] == {}


def test_checkpoints_are_found_folder_by_folder_without_those_of_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "deep/er/b.safetensors", ".hidden/c.pt", "venv/d.pt", "notes.txt", "stitches/e.safetensors"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x08")
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    assert [(s.label, s.group) for s in sources.files()] == [("a.pt", "./"), ("b.safetensors", "deep/er/")]


@pytest.mark.parametrize("head", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x0a\0\0\0\0\0\0\0{"])
def test_a_file_with_a_broken_head_is_listed_all_the_same(tmp_path, monkeypatch, head):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(head)
    assert [source.label for source in sources.files()] == ["x.safetensors"]


def test_a_run_without_an_experiment_offers_no_networks(tmp_path):
    assert sources.of_runs([RunDirectory(tmp_path)]) == []
