"""An experiment written down is read back as it was."""

import tomllib

import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stitchtui.spec.experiment import Experiment
from stitchtui.spec.presets import load_preset

LETTERS = st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters=">/\\")
# Hypothesis tries words of the package, too, and the controls' names are no network's.
NAMES = st.text(LETTERS, min_size=1, max_size=9).filter(lambda name: not name.startswith(("random(", "noise(")))
POSITIVE = st.floats(1e-9, 1e9)
PARTS = st.sampled_from(["", ".", "..", "~", "a"]) | NAMES
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
ARCHITECTURES = NAMES.filter(lambda name: ".py:" not in name) | st.builds("{}.py:{}".format, PATHS, NAMES)
OPTIONS = st.dictionaries(NAMES, st.booleans() | st.integers(-(2**40), 2**40) | POSITIVE | NAMES, max_size=3)
NETWORKS = st.fixed_dictionaries(
    {"architecture": ARCHITECTURES, "width": POSITIVE, "options": OPTIONS, "seed": st.integers(0, 2**40)},
    optional={
        "checkpoint": PATHS,
        "head": PATHS | st.just("train"),
        "normalisation": st.sampled_from(["none", {"mean": [0.5, 0.25], "std": [1.0, 2.0]}]),
        "subset": st.just({"train_range": [0, 10], "train_size": 4}),
    },
)
STITCHES = st.fixed_dictionaries(
    {"seeds": st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True), "epochs": POSITIVE},
    optional={"cuts": st.lists(NAMES, max_size=3) | st.just("all"), "steps": st.integers(1, 9)},
)


@st.composite
def experiments(draw):
    networks = draw(st.dictionaries(NAMES, NETWORKS, min_size=1, max_size=3))
    ends = st.sampled_from(sorted(networks))
    pairs = draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=4, unique=True))
    return Experiment.model_validate(
        {
            "name": draw(NAMES),
            "description": draw(st.text(st.characters(blacklist_categories=["Cs"]))),
            "networks": networks,
            "pairs": [{"bottom": bottom, "top": top} for bottom, top in pairs],
            "stitch": draw(STITCHES),
            "controls": draw(st.lists(st.sampled_from(["self_stitch", "random_bottom"]), unique=True)),
        }
    )


ODD = Experiment.model_validate(
    {
        "name": "odd",
        "networks": {"a": {"checkpoint": "/.", "architecture": "/a/./b.py:C"}, "b": {"checkpoint": "//x/../~"}},
        "pairs": [{"bottom": "a", "top": "b"}],
    }
)


@settings(max_examples=50)
@given(experiments())
@example(ODD)
def test_an_experiment_written_as_toml_is_read_back_the_same(tmp_path_factory, experiment):
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(tomli_w.dumps(experiment.plain()), "utf-8", newline="")
    assert tomllib.loads(path.read_text("utf-8")) == experiment.plain()
    assert load_preset(str(path)) == experiment
