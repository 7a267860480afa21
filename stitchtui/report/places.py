"""Where each cut of a pair lies between the input and the output."""

from stitchtui.run.state import RunState


def depths(state: RunState, bottom: str, top: str) -> dict[str, float]:
    """Each cut's depth, the share of the FLOPs before it: the bottom's where it has such a cut, else the top's."""
    found: dict[str, float] = {}
    for name in (top, bottom):
        network = state.networks.get(name)
        for cut in network.cuts if network else ():
            depth = cut.get("depth")
            if isinstance(depth, int | float) and 0 <= depth <= 1:
                found[cut["name"]] = float(depth)
    return found
