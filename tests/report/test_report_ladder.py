"""The capacity ladder: which columns it is made of, and that table, drawing and page show the grid's numbers."""

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console
from synthetic_run import CUTS, experiment, finished, finished_run_events, fold, started, whole_run

from stitchtui.report.figures import ladder_alt_text, ladder_svg
from stitchtui.report.html import run_text
from stitchtui.report.ladder import ladders
from stitchtui.report.terminal import ladder_table
from stitchtui.report.wording import signed
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.families import FAMILIES, ladder_families
from stitchtui.spec.plan import resolve


def climbed(first="a", second="b", until=None, **stitch):
    """A run of the ladder whose penalty falls by a point with each family; of `until` families if that is given."""
    spec = experiment(first, second, seeds=1, family="ladder", **stitch)
    return fold(ladder_events(spec, until))


def ladder_events(spec: Experiment, until=None):
    events = started(spec)
    for task in resolve(spec).tasks:
        rung = ladder_families().index(task.family)
        if task.control not in ("", "identity") or (until is not None and rung >= until):
            continue
        events.append({"type": "task_started", "task": task.id, "steps": 10, "cuts": list(CUTS)})
        rise = 0.0 if task.objective == "task" else 0.3
        for place, cut in enumerate(CUTS):
            events.append(finished(task, cut, 12.0 - rung + 0.1 * place + rise, stitch_parameters=float(10 * rung)))
        events.append({"type": "task_finished", "task": task.id, "seconds": 1.0})
    return events


def shown(state, width=160, ascii=False):
    console = Console(width=width, record=True, file=io.StringIO())
    for ladder in ladders(state):
        console.print(ladder_table(ladder, width, ascii))
    return console.export_text()


def families(ladder):
    return [heading.name for heading in ladder.columns]


def test_a_run_of_one_family_has_no_ladder():
    assert ladders(whole_run()) == []


def test_every_pair_has_one_with_all_families_from_least_to_most_capacity():
    found = ladders(climbed())
    assert [ladder.title for ladder in found] == ["a > b, task", "b > a, task"]
    for ladder in found:
        assert families(ladder) == list(ladder_families())
        assert ladder.rows == CUTS


def test_its_numbers_are_the_grids():
    state = climbed()
    columns = {column.family: column for column in state.columns() if (column.control, column.bottom) == ("", "a")}
    ladder = ladders(state)[0]
    for cut, row in zip(ladder.rows, ladder.entries, strict=True):
        wanted = [state.summary(columns[family], cut).penalty for family in families(ladder)]
        assert [entry.interval for entry in row] == wanted


def test_until_a_family_is_trained_its_direct_matching_is_not_taken_for_it():
    spec = experiment(seeds=1, family="ladder")
    matched = {task.id for task in resolve(spec).tasks if task.objective == "direct"}
    state = fold([*started(spec), *(event for event in ladder_events(spec) if event.get("task") in matched)])
    ladder = ladders(state)[0]
    kinds = {family: entry.kind for family, entry in zip(families(ladder), ladder.entries[0], strict=True)}
    assert (kinds["permutation"], kinds["affine"]) == ("measured", "pending")


def test_a_ladder_of_direct_matching_alone_is_one_ladder():
    first, _ = ladders(climbed(objective="direct"))
    assert first.title == "a > b, direct"
    assert "mlp" not in families(first)


def test_columns_that_differ_in_more_than_the_family_make_no_ladder():
    spec = experiment(seeds=1)
    one = spec.plain()["stitch"]
    pair = {"bottom": "a", "top": "b"}
    wider = Experiment.model_validate(
        {**spec.plain(), "also": [{"pairs": [pair], "stitch": {**one, "family": "conv3", "epochs": 9.0}}]}
    )
    assert ladders(fold(finished_run_events(wider))) == []
    same = Experiment.model_validate(
        {**spec.plain(), "also": [{"pairs": [pair], "stitch": {**one, "family": "conv3"}}]}
    )
    (ladder,) = ladders(fold(finished_run_events(same)))
    assert families(ladder) == ["identity", "affine", "conv3"]


def test_the_identity_is_a_rung_whether_it_stands_as_a_control_or_not():
    for controls in (["identity"], []):
        spec = experiment(seeds=1, family="ladder").model_copy(update={"controls": tuple(controls)})
        ladder = ladders(fold(ladder_events(spec)))[0]
        assert families(ladder) == list(ladder_families())
        assert ladder.entries[0][0].interval is not None


def test_before_anything_is_measured_there_is_none():
    assert ladders(fold(started(experiment(family="ladder")))) == []


def test_a_rung_says_how_many_parameters_it_has():
    ladder = ladders(climbed())[0]
    sizes = dict(zip(families(ladder), ladder.footer, strict=True))
    assert (sizes["identity"], sizes["affine"], sizes["mlp"]) == ("0", "60", "110")


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 160, 200])
def test_the_table_fits_and_names_what_it_leaves_out(width, ascii):
    text = shown(climbed(), width, ascii)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text  # no number is cut off
    assert "capacity ladder of a > b, task" in text
    called = {name: (name.split("_")[0][:4], FAMILIES[name].brief or name) for name in ladder_families()}
    unnamed = [name for name, words in called.items() if not any(word in text for word in words)]
    assert len(unnamed) == ("and 1 more)" in text)
    if width >= 120:
        assert "no room" not in text
    if width == 200:
        assert ("+-0.50" if ascii else "±0.50") in text


def test_at_eighty_columns_every_family_of_the_ladder_is_shown():
    text = shown(climbed(), 80)
    assert "no room" not in text
    for entry in ladders(climbed())[0].entries[0]:
        assert signed(entry.interval.value, 1) in text


def test_in_ascii_names_from_outside_and_our_signs_are_ascii():
    text = shown(climbed("ß[red]", "b"), 200, ascii=True)
    assert text.isascii() and "[red]" in text


def test_the_drawing_is_an_svg_with_every_family_and_the_same_each_time():
    ladder = ladders(climbed())[0]
    drawn = ladder_svg(ladder)
    assert drawn == ladder_svg(ladder)
    assert ET.fromstring(drawn).tag.endswith("svg")


def test_a_hostile_name_breaks_no_drawing():
    (ladder, _) = ladders(climbed("$x^{", "_猫"))
    assert ET.fromstring(ladder_svg(ladder)).tag.endswith("svg")


def test_who_can_not_see_the_drawing_reads_the_range_of_each_family():
    text = ladder_alt_text(ladders(climbed())[0])
    assert "a > b, task" in text and "mlp: +1.00 to +1.20 points" in text


def test_the_page_draws_each_ladder_and_has_its_table():
    page = run_text(climbed())
    assert page.count("Stitching penalty against the stitch&#x27;s capacity") == 2
    assert "The capacity ladder" in page and "from least to most capacity" in page
    assert "The capacity ladder" not in run_text(whole_run())
