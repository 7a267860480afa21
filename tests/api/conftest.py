"""One tiny run that the tests of its result share: a pair both ways, with a self-stitch."""

from pathlib import Path

import pytest
from tiny_run import done

from stitchtui.api.result import Result, load
from stitchtui.run.directory import RunDirectory


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="session")
def tiny(place: Path) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(place / "cache"))
        return done(place, controls=["self_stitch"])


@pytest.fixture(scope="session")
def result(tiny: RunDirectory) -> Result:
    return load(tiny.path)
