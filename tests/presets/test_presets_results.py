"""Finished runs on a page of presets: whose block is filled, with what, and what is left alone."""

import json
from pathlib import Path

import pytest
from results import Page, block_lines, departures, filled, key_of, main
from synthetic_run import experiment, finished_run_events, fold, started, timed

from stitchtui.report.summary import summary_lines
from stitchtui.spec.identity import NUMERICS
from stitchtui.spec.presets import load_preset

CLAIM = {"kind": "at_most", "columns": ["a > b"], "value": 0.7, "source": "E1 <b>"}
PAGE = """# Presets

<!-- results -->
<!-- end -->

## seeds

My note on seeds.

<!-- results: seeds, scale mini -->
<!-- end -->

## tiny

Why a claim may fail.

<!-- results: tiny, scale mini -->
<!-- end -->
"""


def tiny(scale="mini", name="tiny", run="20260102-030405-tiny", **more):
    """Two networks and three cuts of made-up numbers, as a run of a preset at a scale."""
    spec = type(experiment()).model_validate({**experiment().plain(), "name": name, "scale": scale, **more})
    return [{**event, "run": run} if event["type"] == "run_started" else event for event in finished_run_events(spec)]


def with_claim():
    """The same with a claim that is rejected in so many words, by numbers far over its limit."""
    events = tiny(claims=[CLAIM])
    number = {"of": "a > b", "cut": "layer2.0", "depth": 0.9, "value": 9.0, "low": 8.0, "high": 10.0}
    said = {"index": 0, "sentence": "penalty of a > b is at most 0.7 points", "verdict": "rejected"}
    said |= {"reason": "not at 1 of 3 cuts: layer2.0 +9.00 [+8.00, +10.00] <script>", "source": "E1 <b>"}
    return [*events[:-1], {"type": "claim", **said, "numbers": [number]}, events[-1]]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A page and, in runs/, a finished run of its preset `tiny`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STITCHTUI_RUNS", "runs")
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "tiny.toml").write_text("")
    put("tiny", with_claim())
    return tmp_path


def put(name, events):
    path = Path("runs", name)
    path.mkdir(parents=True)
    (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in timed(events)), "utf-8")


@pytest.fixture
def fill(workplace, capsys):
    """Fill the page with these runs; what it holds then, and what is said on stderr."""

    def call(*runs):
        main([*runs, "--into", "page.md"])
        return (workplace / "page.md").read_text("utf-8"), capsys.readouterr().err

    return call


@pytest.fixture
def complaint(workplace, capsys):
    """Of what can't be done: the line that is said."""

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return call


# the script


def test_a_runs_block_and_its_row_are_filled_and_nothing_else(fill):
    text, said = fill("tiny")
    outside = text
    for key in ("", "tiny, scale mini"):
        lines = "\n".join(Page(text, "page.md").content(key))
        assert lines
        outside = outside.replace(f"{lines}\n", "", 1)
    assert outside == PAGE
    assert "| [tiny](tiny.toml) | mini | a 3.2 %, b 4.2 % |" in text
    assert "| seeds | mini | not run yet |" in text
    assert "without a run, left as they were: seeds, scale mini" in said


def test_filling_twice_gives_the_same_page(fill):
    once, _ = fill("tiny")
    assert fill("tiny")[0] == once


def test_rows_and_blocks_of_other_runs_stay_when_one_is_filled_again(fill):
    put("seeds", tiny(name="seeds"))
    both, _ = fill("tiny", "seeds")
    assert "not run yet" not in both
    assert fill("seeds")[0] == both
    assert both == fill("seeds", "tiny")[0]


def test_rows_stand_in_the_order_of_the_pages_blocks(fill):
    put("seeds", tiny(name="seeds"))
    text, _ = fill("tiny", "seeds")
    assert text.index("| seeds | mini |") < text.index("| [tiny](tiny.toml) | mini |")


def test_a_run_that_has_no_block_is_told_which_lines_are_missing(complaint, workplace):
    put("other", tiny(scale="paper"))
    missing = "<!-- results: tiny, scale paper --> and <!-- end -->"
    assert complaint("other", "--into", "page.md").endswith(f"expected two lines, {missing}")
    assert (workplace / "page.md").read_text() == PAGE


def test_a_run_that_is_not_done_fills_nothing(complaint):
    put("begun", started(experiment()))
    said = complaint("begun", "--into", "page.md")
    assert said == "results: run begun: is lost; only a run that is done fills a block"


def test_two_runs_of_one_block_are_refused(complaint):
    put("again", tiny(run="again"))
    assert "both are of 'tiny, scale mini'" in complaint("tiny", "again", "--into", "page.md")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("tiny", "--into", "nowhere.md"), "--into nowhere.md: can't be read (No such file or directory)"),
        (("tiny", "--into", "latin.md"), "--into latin.md: is not UTF-8 text; expected a Markdown page"),
        (("tiny", "--into", "broken.md"), "broken.md: line 1: <!-- end --> ends no block"),
        (("nothing", "--into", "page.md"), "run 'nothing': no such run"),
    ],
)
def test_what_cannot_be_filled_is_one_line(complaint, workplace, arguments, expected):
    (workplace / "latin.md").write_bytes(b"\xff")
    (workplace / "broken.md").write_text("<!-- end -->\n")
    assert complaint(*arguments).startswith(f"results: {expected}")


# what a block says


def test_a_block_has_every_claim_with_its_outcome_and_the_numbers_that_decide_it():
    text = "\n".join(block_lines(fold(with_claim())))
    assert (
        "1. **rejected by rules 1** (E1 \\<b>): penalty of a > b is at most 0.7 points.<br>not at 1 of 3 cuts:" in text
    )
    assert "+9.00 \\[+8.00, +10.00\\]" in text
    assert "<script>" not in text.replace("\\<script>", "")


