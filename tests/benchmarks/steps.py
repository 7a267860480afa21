"""How many steps a pair's stitches take until they have converged, and how near that comes to training for long.

Run by hand: python tests/benchmarks/steps.py seeds --scale mini --images 10000,50000 --epochs 30
Steps and penalties are the same however busy the machine is. `--epochs` is the length, with a cosine, that the
converged ones are held against; 0 leaves it out. Every control is left out.
"""

import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from stitchtui.base import device as devices
from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.run.events import CellFinished
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.measures import CHOSEN_STEP, PENALTY, START_PENALTY, STEPS, STILL_FALLING
from stitchtui.spec.plan import resolve
from stitchtui.spec.presets import load_preset

OF_CUT = (START_PENALTY, PENALTY, STEPS, CHOSEN_STEP, STILL_FALLING)


@dataclass(frozen=True)
class Trained:
    """A pair whose stitches were trained in one way: of every cut the measures `OF_CUT`, in order."""

    way: str
    cuts: dict[str, tuple[float, ...]]
    seconds: float  # of its units as they ran, networks and images left out

    def mean(self, place: int) -> float:
        """One of the measures over all cuts."""
        return fmean(values[place] for values in self.cuts.values())

    def __str__(self) -> str:
        lines = [f"{self.way}: mean penalty {self.mean(1):+.2f} after {self.mean(2):.0f} steps"]
        for cut, (start, penalty, steps, chosen, falling) in self.cuts.items():
            open_end = ", still falling" if falling else ""
            lines.append(
                f"  {cut:>12} {start:+6.2f} -> {penalty:+6.2f}, {steps:.0f} steps, chosen {chosen:.0f}{open_end}"
            )
        return "\n".join(lines)


def trained(experiment: Experiment, way: str, **stitch: object) -> Trained:
    """Train the first pair's stitches as `stitch` says, networks being loaded or trained as a run does."""
    asked = experiment.stitch.model_copy(update=stitch)
    changed = {"pairs": experiment.pairs[:1], "controls": (), "also": (), "claims": (), "stitch": asked}
    plan = resolve(experiment.model_copy(update=changed))
    dataset = load_dataset(plan.experiment.data)
    measurer = Measurer(Session(plan.experiment, devices.pick("auto"), dataset))
    for unit in plan.networks:
        finish(measurer.measure(unit))
    begin = time.perf_counter()
    events = [event for unit in plan.units for event in measurer.measure(unit)]
    seconds = time.perf_counter() - begin
    cells = [e for e in events if isinstance(e, CellFinished) and STEPS.name in e.measures]
    return Trained(way, {e.cut: tuple(float(e.measures.get(m.name) or 0) for m in OF_CUT) for e in cells}, seconds)


def compared(experiment: Experiment, images: Sequence[int], epochs: float) -> list[Trained]:
    """The pair converged on so many training images each, and trained for so many epochs on the most of them."""
    found = []
    for count in images:
        found.append(trained(experiment, f"converged, {count:,} images", train_size=count, length="converged"))
        print(found[-1], flush=True)
    if epochs:
        way = f"{epochs:g} epochs of {images[-1]:,} images"
        found.append(trained(experiment, way, train_size=images[-1], length="fixed", epochs=epochs, steps=None))
        print(found[-1], flush=True)
    return found


def main() -> None:
    made = ArgumentParser(description=__doc__, formatter_class=ArgumentDefaultsHelpFormatter)
    made.add_argument("preset", help="a preset, or a TOML file with networks of your own")
    made.add_argument("--scale", help="a scale of the preset")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the experiment")
    made.add_argument("--images", default="10000,50000", help="training images of the stitch, with commas")
    made.add_argument("--epochs", type=float, default=30.0)
    told = made.parse_args()
    experiment = load_preset(told.preset, told.scale, told.set)
    found = compared(experiment, [int(count) for count in told.images.split(",")], told.epochs)
    first = found[0]
    for other in found[1:]:
        print(f"{other.way} against {first.way}: {other.mean(2) / first.mean(2):.2f} x the steps", end=", ")
        print(f"{other.mean(1) - first.mean(1):+.2f} points")


if __name__ == "__main__":
    main()
