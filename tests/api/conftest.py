"""One tiny run that all tests of its result share: a pair both ways, a self-stitch, two cuts, a few steps."""

import pytest
from small_runs import experiment, new_run

from stitchtui.run.directory import RunDirectory


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    place = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(place / "cache"))
        wanted = experiment(controls=["self_stitch"], stitch={"cuts": ["block2", "block4"], "epochs": 1})
        return new_run(wanted, place / "runs")[0]
