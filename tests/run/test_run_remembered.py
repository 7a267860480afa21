import threading

import pytest

from stitchtui.base.paths import cache_directory
from stitchtui.run.remembered import Remembered, remember
from stitchtui.spec.presets import from_pair


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Two checkpoints in a folder, and what is said of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "images").mkdir()
    return from_pair(
        "a.pt", "b.pt", architectures=["net.py:Net"], normalisation="none", overrides=["data.name=folder:images"]
    )


def test_what_was_said_of_a_checkpoint_is_known_again_as_long_as_it_is_the_same_file(pair, tmp_path):
    remember(pair)
    link = tmp_path / "link.pt"
    link.symlink_to("a.pt")
    for path in (tmp_path / "a.pt", link):
        known = Remembered().of(path)
        assert known.network == {"architecture": f"{tmp_path}/net.py:Net", "normalisation": "none"}
        assert known.data == f"folder:{tmp_path}/images"
    (tmp_path / "a.pt").write_bytes(b"another")
    assert Remembered().of(tmp_path / "a.pt") is None
    assert Remembered().of(tmp_path / "b.pt") is not None
    assert Remembered().beside(tmp_path / "new.pt") == known
    assert Remembered().beside(tmp_path / "deeper" / "new.pt") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff{",
        b"[]",
        b'{"checkpoints": 1, "folders": []}',
        b'{"folders": {"PLACE": 3}}',
        b'{"folders": {"PLACE": {"network": {"width": "x"}, "data": "digits"}}}',
        b'{"folders": {"PLACE": {"network": {}, "data": "nonsense"}}}',
    ],
)
def test_a_broken_file_is_as_good_as_none_and_is_written_anew(pair, tmp_path, text):
    path = cache_directory() / "remembered.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.replace(b"PLACE", str(tmp_path).encode()))
    assert Remembered().beside(tmp_path / "a.pt") is None
    remember(pair)
    assert Remembered().beside(tmp_path / "a.pt") is not None


def test_a_place_that_can_not_be_written_to_is_no_reason_against_a_run(pair, tmp_path, monkeypatch):
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "a.pt" / "below-a-file"))
    remember(pair)
    assert Remembered().of(tmp_path / "a.pt") is None


def test_of_two_that_write_at_once_neither_loses_anything(tmp_path):
    def experiment(number):
        path = tmp_path / f"{number}.pt"
        path.write_bytes(b"x")
        return from_pair(str(path), str(path), architectures=["resnet20"])

    threads = [threading.Thread(target=remember, args=(experiment(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(Remembered().of(tmp_path / f"{number}.pt") for number in range(8))
