"""What a package declares, to be found by its entry points: a stitch, a control, a measure and data. No torch here."""

from stitchtui.spec.controls import Control
from stitchtui.spec.datasets import DatasetSource
from stitchtui.spec.families import Family
from stitchtui.spec.measures import Detail, Line, Measure, Shade, rising

SHIFT = Family("shift", "channels moved by a number each", "toy_work:Shift", "toy_work:best_shift", equal_channels=True)
HALF = Control(
    "half_the_data", "half of the data", ("1/2", "data"), "1/2", "a stitch trained on half of the images",
    in_data="toy_work:half",
)  # fmt: skip
CLASSES = Measure(
    "classes_said",
    "classes that the stitched network ever answers with",
    count=True,
    computed="toy_work:classes_said",
    line=Line("answers", "{:.0f} classes"),
    detail=Detail("classes", "classes: how many are ever answered", "{:.0f}".format),
    shade=Shade("classes", ("classes that are ever answered", "classes"), rising(10, 1000), (1.0, 10.0, 100.0), 0),
)
STRIPES = DatasetSource("stripes", (1, 8, 8), 2, "toy_work:stripes", augment="none")
