"""Runs of one name are told apart by what is special about each."""

from stitchtui.report.settings_diff import telling_apart


def run(name="x", **stitch):
    return {
        "name": name,
        "title": "anything",
        "stitch": {"family": "affine", **stitch},
        "networks": {"a": {"width": 1.0}},
    }


def test_what_most_runs_of_a_name_have_is_not_said_and_other_names_do_not_count():
    runs = [run(epochs=4.0), run(epochs=4.0, family="conv3"), run(epochs=4.0, steps=500), run("other", epochs=9.0)]
    assert telling_apart(runs) == [[], ["family conv3"], ["steps 500"], []]


def test_where_there_is_no_most_each_says_its_own():
    assert telling_apart([run(epochs=4.0), run(epochs=8.5)]) == [["epochs 4"], ["epochs 8.5"]]


def test_values_are_brief_and_keys_are_told_apart():
    wide = {**run(seeds=[0, 1], cuts=[]), "data": {"name": "folder:/long/way/images"}, "also": [{"epochs": 3}]}
    wide["networks"] = {"a": {"width": 2.0}, "b": {"width": 9.0}}
    narrow = {**run(seeds=[0], cuts="blocks"), "data": {"name": "digits"}, "also": []}
    assert telling_apart([wide, narrow])[0] == ["seeds 0+1", "cuts none", "a.width 2", "data.name images", "also 1"]


def test_experiments_that_make_no_sense_are_told_apart_as_far_as_they_go():
    odd = [{"name": ["x"], "stitch": 3, "networks": []}, {"name": ["x"], "stitch": {"epochs": None}}]
    assert [type(each) for each in telling_apart([{}, *odd])] == [list, list, list]
