"""What the words on the screens mean, as the help shows it."""

GLOSSARY: dict[str, str] = {
    "bottom, top": "the network that supplies the layers up to the cut; the one that supplies the layers after it",
    "cut": "a place where exactly one tensor carries everything from input to output",
    "stitch": "the small trainable layer between the two; its family says what it may be: affine, identity, ...",
    "objective": "what the stitch is fitted to: task (the labels), or direct (the top's activations at the cut)",
    "penalty": (
        "error(stitched) - error(top), in points of test error, with its 95 % interval; zero or below: the bottom's"
        " layers are at least as good as the top's own"
    ),
    "connected": (
        "the penalty at every cut is at most epsilon. Judged on the intervals, so it is connected, not connected (by"
        " limits that hold at all cuts together) or undecided. The verdict row says from which margin on a pair is"
        " connected"
    ),
    "≤ ? >": "after a penalty: its own 95 % interval lies at or below epsilon, on both sides, above",
    "cell, grid": "one measurement; cuts x pairs, the controls on the right",
    "control": (
        "a column whose answer is known or bounded beforehand: self-stitch (nothing), identity (no stitch at all),"
        " random bottom (an untrained network's layers)"
    ),
    "direct matching": "the stitch by least squares, without training: it fills the grid first, marked ~",
    "reused": "the same measurement was made in an earlier run, and taken from there; marked =",
    "lost": "the worker died without saying so; resume goes on with what is missing",
    "elsewhere": "the run's worker is on another machine; what is shown is as of the last copy",
}
