"""Whether two networks can be joined: for test suites of people who ship features that others build on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stitchtui.api.asking import Source
from stitchtui.api.calls import stitch
from stitchtui.api.result import Result
from stitchtui.base.errors import BadInput
from stitchtui.report.summary import errors_line
from stitchtui.stats.penalty import Interval, Verdict

At = str | Sequence[str] | Mapping[str, str] | None


@dataclass(frozen=True)
class Compatibility:
    """Whether stitching costs at most `margin` percentage points; true where it surely doesn't cost more."""

    verdict: Verdict
    margin: float
    result: Result

    def __bool__(self) -> bool:
        return self.verdict == "connected"

    def __str__(self) -> str:
        cells = [f"{cut} {i.value:+.2f} [{i.low:+.2f}, {i.high:+.2f}]" for cut, i in self.penalties.items()]
        return f"{self.verdict} at {self.margin:g} points: {', '.join(cells)} ({errors_line(self.result.state)})"

    @property
    def penalties(self) -> dict[str, Interval]:
        """The penalty at each cut in percentage points, with its 95 % interval."""
        (pair,) = self.result.verdicts
        return {cut: found[pair] for cut, found in self.result.penalties.items() if pair in found}


def compatible(
    a: Source, b: Source, data: Any, *, at: At = None, margin: float = 2.0, progress: bool = False, **keys: Any
) -> Compatibility:
    """Return whether `b`'s upper layers can be run on `a`'s lower ones, at a cost of at most `margin` points of error.

    Args:
        a: The bottom, as `stitch` takes it.
        b: The top.
        data: The images, as `stitch` takes them.
        at: Where to join them, as `cuts` of `stitch`; None: where blocks end.
        margin: In percentage points of test error. Connected: no cut's 95 % interval reaches over it; not connected:
            one lies above it, simultaneously over the cuts; undecided: more test images are needed.
        progress: Whether to show how far it is.
        **keys: Whatever else `stitch` takes; no controls are measured unless some are asked for.

    Raises what `stitch` raises.
    """
    for key, instead in (("cuts", "at"), ("epsilon", "margin"), ("both", "a second call, the other way round")):
        if key in keys:
            raise BadInput(f"{key}: isn't an argument of compatible; expected {instead}", key)
    keys.setdefault("controls", ())
    result = stitch(a, b, data, cuts=at, epsilon=margin, progress=progress, **keys)
    return Compatibility(result.verdict or "undecided", margin, result)


def assert_stitchable(
    a: Source, b: Source, data: Any, *, at: At = None, margin: float = 2.0, **keys: Any
) -> Compatibility:
    """Raise AssertionError unless `compatible`, told the same, is true; return what it found.

    A test of a new version of an encoder against the head that shipped with the last one:

        def test_the_new_encoder_fits_the_old_head(old, new, images):
            stitchtui.assert_stitchable(new, old, images, at="layer3", margin=2.0)

    where the fixture `images` gives `(x_train, y_train, x_test, y_test)`. Undecided fails, too: it says nothing yet.
    """
    found = compatible(a, b, data, at=at, margin=margin, **keys)
    if not found:
        raise AssertionError(f"stitching {found}")
    return found
