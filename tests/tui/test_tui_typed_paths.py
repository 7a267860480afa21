import pytest

from stitchtui.tui import sources
from stitchtui.tui.widgets.completers import Classes, DataNames, Paths

CODE = b"""
raise SystemExit("never run")
class Layer: pass
class Net(Layer): pass
def make(): pass
def _hidden(): pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "kept"))
    for name in ("images/cats/1.png", "kept/networks/c.pt", "ckpt/a.pt", "ckpt/deep/b.pth", "notes/x.txt", ".out/d.pt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "net.py").write_bytes(CODE)
    (tmp_path / "pixels.npz").write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("completer", "text", "whole"),
    [
        (DataNames(), "cif", "cifar10"),
        (DataNames(), "fol", "folder:"),
        (DataNames(), "folder:im", "folder:images/"),
        (DataNames(), "folder:images/", "folder:images/cats/"),
        (DataNames(), "npz:pi", "npz:pixels.npz"),
        (DataNames(), "npz:nowhere/", None),
        (Classes(), "n", "notes/"),
        (Classes(), "net", "net.py"),
        (Classes(), "net.py", "net.py:Net"),
        (Classes(), "net.py:", "net.py:Net"),
        (Classes(), "net.py:Net, net.py:m", "net.py:Net, net.py:make"),
        (Classes(), "net.py:_", None),
        (Paths((".pt",)), "ckpt/", "ckpt/deep/"),
        (Paths((".pt",)), "./ckpt/a", "./ckpt/a.pt"),
        (Paths((".pt",)), "ck", None),
        (Paths((".pt",)), "\0/", None),
    ],
)
def test_a_path_that_is_being_typed_is_completed(folder, completer, text, whole):
    assert completer.complete(text) == whole


def test_folders_are_looked_into_without_caches_and_without_hidden_ones_unless_they_are_typed(folder):
    def shown(text):
        return [(source.value, source.folder) for source in sources.within(text)]

    assert shown("./") == [("./../", True), ("./ckpt/", True), ("./images/", True), ("./notes/", True)]
    assert shown("./ckpt/") == [("./ckpt/../", True), ("./ckpt/deep/", True), ("ckpt/a.pt", False)]
    assert shown("./.o") == [("./.out/", True)]
    assert shown(f"{folder}/ckpt/a") == [(f"{folder}/ckpt/a.pt", False)]
    assert shown("hf:me/net") == shown("nowhere/") == shown("ckpt") == []
