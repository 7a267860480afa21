"""How much sooner a run is at the mean penalty that the published way, from random stitches, ends with.

Run by hand: python tests/benchmarks/end.py seeds --scale mini --set data.train_size=10000 --steps 50,100,200
The published way's penalties come from a float32 column of unchanged networks, which takes the very steps that each
cell takes alone; its time is its steps, timed by turns on one batch with nothing else computing, times their number,
without its augmentation. A column's time is that of its start, its training and one evaluation, as the published way
has them; a run's that of its unit as it runs, from least squares to the last measure. Networks, images and controls
are left out of all.
"""

from pair import load_pair, pair_parser
from published import priced, prices
from steps import trained
from subject import prepared
from ways import OURS, RANDOM, Laboratory, Trial

from stitchtui.spec.presets import load_preset


def main() -> None:
    """Measure, and print both ways' mean penalties and seconds, and their ratio for each limit of a run's steps."""
    made = pair_parser(__doc__)
    made.add_argument("--epochs", type=int, default=30, help="of the published way")
    made.add_argument("--steps", default="50,100,200", help="limits of a run's steps, with commas")
    told = made.parse_args()
    experiment, options = load_preset(told.preset, told.scale, told.set), prepared(told)
    laboratory = Laboratory(load_pair(experiment, options))
    print(laboratory.pair)
    price, lengths = prices(laboratory), [int(steps) for steps in told.steps.split(",")]
    columns = {f"a column of {n} steps": laboratory.in_a_column(OURS, 0, n) for n in lengths}
    ours = []
    for steps in lengths:
        ours.append(trained(experiment, f"a run of at most {steps} steps", steps=steps, cuts=options.cuts))
        print(f"{ours[-1]}\n  {ours[-1].seconds:,.1f} s", flush=True)
    end = priced(laboratory, price, RANDOM, told.epochs)
    penalty, seconds = _mean(end), _seconds(end)
    print(f"{RANDOM.name}, {told.epochs} epochs: mean penalty {penalty:+.2f}, {seconds:,.0f} s")
    found = [(name, _mean(trial), _seconds(trial)) for name, trial in columns.items()]
    for name, reached, took in [*found, *((way.way, way.mean(1), way.seconds) for way in ours)]:
        there = "there" if reached <= penalty else f"{reached - penalty:.2f} points short of it"
        print(f"  {name}: {reached:+.2f}, {there}, {took:,.1f} s, {seconds / took:.1f} x sooner")


def _mean(trial: Trial) -> float:
    return sum(trial.penalties) / len(trial.penalties)


def _seconds(trial: Trial) -> float:
    return sum(cost.total for cost in trial.costs)


if __name__ == "__main__":
    main()
