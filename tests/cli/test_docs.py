"""The reference is whole: every name that there is, no link that leads nowhere, and nothing from a network."""

import re
import sys
from html.parser import HTMLParser

import pytest

import stitchtui
from stitchtui import cli
from stitchtui.report.exporters import EXPORTERS
from stitchtui.run.events import KINDS
from stitchtui.spec.claims import GRAMMAR
from stitchtui.spec.controls import control_names
from stitchtui.spec.datasets import DATASETS
from stitchtui.spec.experiment import Experiment, NetworkSpec, StitchSpec
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import MEASURES
from stitchtui.spec.objectives import OBJECTIVES


class Reader(HTMLParser):
    """The links, anchors, headings of rows and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.links, self.anchors, self.rows, self.text, self.elements = [], set(), [], "", set()
        self.feed(page)

    def handle_starttag(self, name, attributes):
        said = dict(attributes)
        self.elements.add(name)
        self.anchors.add(said.get("id"))
        self.links += [value for key, value in attributes if key in ("href", "src")]
        if (name, said.get("scope")) == ("th", "row"):
            self.rows.append("")
            self.in_row = True

    def handle_endtag(self, name):
        if name == "th":
            self.in_row = False

    def handle_data(self, data):
        self.text += data
        if getattr(self, "in_row", False) and self.rows:
            self.rows[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "made" / "here"
    assert cli.invoke(["docs", "--out", str(folder)]) == 0
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def pages(site):
    return {name: Reader(page) for name, page in site.items()}


def test_every_link_leads_to_a_page_or_an_anchor_that_is_there(pages):
    for name, page in pages.items():
        for link in page.links:
            file, _, anchor = link.partition("#")
            assert (file or name) in pages, link
            assert not anchor or anchor in pages[file or name].anchors, link
    assert {link.partition("#")[0] for link in pages["index.html"].links} >= pages.keys()


def test_nothing_is_fetched_and_nothing_runs(site, pages):
    for name, page in site.items():
        assert "default-src 'none'" in page
        assert not re.search(r"url\((?!\"?data:)|@import", page)
        assert not pages[name].elements & {"script", "iframe", "link", "object", "form"}
        assert "prefers-color-scheme: dark" in page or "prefers-color-scheme:dark" in page


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("experiment.html", [*Experiment.model_fields, *NetworkSpec.model_fields, *StitchSpec.model_fields]),
        ("choices.html", [*FAMILIES, *OBJECTIVES, *control_names(), *MEASURES, *DATASETS, *GRAMMAR, *EXPORTERS]),
        ("events.html", [field for kind in KINDS.values() for field in kind.__struct_fields__ if field != "t"]),
    ],
)
def test_every_name_has_its_row(pages, page, names):
    assert set(names) - {"views"} <= set(pages[page].rows)


def test_every_event_and_command_has_its_heading_and_every_public_name_its_place(pages):
    assert pages["events.html"].anchors >= KINDS.keys()
    assert pages["commands.html"].anchors >= {f"stitchtui-{name}" for name in cli.COMMANDS}
    assert pages["api.html"].anchors >= set(stitchtui.__all__)


def test_without_pdoc_the_way_to_get_it_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    assert cli.invoke(["docs", "--out", str(tmp_path)]) == 2
    assert "pip install 'stitchtui[docs]'" in capsys.readouterr().err
