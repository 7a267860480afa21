import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.settings import Setting, absolute, dotted, laid, leaves, read_key, read_override

PATHS = st.lists(st.sampled_from(["", ".", "..", "~", "~root", "a", "b c", "x.pt"]) | st.text(max_size=4), max_size=5)
PARTS = st.text(min_size=1, max_size=8)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map(tuple)
TREES = st.recursive(st.integers(), lambda node: st.dictionaries(PARTS, node, min_size=1, max_size=3), max_leaves=8)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("stitch.epochs=8", ("stitch", "epochs"), 8),
        ("stitch.epochs = 8.5", ("stitch", "epochs"), 8.5),
        ("stitch.family=affine", ("stitch", "family"), "affine"),
        ("stitch.cuts=['a', 'b']", ("stitch", "cuts"), ["a", "b"]),
        ("pairs.0.bottom=x", ("pairs", "0", "bottom"), "x"),
        ("networks.a={seed=3}", ("networks", "a"), {"seed": 3}),
        ('networks."resnet18.v2".width=2', ("networks", "resnet18.v2", "width"), 2),
        ("networks.my net.width=2", ("networks", "my net", "width"), 2),
        ("title=", ("title",), ""),
        ("title=a=b", ("title",), "a=b"),
        ("title=1\nname=2", ("title",), "1\nname=2"),
        ("stitch.cuts=[1, 2", ("stitch", "cuts"), "[1, 2"),
    ],
)
def test_an_override_is_a_key_and_a_toml_value_or_else_text(text, path, value):
    setting = read_override(text)
    assert (setting.path, setting.value) == (path, value)


@pytest.mark.parametrize("text", ["stitch.epochs", "=3", "", " =3"])
def test_an_override_without_key_or_value_is_refused(text):
    with pytest.raises(BadInput, match=r"--set.*: expected KEY=VALUE"):
        read_override(text)


@given(TREES, KEYS, st.integers())
def test_what_is_laid_at_a_key_is_found_there_and_nothing_beside_it_changes(tree, path, value):
    after = dict(leaves(laid(tree, path, value)))
    assert after[path] == value
    untouched = {
        key: leaf for key, leaf in leaves(tree) if key and key[: len(path)] != path and path[: len(key)] != key
    }
    assert untouched.items() <= after.items()


def test_lists_are_entered_by_index():
    document = {"pairs": [{"bottom": "a"}, {"bottom": "b"}]}
    assert laid(document, ("pairs", "1", "bottom"), "c") == {"pairs": [{"bottom": "a"}, {"bottom": "c"}]}
    assert document == {"pairs": [{"bottom": "a"}, {"bottom": "b"}]}


@pytest.mark.parametrize("index", ["2", "-1", "x", "²"])
def test_an_index_that_a_list_does_not_have_is_refused(index):
    with pytest.raises(IndexError, match="expected an index below the list's length, 2"):
        laid({"pairs": [1, 2]}, ("pairs", index), 3)


def test_a_key_is_quoted_where_toml_needs_it_and_never_carries_control_characters():
    assert dotted(("networks", "a.b", "width")) == 'networks."a.b".width'
    assert dotted(("a\x1b[31m",)) == '"a\\u001b[31m"'


@given(KEYS)
def test_a_key_that_is_written_is_read_back_and_is_safe_to_print(path):
    text = dotted(path)
    assert plain(text) == text
    assert read_key(text) == path
    assert read_override(f"{text}=3") == Setting(path, 3, "--set", " ")


