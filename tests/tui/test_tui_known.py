"""What is known of a network before it is picked: from earlier runs, from what was typed, from its other end."""

import shlex

import pytest
from pilot import make_run
from scripted import known

from stitchtui.run.remembered import Known, remember
from stitchtui.spec.experiment import DataSpec
from stitchtui.spec.presets import from_pair
from stitchtui.tui import recipe, sources
from stitchtui.tui.draft import Draft
from stitchtui.tui.sources import Source

UNSAID = {"error": "checkpoint: doesn't say what network it is for", "field": "architecture"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with three checkpoints that don't say their network, a class's file and images."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt", "c.pt", "net.py"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "images").mkdir()
    return tmp_path


def own_pair():
    return from_pair(
        "a.pt", "b.pt", architectures=["net.py:Net"], normalisation="none", overrides=["data.name=folder:images"]
    )


def offered(*names):
    found = {source.label: source for source in sources.files()}
    return [found[name] for name in names]


def drafted(bottom, top):
    return Draft(picked={"bottom": bottom, "top": top})


def fields(draft):
    return [end for end in ("bottom", "top") if draft.needs_architecture(end)]


def test_one_architecture_is_typed_for_both_ends_and_another_only_where_the_top_does_not_fit(folder):
    made = drafted(*offered("a.pt", "b.pt"))
    for end in ("bottom", "top"):
        made.take(end, made.question(end), UNSAID)
    assert fields(made) == ["bottom"]
    made.set("bottom", "net.py:Net")
    assert [made.question(end)["architecture"] for end in ("bottom", "top")] == ["net.py:Net"] * 2
    assert fields(made) == ["bottom"], "answers to what was asked before say nothing of it"
    assert recipe.command(made).count("--architecture net.py:Net") == 1
    misfit = {"error": "checkpoint b.pt: has no weights for head.weight"}
    made.take("top", made.question("top"), misfit)
    assert fields(made) == ["bottom"], "the bottom may turn out not to be for it either"
    made.take("bottom", made.question("bottom"), known())
    assert fields(made) == ["bottom", "top"]
    made.set("top", "resnet20")
    assert [made.architecture(end) for end in ("bottom", "top")] == ["net.py:Net", "resnet20"]
    made.swap()
    assert [made.architecture(end) for end in ("bottom", "top")] == ["resnet20", "net.py:Net"]


def test_two_architectures_can_be_typed_into_the_one_field(folder):
    made = drafted(*offered("a.pt", "b.pt"))
    made.set("bottom", "net.py:Net, resnet20")
    assert fields(made) == ["bottom"]
    assert [made.architecture(end) for end in ("bottom", "top")] == ["net.py:Net", "resnet20"]
    assert "--architecture net.py:Net --architecture resnet20" in recipe.command(made)


def test_what_both_are_for_stays_with_both_as_they_change_places_or_the_top_is_picked_anew(folder):
    made = drafted(*offered("a.pt", "b.pt"))
    made.set("bottom", "net.py:Net")
    made.swap()
    assert fields(made) == ["bottom"]
    assert [made.architecture(end) for end in ("bottom", "top")] == ["net.py:Net"] * 2
    made.unpick()
    [made.picked["top"]] = offered("c.pt")
    assert made.architecture("top") == "net.py:Net"


def test_a_checkpoint_that_says_its_network_itself_gets_none_from_the_other_end(folder):
    made = drafted(offered("a.pt")[0], Source("c.safetensors", "c", "./"))
    made.set("bottom", "net.py:Net")
    assert made.question("top")["architecture"] is None
    assert "networks.c.architecture" not in recipe.command(made)


@pytest.mark.parametrize("names", [("a.pt", "b.pt"), ("c.pt", "a.pt"), ("c.pt", "c.pt")])
def test_what_was_said_of_a_checkpoint_or_of_its_neighbour_is_offered_the_next_time(folder, names):
    remember(own_pair())
    made = drafted(*offered(*names))
    assert [made.architecture(end) for end in ("bottom", "top")] == ["net.py:Net"] * 2
    assert made.value("data") == "folder:images"
    experiment, problems = recipe.check(made)
    assert problems == {}
    assert {network.normalisation for network in experiment.networks.values()} == {"none"}
    made.set("bottom", "resnet20")
    made.set("normalisation", "imagenet")
    assert {(each.architecture, each.normalisation) for each in recipe.check(made)[0].networks.values()} == {
        ("resnet20", "imagenet")
    }


def test_what_is_gone_is_not_offered(folder):
    remember(own_pair())
    (folder / "net.py").unlink()
    (folder / "images").rmdir()
    made = drafted(*offered("a.pt", "b.pt"))
    assert made.architecture("bottom") == ""
    assert made.value("data") == "cifar10"


def test_images_of_a_programs_memory_are_not_offered(folder, tmp_path_factory):
    said = own_pair().model_copy(update={"data": DataSpec(name="memory:data")})
    offered = sources.of_runs([make_run(tmp_path_factory.mktemp("runs"), experiment=said)])
    assert [source.data for source in offered] == ["", ""]


def test_a_network_of_a_known_run_brings_everything_that_the_run_said_of_it(folder, tmp_path_factory, monkeypatch):
    said = own_pair()
    run = make_run(tmp_path_factory.mktemp("runs"), experiment=said)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    made = drafted(*sources.of_runs([run]))
    assert not made.may_look("bottom"), "code that a run names runs only once its network is picked"
    again, problems = recipe.check(made)
    assert problems == {}
    assert (again.networks, again.data) == (said.networks, said.data)
    assert shlex.split(recipe.command(made)).count("--architecture") == 1


def test_a_checkpoint_is_listed_once_with_what_a_run_says_of_it(folder, tmp_path_factory):
    (folder / "link.pt").symlink_to("a.pt")
    run = make_run(tmp_path_factory.mktemp("runs"), experiment=own_pair())
    files, of_runs = sources.merged(sources.files(), sources.of_runs([run]))
    assert [source.label for source in files] == ["a.pt", "b.pt", "c.pt"]
    assert of_runs == []
    assert f"a of {run.name}" in files[0].detail
    assert drafted(*files[:2]).architecture("top") == "net.py:Net"


def test_what_is_typed_for_both_networks_wins_over_what_a_run_said(folder):
    made = drafted(*(Source(name, name, "./", brings={"head": "old.pt", "part": "ema"}) for name in ("a.pt", "b.pt")))
    made.set("head", "train")
    networks = recipe.check(made)[0].networks.values()
    assert [(network.head, network.part) for network in networks] == [("train", "ema")] * 2
    assert made.question("top")["head"] == "train"


def test_a_neighbours_architecture_is_no_ones_who_says_his_own(folder):
    source = Source("x.safetensors", "x", "./", beside=Known({"architecture": "resnet20"}))
    assert drafted(source, source).architecture("bottom") == ""
