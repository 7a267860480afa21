"""A pair of small trained networks that the benchmark's tests share, with its files."""

from collections.abc import Iterator

import pytest
import small_runs
import torch
from made_pair import Made

from stitchtui.benchmark.pair import load_pair
from stitchtui.benchmark.subject import Options
from stitchtui.benchmark.ways import Laboratory
from stitchtui.networks.obtain import cache_path


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = {**small_runs.TRAIN, "epochs": 10}  # until a stitch makes a difference
    network = {"architecture": "digits_cnn", "width": 0.5, "train": recipe}
    experiment = small_runs.experiment(networks={f"seed{seed}": {**network, "seed": seed} for seed in (0, 1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(tmp_path_factory.mktemp("cache")))
        pair = load_pair(experiment, Options(batch_size=20, rounds=1), torch.device("cpu"), torch.float32)
        ends = experiment.pairs[0].bottom, experiment.pairs[0].top
        first, last = (cache_path(experiment.networks[name], pair.dataset) for name in ends)
        yield Made(pair, (first, last))
    torch.set_num_threads(before)


@pytest.fixture
def laboratory(made: Made) -> Laboratory:
    return Laboratory(made.pair)
