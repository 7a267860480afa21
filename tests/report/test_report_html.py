"""The page of a run holds every number, needs nothing but itself, and no name can be anything but text in it."""

import builtins
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import CUTS, direct_only_run, experiment, finished_run_events, fold, whole_run

from stitchtui.base.errors import BadInput
from stitchtui.report import figures
from stitchtui.report.html import environment, run_text
from stitchtui.report.origin import Origin
from stitchtui.report.table import Entry, Heading, Table
from stitchtui.report.wording import bounds, column_name, printable
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.stats.penalty import Interval

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m $x_{ $ </style> --> ]]>"
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "section", "div", "table"),
    *("thead", "tbody", "tr", "th", "td", "span", "strong", "code", "pre", "ul", "li", "img", "small"),
    *("details", "summary"),
}
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Reads a page as a browser would: its elements, attributes and text, and whether all that opens is closed."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def hostile_run():
    spec = Experiment.model_validate(
        {
            **experiment().plain(),
            "title": HOSTILE,
            "description": HOSTILE,
            "claims": [{"kind": "at_most", "columns": ["a > b"], "value": 0, "source": HOSTILE}],
        }
    )
    events = finished_run_events(spec, [f"{cut}{HOSTILE}" for cut in CUTS])
    for event in events:
        if event["type"] == "network_ready":
            event |= {"architecture": HOSTILE, "digest": HOSTILE, "source": HOSTILE}
        if event["type"] == "data_ready":
            event |= {"name": HOSTILE, "classes": [HOSTILE, "b"]}
    return fold([*events, {"type": "warning", "text": HOSTILE}])


@pytest.fixture(scope="module")
def page():
    return run_text(whole_run(), Origin("done", {"host": "box"}, "stitchtui run tiny"))


def test_every_number_of_the_grid_stands_on_the_page_with_its_interval(page):
    state = whole_run()
    for column in state.columns():
        assert column_name(column) in Reader(page).text
        for cut in CUTS:
            value, ends = bounds(state.summary(column, cut).penalty).split(" ", 1)
            assert re.search(rf">{re.escape(value)} (≤|\?|&gt;) <small>{re.escape(ends)}</small>", page)


def test_it_says_what_was_run_and_with_what(page):
    read = Reader(page).text
    for word in (
        "stitchtui run tiny",
        "cpu (2 threads)",
        "stitchtui 0.1.0",
        "box",
        "test error",
        "0abc" * 16,
        "f" * 64,
        "pages = {225--236}",
        "note = {Version 0.1.0}",
    ):
        assert word in read
    assert "360 test images" in read
    assert "self-stitch: a network stitched to itself" in re.sub(r"\s+:", ":", read)


def test_it_is_whole_and_needs_neither_network_nor_script(page):
    read = Reader(page)
    assert read.open == []
    assert {name for name, _ in read.elements} <= ALLOWED
    for name, attributes in read.elements:
        assert not [key for key in attributes if key.startswith("on") or key == "href"]
        if name == "img":
            assert attributes["src"].startswith("data:image/svg+xml;base64,")
    policy = next(a["content"] for n, a in read.elements if n == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "url(" not in page


def test_every_picture_says_in_words_what_it_shows(page):
    [alt] = [attributes["alt"] for name, attributes in Reader(page).elements if name == "img"]
    assert alt.startswith("Stitching penalty against depth. a > b: ")
    assert "random(a) > b" in alt


def test_hostile_names_are_text_wherever_they_stand():
    page = run_text(hostile_run(), Origin(HOSTILE, {"host": HOSTILE}, HOSTILE))
    read = Reader(page)
    assert read.open == []
    assert {name for name, _ in read.elements} <= ALLOWED
    assert "\x1b" not in page
    assert read.text.count("<script>alert(1)</script>") > 10  # as text
    assert page.count("<style>") == page.count("</style>") == 1


def test_a_run_without_any_number_still_has_a_page():
    for state in (RunState(), direct_only_run()):
        assert Reader(run_text(state)).open == []
    assert "No cell is planned yet" in run_text(RunState())


def test_claims_stand_above_the_grid_with_verdict_and_reason():
    spec = Experiment.model_validate(
        {**experiment().plain(), "claims": [{"kind": "at_most", "columns": ["a > b"], "value": 9, "source": "E1"}]}
    )
    read = Reader(run_text(whole_run(spec))).text
    assert read.index("✓ confirmed") < read.index("layer2.0")
    assert "penalty of a > b is at most 9 points at every cut" in read
    assert "The run hasn't ended" not in read


def test_every_cut_with_every_cut_is_a_table_with_its_diagonal_boxed():
    spec = experiment(pairing="all", seeds=1)
    events = finished_run_events(spec)
    for event in events:
        if event["type"] == "cell_finished":
            event |= {"bottom_cut": "stem", "top_cut": event["cut"]}
    page = run_text(fold(events))
    assert "every cut with every cut" in page
    assert 'class="diagonal" style="background' in page
    assert "No cell is planned yet" not in page


@pytest.mark.parametrize(("look", "count"), [("full", 23), ("brief", 35)])
def test_a_heat_map_fits_1100_pixels_in_parts_with_every_column_once(page, look, count):
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    cell = float(re.search(rf"\.{'heat' if look == 'full' else 'brief'} {{[^}}]*--cell: ([\d.]+)rem", style)[1])
    headings = tuple(Heading(f"column {index}") for index in range(count))
    entry = Entry(interval=Interval(88.88, 88.88, 88.88))
    of = Table(("cut",), headings, ((entry,) * count,), look=look)
    found = environment().from_string('{% from "parts.html" import numbers %}{{ numbers(of) }}').render(of=of)
    assert all(16 * (8 + int(columns) * cell) <= 1100 - 32 for columns in re.findall(r"--columns: (\d+)", found))
    assert re.findall(r"column \d+", found) == [heading.name for heading in headings]
    assert found.count("+88.88") == 3 * count  # each with the ends of its interval


def test_colours_and_signs_are_explained_beside_what_has_them(page):
    assert page.index("background: #") < page.index("Colour: the penalty in points") < page.index("≤ at most 3 points")
    assert "~ direct matching only" not in page
    assert "~ direct matching only" in run_text(direct_only_run())


def test_without_matplotlib_the_way_to_get_it_is_one_line(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for draw in (run_text, lambda state: figures.depth_figure(state, "png")):
        with pytest.raises(BadInput, match=re.escape("pip install 'stitchtui[report]'")):
            draw(whole_run())


anything = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=50)
@given(anything, anything)
def test_whatever_goes_into_an_element_comes_out_as_its_text(inside, attribute):
    element = environment().from_string('<p title="{{ attribute }}">{{ inside }}</p>')
    read = Reader(element.render(inside=inside, attribute=attribute))
    assert read.elements == [("p", {"title": printable(attribute)})]
    assert "".join(read.texts) == printable(inside)
    assert read.open == []