KNOWN = ["a", "x", "x.pth", "a b", "c=d", "it's", "networks", "seed", '"q"', "a.labels"]
FIELDS = ["seed", "labels", "train", "normalisation"]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("networks.x.pth.normalisation=none", ("x.pth", "normalisation"), "none"),
        ("networks.x.seed=1", ("x", "seed"), 1),
        ("networks . x.pth . train . epochs = 1", ("x.pth", "train", "epochs"), 1),
        ("networks.x.pth={seed=1}", ("x.pth",), {"seed": 1}),
        ("networks.x.pth = {seed=1}", ("x.pth",), {"seed": 1}),
        ("networks.x.pth.sed=1", ("x.pth", "sed"), 1),
        ('networks."x.pth".seed=1', ("x.pth", "seed"), 1),
        ("networks.'x.pth'.seed=1", ("x.pth", "seed"), 1),
        ('networks.x."pth".seed=1', ("x", "pth", "seed"), 1),
        ("networks.a b.seed=1", ("a b", "seed"), 1),
        ("networks.c=d.seed=1", ("c=d", "seed"), 1),
        ("networks.c=d.normalisation=a=b", ("c=d", "normalisation"), "a=b"),
        ('networks."c=d".seed=1', ("c=d", "seed"), 1),
        ("networks.it's.seed=1", ("it's", "seed"), 1),
        ("networks.networks.seed=1", ("networks", "seed"), 1),
        ("networks.seed.seed=1", ("seed", "seed"), 1),
        ('networks."\\"q\\"".seed=1', ('"q"', "seed"), 1),
        ("networks.new.seed=1", ("new", "seed"), 1),
        ('networks."a".labels.seed=1', ("a", "labels", "seed"), 1),
        ('networks."a.labels".seed=1', ("a.labels", "seed"), 1),
    ],
)
def test_a_known_networks_name_needs_no_quotes_and_the_longest_that_fits_is_meant(text, path, value):
    setting = read_override(text, KNOWN, FIELDS)
    assert (setting.path, setting.value) == (("networks", *path), value)


def test_an_override_that_may_be_about_two_networks_is_refused():
    expected = 'may be about two networks; write networks."a" or networks."a.labels"'
    with pytest.raises(BadInput, match=re.escape(expected)):
        read_override("networks.a.labels.seed=1", KNOWN, FIELDS)


NAMES = st.text(min_size=1, max_size=6).filter(lambda name: name.strip() == name and name[0] not in "\"'")


@given(NAMES, st.sampled_from(FIELDS))
def test_the_name_of_the_only_network_needs_no_quotes_whatever_it_holds(name, key):
    assert read_override(f"networks.{name}.{key}=1", [name], FIELDS).path == ("networks", name, key)


def test_only_file_paths_are_made_absolute(tmp_path):
    document = {
        "title": "a.pt",
        "data": {"name": "folder:images"},
        "networks": {
            "a": {"checkpoint": "sub/a.pt", "architecture": "nets.py:Net"},
            "b": {"checkpoint": "/abs/b.pt", "architecture": "package.module:factory"},
            "c": {"architecture": "resnet20"},
        },
    }
    assert absolute(document, tmp_path) == {
        "title": "a.pt",
        "data": {"name": f"folder:{tmp_path}/images"},
        "networks": {
            "a": {"checkpoint": f"{tmp_path}/sub/a.pt", "architecture": f"{tmp_path}/nets.py:Net"},
            "b": {"checkpoint": "/abs/b.pt", "architecture": "package.module:factory"},
            "c": {"architecture": "resnet20"},
        },
    }


def checkpoint(text, base):
    """The path of a checkpoint that is called `text` in a file in the folder `base`."""
    return absolute({"networks": {"a": {"checkpoint": text}}}, base)["networks"]["a"]["checkpoint"]


@given(PATHS.map("/".join))
@example("/.")
@example("//a")
@example("/a/./b")
@example("/a/../b/")
@example("~")
@example("./~")
def test_a_path_that_was_made_absolute_is_never_changed_again(text):
    once = checkpoint(text, Path("/base"))
    assert checkpoint(once, Path("/another")) == once
    if text.startswith("/"):
        assert once == text
    elif text and "\x00" not in text:
        assert Path(once).is_absolute()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./x", "/base/x"),
        ("a//b", "/base/a/b"),
        ("x/..", "/base/x/.."),
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("./~", "/base/~"),
        ("a/~", "/base/a/~"),
        ("~nobody-of-this-name/x", "/base/~nobody-of-this-name/x"),
    ],
)
def test_a_relative_path_begins_at_the_folder_and_a_tilde_at_home(text, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert checkpoint(text, Path("/base")) == expected
