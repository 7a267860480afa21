"""Every column of the CSV: what it holds and in which unit."""

from stitchtui.spec import measures
from stitchtui.spec.families import STARTS

PLACES: dict[str, str] = {
    "run": "the run's name",
    "label": "the run's label, if it was given one",
    "note": "the note on the run, if there is one",
    "task": "the task's id: the cells of one column and one seed were measured together",
    "bottom": "the network that supplies the layers up to the cut",
    "top": "the network that supplies the layers after it",
    "control": "the control's name; empty for the pair itself",
    "family": "what the stitch may be: identity, permutation, ..., affine, conv3, mlp",
    "objective": "what the stitch was fitted to: task, direct, soft, ...",
    "start": f"where training began: {', '.join(STARTS)}; empty where it doesn't apply",
    "place": "how its cuts and data differ from the run's main request; empty where they don't",
    "recipe": "how its training differs from the run's main request; empty where it doesn't",
    "seed": "the stitch's seed",
    "cut": "the row: the cut's name, or `bottom cut > top cut` where the two are called differently",
    "bottom_cut": "where the bottom is cut",
    "top_cut": "where the top is cut",
    "depth": "share of the FLOPs before the cut, 0 to 1: the bottom's, else the top's",
    "adapter": "what is between the shapes of the two cuts, in words; empty where they are alike",
    "status": "pending, running, finished or failed",
    "reused_from": "the earlier run that measured this cell; empty if this one did",
    "reason": "why a failed cell failed",
    "identity": "SHA-256 over everything that determines the cell's numbers",
    "band_low": "lower end of the penalty's 95 % limits that hold at all cuts of the task together, points",
    "band_high": "upper end of them",
}
"""What each column holds that is no measure, in the order of the CSV's own."""

_NUMBERS: dict[str, type[int | float]] = {"depth": float, "seed": int, "band_low": float, "band_high": float}


def holds(name: str) -> type[str | int | float]:
    """What the values of the column called `name` are: text, whole numbers, or numbers."""
    if name in PLACES:
        return _NUMBERS.get(name, str)
    return int if name in measures.counts() else float


def columns() -> dict[str, str]:
    """What each column holds, in order; a measure that a run knows besides has a column as well."""
    return PLACES | measures.columns()


def meaning(name: str) -> str | None:
    """What the column called `name` holds; None for one that nothing is said of."""
    later = "the activation gap further on, at this later cut of the top"
    return columns().get(name, later if name.startswith(measures.LATER_GAP) else None)


def columns_text() -> str:
    """The columns as a table of a Markdown page."""
    rows = [f"| `{name}` | {meaning(name)} |" for name in (*columns(), f"{measures.LATER_GAP}CUT")]
    return "\n".join(["| column | holds |", "| --- | --- |", *rows]) + "\n"
