"""How often the data are gone through until the first numbers of direct matching are said."""

from collections import Counter
from collections.abc import Iterator

import pytest
from fed_images import Fed, watched
from small_runs import experiment, run_here
from torch import Tensor

from stitchtui.data.loading import load_dataset
from stitchtui.execute.runner import Runner, Stopped
from stitchtui.run.directory import create
from stitchtui.run.events import CellFinished, Event, TaskStarted

DIRECT = "seed0 > seed1 affine direct seed 0"


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> Fed:
    """What the networks are fed from the start of the direct column to its first number, at which the run ends."""
    seen = watched(monkeypatch)
    original = Runner.say

    def say(self: Runner, event: Event) -> Iterator[Event]:
        if isinstance(event, CellFinished):
            raise Stopped
        if isinstance(event, TaskStarted) and event.task == DIRECT:
            seen.clear()
        return original(self, event)

    monkeypatch.setattr(Runner, "say", say)
    return seen


def times(images: Tensor, count: int) -> Counter[bytes]:
    """Each of the images, so many times."""
    whole = images if images.dtype.itemsize == 1 else (255 * images).round().byte()
    return Counter(image.contiguous().numpy().tobytes() for image in whole for _ in range(count))


@pytest.mark.parametrize("evaluation_batch", [500, 30])
def test_two_passes_lead_to_the_direct_penalties_of_a_whole_column(fed: Fed, evaluation_batch: int) -> None:
    wanted = experiment(stitch={"objective": "direct", "held_out": 0}, evaluation_batch=evaluation_batch)
    with pytest.raises(Stopped):
        run_here(create(wanted), wanted)
    data = load_dataset(wanted.data)
    found = {name: sum((times(batch, 1) for batch in batches), Counter()) for name, batches in fed.items()}
    # Training images: the moments of both, and the activations that the top has of its own. Test images: what both
    # have in common, and the penalties.
    assert found["seed0"] == times(data.train.images, 1) + times(data.test.images, 2)
    assert found["seed1"] == times(data.train.images, 2) + times(data.test.images, 2)
