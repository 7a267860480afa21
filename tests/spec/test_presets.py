import re

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.report.claim_judging import unplanned
from stitchtui.spec.curves import curve, named
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve
from stitchtui.spec.presets import find_preset, from_pair, list_presets, load_preset, pair_names, read_toml

SMALL = """
pairs = [{ bottom = "a", top = "b" }]
[data]
name = "digits"
[networks.a]
architecture = "digits_cnn"
[networks.b]
architecture = "digits_cnn"
seed = 1
[scales.tiny.stitch]
epochs = 0.5
[scales.tiny.networks.a.train]
epochs = 1
[scales.broken.stitch]
epohcs = 1
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return "small.toml"


def complaint(*arguments, **keywords):
    with pytest.raises(BadInput) as caught:
        load_preset(*arguments, **keywords)
    text = str(caught.value)
    assert "\n" not in text
    return text


# every preset that is shipped


@pytest.mark.parametrize(("name", "scale"), [(p.name, s) for p in list_presets() for s in (None, *p.scales)])
def test_every_preset_loads_at_every_scale_and_says_what_it_is_about(name, scale):
    experiment = load_preset(name, scale)
    assert experiment.name == name
    assert experiment.title
    assert len(experiment.description) > 200
    assert resolve(experiment).tasks


@pytest.mark.parametrize(("name", "scale"), [(p.name, s) for p in list_presets() for s in (None, *p.scales)])
def test_every_claim_of_a_preset_is_about_columns_that_it_measures_and_says_where_it_is_from(name, scale):
    preset = load_preset(name, scale)
    assert list(unplanned(preset)) == []
    for claim in preset.claims:
        assert re.match(r"E\d+|[A-Z]\w+.* (19|20)\d\d", claim.source), claim.source


OF_THE_PAPER = (
    *("seeds", "seeds-resnet164", "seeds-myrtle5", "seeds-vit", "halves", "random", "simclr", "labels", "more-data"),
    *("more-training", "more-width", "kernel-size", "cka", "fine-tuning", "freeze-training"),
)
BEYOND_IT = ("direct-against-task", "every-cut", "cluster-noise", "ladder", "resnet-into-vit")


def test_every_preset_is_the_papers_or_beyond_it():
    known = {*OF_THE_PAPER, *BEYOND_IT, "quickstart", "ssl-imagenet"}
    assert {preset.name for preset in list_presets()} == known


@pytest.mark.parametrize(("name", "scale"), [(p.name, s) for p in list_presets() for s in (None, *p.scales)])
def test_curves_that_a_preset_is_read_against_are_the_papers_and_each_has_its_column(name, scale):
    experiment = load_preset(name, scale)
    pairs = [pair for request in experiment.requests for pair in request.pairs or ()]
    controls = {"", *(control for request in experiment.requests for control in request.controls or ())}
    for reference in (experiment.reference, *(pair.reference for pair in pairs)):
        for one in map(curve, named(reference)):
            assert one.quantity in ("penalty", "cka")
            assert one.control in controls


@pytest.mark.parametrize("name", [*OF_THE_PAPER, *BEYOND_IT])
def test_presets_of_the_paper_make_claims_over_three_seeds_at_its_scale(name):
    paper = load_preset(name, "paper")
    assert paper.claims
    trained = any(spec.made_here for spec in paper.networks.values())
    assert paper.network_seeds >= 3 if trained else all(len(each.stitch.seeds) >= 3 for each in paper.requests)
    assert len(load_preset(name, "mini").claims) == len(paper.claims)


@pytest.mark.parametrize("name", ["quickstart", "seeds"])
def test_presets_of_two_seeds_measure_both_directions_with_all_three_controls(name):
    tasks = resolve(load_preset(name)).tasks
    assert {task.column for task in tasks if not task.control} == {"seed0 > seed1", "seed1 > seed0"}
    assert {task.control for task in tasks} == {"", "self_stitch", "identity", "random_bottom"}


def test_seeds_trains_its_networks_as_the_paper_says():
    train = load_preset("seeds").networks["seed1"].train
    assert (train.epochs, train.batch_size, train.learning_rate, train.weight_decay) == (164, 128, 0.05, 1e-4)
    assert (train.schedule, train.milestones, train.decay, train.nesterov) == ("step", (0.5, 0.75), 0.2, False)


# names, files and scales


def test_a_preset_is_found_by_name_and_a_file_by_path(small):
    assert find_preset("quickstart")[0].name == "quickstart.toml"
    assert load_preset(small).name == "small"
    assert load_preset("./small.toml").networks["b"].seed == 1


@pytest.mark.parametrize("key", ["networks.x.pth", 'networks."x.pth"'])
def test_a_network_after_a_file_whose_name_has_dots_can_be_set(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    overrides = [f"{key}.normalisation=none", f"{key}.head=linear.pt"]
    made = from_pair("x.pth.tar", "b.pt", overrides=["data.name=digits", *overrides])
    assert made.networks["x.pth"].normalisation == "none"
    assert made.networks["x.pth"].head == str(tmp_path / "linear.pt")
    with pytest.raises(BadInput, match=re.escape("""--set networks."x.pth".normalisation: 'non' is not known""")):
        from_pair("x.pth.tar", "b.pt", overrides=[f"{key}.normalisation=non"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["networks.zz.seed=1"], "--set networks.zz.seed: network 'zz' is not known; expected one of: a, b.v2"),
        (["networks.b.v3.seed=1"], "--set networks.b.v3.seed: network 'b.v3' is not known; nearest: 'b.v2'"),
        (['networks."b.v3".seed=1'], """--set networks."b.v3".seed: network 'b.v3' is not known; nearest: 'b.v2'"""),
        (["networks.b.seed=1"], "--set networks.b.seed: network 'b' is not known; expected one of: a, b.v2"),
        (["networks.b.v2.sed=1"], """--set networks."b.v2".sed: 'sed' is not known; nearest: 'seed'"""),
    ],
)
def test_a_network_that_there_is_not_suggests_the_nearest(tmp_path, monkeypatch, overrides, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL.replace("networks.b]", 'networks."b.v2"]').replace('"b" }', '"b.v2" }'))
    assert complaint("small.toml", overrides=overrides).startswith(expected)


def test_a_network_that_is_made_on_the_command_line_is_known_there(small):
    made = load_preset(small, overrides=["networks.c.d.seed=3", 'networks."c.d".architecture=digits_cnn'])
    assert (made.networks["c.d"].seed, made.networks["c.d"].architecture) == (3, "digits_cnn")


def test_paths_of_a_scale_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "presets").mkdir()
    text = SMALL + '[scales.kept.networks.a]\ncheckpoint = "kept/a.pt"\n'
    (tmp_path / "presets" / "small.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    made = load_preset("presets/small.toml", "kept")
    assert made.networks["a"].checkpoint == str(tmp_path / "presets" / "kept" / "a.pt")


def test_an_unknown_preset_suggests_the_nearest():
    assert complaint("quikstart").startswith("preset 'quikstart' is not known; nearest: 'quickstart'")


def test_a_missing_file_is_named():
    assert complaint("nowhere/x.toml") == "nowhere/x.toml: no such file; expected a preset's name or a TOML file"


def test_a_folder_is_no_preset(tmp_path):
    assert complaint(str(tmp_path)) == f"{tmp_path}: can't be read: Is a directory"


def test_a_scale_is_merged_deep_into_the_preset(small):
    tiny = load_preset(small, "tiny")
    assert (tiny.stitch.epochs, tiny.networks["a"].train.epochs) == (0.5, 1)
    assert tiny.networks["a"].architecture == "digits_cnn"
    assert tiny.networks["b"] == load_preset(small).networks["b"]


def test_an_unknown_scale_lists_those_there_are(small):
    assert complaint(small, "tin") == "--scale: 'tin' is not known; nearest: 'tiny' (small.toml has: tiny, broken)"
    assert complaint("quickstart", "mini") == "--scale mini: presets/quickstart.toml has no scales; leave the flag out"


def test_an_experiment_knows_the_scale_that_it_was_read_at_and_is_planned_the_same_whatever_it_is_called(small):
    assert load_preset(small).scale is None
    tiny = load_preset(small, "tiny")
    assert tiny.scale == "tiny"
    assert resolve(tiny.model_copy(update={"scale": None})).tasks == resolve(tiny).tasks


def test_a_scale_is_chosen_by_its_flag_alone(small, tmp_path):
    said = "only says which scale was chosen; choose one with --scale"
    assert complaint(small, overrides=["scale=tiny"]) == f"--set scale: {said}"
    (tmp_path / "own.toml").write_text(f'scale = "tiny"\n{SMALL}')
    assert complaint("own.toml") == f"own.toml: scale: {said}"


def test_what_a_run_wrote_down_is_read_again_with_its_scale(small, tmp_path):
    wanted = load_preset(small, "tiny")
    (tmp_path / "experiment.toml").write_text(tomli_w.dumps(wanted.plain()))
    assert load_preset("experiment.toml") == wanted


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("reference", "E1 resnet18 seds", "'E1 resnet18 seds' is not known; nearest: 'E1 resnet18 seeds'"),
        ("pairs.0.reference", "E2 halves", "'E2 halves' is not known; nearest: 'E2 resnet18 halves'"),
        ("also.0.pairs.1.reference", "E1 vit", "'E1 vit' is not known; nearest: 'E1 vit seeds'"),
        ("reference", "E13 whole", "'E13 whole' is a curve of error; expected one of penalties or of CKA"),
        ("reference", "['E1 resnet18 seeds','E1 vit']", "'E1 vit' is not known; nearest: 'E1 vit seeds'"),
        (
            "reference",
            "figure one",
            "'figure one' is not known; expected one of: E1 resnet18 seeds, E1 resnet164 seeds",
        ),
    ],
)
def test_a_curve_that_the_paper_lacks_is_named_with_its_key_and_the_nearest(small, key, value, expected):
    also = "also=[{pairs=[{bottom='a',top='b'},{bottom='b',top='a'}],stitch={}}]"
    assert complaint(small, overrides=[also, f"{key}={value}"]).startswith(f"--set {key}: {expected}")


def test_a_run_of_a_version_with_other_curves_can_still_be_read():
    named = {**load_preset("seeds").plain(), "reference": "E1 of another version"}
    assert Experiment.model_validate(named).reference == "E1 of another version"


def test_a_mistake_inside_a_scale_is_placed_there(small):
    expected = "small.toml: scales.broken.stitch.epohcs: 'epohcs' is not known; nearest: 'epochs'"
    assert complaint(small, "broken") == expected


def test_scales_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "x.toml").write_text("scales = 3")
    assert complaint(str(tmp_path / "x.toml")).endswith("scales: expected tables, such as [scales.mini]")


# files that are broken


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name = 'x'\nstitch = = 3", "line 2, column 10: not TOML: Invalid value"),
        (b"name = ", "end of document: not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "line 2, column 6: not TOML: Cannot overwrite a value"),
        (b"name = '\xff'", "expected UTF-8 text, but byte 9 is not"),
        (b"a = " + b"[" * 5000, "tables or lists are nested too deep"),
    ],
)
def test_broken_toml_gives_the_place(tmp_path, content, expected):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_toml(path, "x.toml")
    assert str(caught.value) == f"x.toml: {expected}"


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_preset(str(tmp_path / "x.toml")).name == "x"


# values that are wrong


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stitch.epohcs=3", "stitch.epohcs: 'epohcs' is not known; nearest: 'epochs'"),
        ("networks.a.train.epoch=3", "networks.a.train.epoch: 'epoch' is not known; nearest: 'epochs'"),
        ("pairs.0={bottom='a',tpo='b'}", "pairs.0.tpo: 'tpo' is not known; nearest: 'top' (and 1 more problem)"),
        ("stitch.epochs=abc", "stitch.epochs: expected a number, got 'abc'"),
        ("stitch.epochs='3'", "stitch.epochs: expected a number, got '3'"),
        ("stitch.epochs=true", "stitch.epochs: expected a number, got true"),
        ("stitch.epochs=0", "stitch.epochs: expected a number above 0, got 0"),
        ("stitch.epochs=inf", "stitch.epochs: expected a finite number, got inf"),
        ("stitch.batch_size=1.5", "stitch.batch_size: expected a whole number, got 1.5"),
        ("stitch.family=afine", "stitch.family: 'afine' is not known; nearest: 'affine'"),
        (
            "stitch.start=3",
            "stitch.start: expected one of: best, least_squares, affine, affine_scaled, random, identity, permutation, "
            "got 3",
        ),
        ("stitch.cuts=block", "stitch.cuts: 'block' is not known; nearest: 'blocks'"),
        ("stitch.cuts=['a',3]", "stitch.cuts.1: expected text, got 3"),
        ("stitch.seeds=[]", "stitch.seeds: expected 1 or more entries, got a list of 0"),
        ("stitch=3", "stitch: expected a table, got 3"),
        ("networks.a.seed=[1]", "networks.a.seed: expected a whole number, got a list of 1"),
        ("networks.a.normalisation={mean=[0.5]}", "networks.a.normalisation.std: expected a value, but there is none"),
        ("data.train_range=[5,3]", "data.train_range: expected [first, end) with 0 <= first < end, got [5, 3]"),
        ("data.train_range=[5,6,7]", "data.train_range: expected at most 2 entries, got a list of 3"),
        ("data.name=digit", "data.name: 'digit' is not known; nearest: 'digits'"),
        ("controls=['self_stich']", "controls.0: 'self_stich' is not known; nearest: 'self_stitch'"),
        ("pairs.0.bottom=x", "pairs.0.bottom: 'x' is not known; expected one of: a, b"),
        ("pairs.3.bottom=a", "pairs.3.bottom: expected an index below the list's length, 1, got '3'"),
        ("name='a>b'", "name: expected 1 to 60 printable characters without '>', '/' or '\\', got 'a>b'"),
        ("title=\udcff", "title: expected text that is valid UTF-8"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_was_expected(small, override, expected):
    assert complaint(small, overrides=[override]) == f"--set {expected}"


def test_a_mistake_in_the_file_names_the_file(small, tmp_path):
    (tmp_path / "wrong.toml").write_text(SMALL.replace("architecture", "architecure", 1))
    expected = "wrong.toml: networks.a.architecure: 'architecure' is not known; nearest: 'architecture'"
    assert complaint("wrong.toml") == expected


def test_a_contradiction_names_the_table_and_who_touched_it(small):
    overrides = ["stitch.objective=direct", "stitch.family=bn_affine_bn"]
    expected = "small.toml: stitch: objective 'direct' has no closed form for family 'bn_affine_bn'"
    assert complaint(small, overrides=overrides).startswith(expected)
    assert complaint(small, overrides=overrides).endswith("(with --set)")


def test_control_characters_in_a_file_never_reach_the_message(small, tmp_path):
    (tmp_path / "evil.toml").write_text('"\\u001b[31m" = 1\n' + SMALL)
    assert "\x1b" not in complaint("evil.toml")
    assert "'?[31m' is not known" in complaint("evil.toml")


def test_overrides_win_over_the_scale_and_the_last_one_wins(small):
    assert load_preset(small, "tiny", ["stitch.epochs=2"]).stitch.epochs == 2
    assert load_preset(small, None, ["stitch.epochs=2", "stitch.epochs=3"]).stitch.epochs == 3


# paths


def test_paths_are_relative_to_the_file_they_stand_in_and_on_the_command_line_to_where_one_is(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    text = SMALL.replace('architecture = "digits_cnn"', 'checkpoint = "a.pt"', 1).replace("digits", "npz:x.npz", 1)
    (there / "p.toml").write_text(text.replace('architecture = "digits_cnn"', 'architecture = "nets.py:Net"', 1))
    experiment = load_preset("../there/p.toml", overrides=["networks.b.checkpoint=b.pt"])
    # resolved: the way there goes through `..`
    assert (here / experiment.networks["a"].checkpoint).resolve() == there / "a.pt"
    assert experiment.networks["b"].architecture.endswith("there/nets.py:Net")
    assert experiment.data.name.endswith("there/x.npz")
    assert experiment.networks["b"].checkpoint == str(here / "b.pt")


# two networks


def test_a_pair_is_measured_in_the_direction_asked_or_in_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = from_pair("a.pt", "b.pt")
    assert [(pair.bottom, pair.top) for pair in one.pairs] == [("a", "b")]
    assert one.networks["a"].checkpoint == str(tmp_path / "a.pt")
    both = from_pair("a.pt", "b.pt", both=True)
    assert [(pair.bottom, pair.top) for pair in both.pairs] == [("a", "b"), ("b", "a")]


def test_one_architecture_holds_for_both_and_two_for_one_each():
    shared = from_pair("a.pt", "b.pt", architectures=["resnet20"], normalisation="none")
    assert {n.architecture for n in shared.networks.values()} == {"resnet20"}
    assert {n.normalisation for n in shared.networks.values()} == {"none"}
    own = from_pair("a.pt", "b.pt", architectures=["resnet20", "resnet56"]).networks
    assert (own["a"].architecture, own["b"].architecture) == ("resnet20", "resnet56")
    assert from_pair("a.pt", "b.pt", architectures=["resnet20, resnet56"]).networks == own


def test_images_named_without_their_kind_are_told_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgs").mkdir()
    (tmp_path / "some.npz").touch()
    for name, said in (("imgs", "say folder:imgs"), ("some.npz", "say npz:some.npz"), ("digit", "nearest: 'digits'")):
        with pytest.raises(BadInput, match=said):
            from_pair("a.pt", "b.pt", overrides=[f"data.name={name}"])


def test_torchvision_networks_come_with_weights():
    networks = from_pair("torchvision:resnet18", "torchvision:resnet50@IMAGENET1K_V1").networks
    assert networks["resnet18"].weights == "DEFAULT"
    assert networks["resnet50-IMAGENET1K_V1"].weights == "IMAGENET1K_V1"
    assert networks["resnet50-IMAGENET1K_V1"].architecture == "torchvision:resnet50"


@pytest.mark.parametrize(
    ("bottom", "top", "names"),
    [
        ("a.pt", "b.pt", ("a", "b")),
        ("x/a.pt", "y/a.pt", ("x-a", "y-a")),
        ("a.pt", "a.pth", ("a", "a-2")),
        ("a.pt", "./a.pt", ("a", "a")),
        ("a>b.pt", "c\x1b.pt", ("a_b", "c?")),
        ("x" * 80 + ".pt", "x" * 80 + ".pth", ("x" * 60, "x" * 58 + "-2")),
    ],
)
def test_networks_are_called_after_their_files_with_names_that_differ(bottom, top, names):
    assert pair_names(bottom, top) == names


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_two_file_names_make_an_experiment_or_one_line_of_complaint(bottom, top):
    try:
        experiment = from_pair(f"{bottom}.pt", f"{top}.pt")
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert len(experiment.networks) == 2 or experiment.pairs[0].bottom == experiment.pairs[0].top


def test_a_file_stitched_to_itself_is_one_network():
    experiment = from_pair("a.pt", "a.pt", both=True)
    assert (len(experiment.networks), len(experiment.pairs)) == (1, 1)


def test_an_architecture_for_a_torchvision_network_is_refused():
    with pytest.raises(BadInput, match="names its own"):
        from_pair("torchvision:resnet18", "a.pt", architectures=["resnet20"])
