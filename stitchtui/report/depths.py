"""Where each cut of a pair lies between the input and the output."""

from stitchtui.run.state import RunState


def depths(state: RunState, bottom: str, top: str) -> dict[str, float]:
    """Each row's depth, the share of the FLOPs before its cut: the bottom's where it has such a cut, else the top's."""
    below, above = _depths(state, bottom), _depths(state, top)
    found = {**above, **below}
    for (task, row), cell in state.cells.items():
        of = state.tasks.get(task)
        joins = of is not None and (of.bottom, of.top) == (bottom, top)
        if joins and row not in found and cell.bottom_cut in below:  # a row that joins cuts of two names
            found[row] = below[cell.bottom_cut]
    return found


def _depths(state: RunState, name: str) -> dict[str, float]:
    network = state.networks.get(name)
    cuts = network.cuts if network else []
    return {cut.name: cut.depth for cut in cuts if cut.depth is not None and 0 <= cut.depth <= 1}
