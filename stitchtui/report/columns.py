"""Every column of the CSV and every measure of a cell: what it is and in which unit. The one place that says so."""

COLUMNS: dict[str, str] = {
    "run": "the run's name",
    "task": "the task's id: the cells of one column and one seed were measured together",
    "bottom": "the network that supplies the layers up to the cut",
    "top": "the network that supplies the layers after it",
    "control": "the control's name; empty for the pair itself",
    "family": "what the stitch may be: identity, permutation, ..., affine, conv3, mlp",
    "objective": "what the stitch was fitted to: task, direct, soft, ...",
    "start": "where training began: least_squares, affine, random, identity, permutation; empty where it doesn't apply",
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
    "error": "test error of the stitched network, percent",
    "loss": "cross-entropy of the stitched network on the test images, nats",
    "bottom_error": "test error of the bottom by itself, percent",
    "top_error": "test error of the top by itself, percent",
    "images": "test images that the errors are over",
    "penalty": "error - top_error, points; what the grid shows",
    "penalty_low": "lower end of the penalty's paired 95 % interval, points",
    "penalty_high": "upper end of it",
    "versus_bottom": "error - bottom_error, points",
    "versus_bottom_low": "lower end of its paired 95 % interval, points",
    "versus_bottom_high": "upper end of it",
    "start_penalty": "the penalty before the first step of training, points",
    "direct_penalty": "the penalty of direct matching at the same bottom, top, control and cut, points",
    "agreement": "test images on which the stitched network says what the top says, percent",
    "js_distance": "Jensen-Shannon distance of the stitched network's and the top's class probabilities, 0 to 1",
    "cka": "linear CKA of bottom and top at the cut on test images, 0 to 1; from minibatches it may lie just below 0",
    "procrustes": "Procrustes distance of the two, 0 (equal but for rotation, shift and scale) to 1 (uncorrelated)",
    "cca": "mean canonical correlation of the two, 0 to 1 (either is an affine map of the other)",
    "cca_by_chance": "at most what cca is for unrelated representations of these sizes and as many images",
    "activation_gap": "squared distance of what the top is fed from its own activations, over their own; 0: none",
    "ood": "chance that a stitched activation lies farther out than one of the top's own: 0.5 as they do, 1 outside",
    "ood_low": "lower end of its 95 % interval",
    "ood_high": "upper end of it",
    "ood_ratio": "how far out stitched activations lie over how far the top's own do, by their medians",
    "stitch_parameters": "parameters of the stitch, or of what a control trains in its place",
    "stitch_rank": "rank of the stitch's linear map",
    "stitch_effective_rank": "its rank with small singular values counted for little (Roy and Vetterli, 2007)",
    "stitch_sparsity": "share of the stitch's weights that are exactly 0",
    "steps": "steps of training",
    "seconds": "the time of the cell's share of its task, seconds",
}
"""What each column holds, in the order of the CSV's own; a measure that a run knows besides has a column as well."""


LATER_GAP = "gap at "
"""What the column of the activation gap further on begins with; the name of a later cut of the top follows."""


def meaning(name: str) -> str | None:
    """What the column called `name` holds; None for one that nothing is said of."""
    later = "the activation gap further on, at this later cut of the top"
    return COLUMNS.get(name, later if name.startswith(LATER_GAP) else None)


def columns_text() -> str:
    """The columns as a table of a Markdown page."""
    rows = [f"| `{name}` | {meaning(name)} |" for name in (*COLUMNS, f"{LATER_GAP}CUT")]
    return "\n".join(["| column | holds |", "| --- | --- |", *rows]) + "\n"