def test_a_block_has_penalties_with_direct_matching_beside_them_then_the_controls():
    lines = block_lines(fold(tiny()))
    head = next(line for line in lines if line.startswith("| cut |"))
    assert head == "| cut | depth | a > b | direct | b > a | direct |"
    row = next(line for line in lines if line.startswith("| layer2.0 |"))
    assert row.startswith("| layer2.0 | 0.83 | +0.62 ±")
    assert row.split(" | ")[3] == "+1.30"
    assert any("random(a) > b" in line for line in lines)
    assert any(line.startswith("| verdict |  | connected |") for line in lines)


def test_a_cut_without_a_number_in_a_table_is_no_row_of_it():
    def is_of_a_control(said: dict) -> bool:
        return said["type"] == "cell_finished" and "random" in said["task"] and said["cut"] == "layer2.0"

    whole = tiny(controls=["random_bottom"])
    counts = [
        sum(line.startswith("| layer2.0 |") for line in block_lines(fold(events)))
        for events in (whole, [e for e in whole if not is_of_a_control(e)])
    ]
    assert counts == [2, 1]


def test_a_grid_of_every_cut_with_every_cut_stands_beside_that_of_direct_matching():
    text = "\n".join(block_lines(fold(tiny(stitch={"pairing": "all"}, controls=[]))))
    assert "a > b, every cut with every cut: affine, task" in text
    assert text.count("| bottom cut |") == 4


def test_the_papers_curve_stands_below_with_how_exactly_it_was_read():
    text = "\n".join(block_lines(fold(tiny(reference="E1 resnet18 seeds"))))
    assert "| the paper, by share of conv layers | 0.05 | 0.16 |" in text
    assert "| a > b, b > a: figure 6B, two seeds of ResNet-18 on CIFAR-10, read to ±0.2 | +0.04 | +0.84 |" in text


def test_names_from_outside_stay_text():
    spec = experiment(first="<img src=x*|")
    text = "\n".join(block_lines(fold(finished_run_events(spec))))
    assert "\\<img src=x\\*\\|" in text
    assert "<img" not in text.replace("\\<img", "")


def test_a_block_names_no_place_of_the_machine(tmp_path):
    folder = f"folder:{tmp_path}"
    events = [
        {**event, "name": folder} if event["type"] == "data_ready" else event
        for event in tiny(name="quickstart", scale=None, data={"name": folder})
    ]
    text = "\n".join(block_lines(fold(events)))
    assert "data.name" in text
    assert str(tmp_path) not in text


def test_what_was_found_ready_is_said_beside_the_time():
    events = [{**event, "source": "cached"} if event["type"] == "network_ready" else event for event in tiny()]
    assert "found ready: 2 networks" in "\n".join(block_lines(fold(events)))


def test_the_time_of_a_processor_stands_beside_the_time():
    events = tiny()
    assert "of a processor" not in "\n".join(block_lines(fold(events)))
    state = fold([*events[:-1], {**events[-1], "processor": 75.0}])
    assert "; cpu (2 threads)" in block_lines(state)[0]
    assert " s (1 min 15 s of a processor); " in block_lines(state)[0]
    assert any(line.endswith(" s (1 min 15 s of a processor)") for line in summary_lines(state))
    assert " s (1 min 15 s) | " in filled(Page(PAGE, "page.md"), [state], Path())


def test_a_run_is_of_its_preset_at_its_scale():
    assert key_of(fold(tiny())) == "tiny, scale mini"
    assert key_of(fold(tiny(scale=None))) == "tiny"


def test_a_preset_that_is_not_beside_the_page_is_named_without_a_link(tmp_path):
    text = filled(Page(PAGE, "page.md"), [fold(tiny())], tmp_path)
    assert "| tiny | mini |" in text


# whether the run is what the preset says


def test_a_run_of_a_preset_as_it_is_departs_in_nothing():
    for name, scale in (("quickstart", None), ("seeds", "mini"), ("every-cut", "paper")):
        assert departures(fold(started(load_preset(name, scale)))) == []


def test_what_was_set_otherwise_is_named_with_both_numbers_but_no_text():
    changed = load_preset("seeds", "paper", ["stitch.epochs=1", "data.name=folder:images"])
    assert departures(fold(started(changed))) == ["data.name", "stitch.epochs 1.0 in place of 4.0"]


def test_which_curves_of_the_paper_stand_beside_it_is_no_difference():
    for name in ("seeds", "simclr"):
        changed = load_preset(name, "mini", ["reference=E1 vit seeds", "pairs.0.reference=E1 vit seeds"])
        assert departures(fold(started(changed))) == []
    others = load_preset("simclr", "mini", ["pairs.0.top=seed1", "claims=[]"])
    assert departures(fold(started(others)))[0] == "pairs"


def test_a_run_that_no_preset_is_called_after_departs_from_none():
    assert departures(fold(tiny())) == []


def test_a_run_of_a_scale_that_the_preset_lacks_says_so():
    assert departures(fold(tiny(name="seeds", scale="huge"))) == ["a scale that the preset doesn't have"]


@pytest.mark.parametrize("computed, says", [(None, "numerics before {}"), ("2", "numerics 2 in place of {}")])
def test_a_run_that_was_computed_otherwise_says_so(computed, says):
    state = fold(started(load_preset("seeds", "mini")))
    state.versions = {} if computed is None else {"numerics": computed}
    assert departures(state) == [says.format(NUMERICS)]
