"""stitchtui: how interchangeable the representations of two trained networks are, layer by layer."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from stitchtui.api.calls import measure, stitch
    from stitchtui.api.cells import CellResult
    from stitchtui.api.checking import Compatibility, assert_stitchable, compatible
    from stitchtui.api.looking import Place, cuts
    from stitchtui.api.result import Result, load
    from stitchtui.api.stitched import StitchedNetwork
    from stitchtui.api.tables import Penalties
    from stitchtui.base.errors import BadInput, RunFailed
    from stitchtui.stats.penalty import Interval

__all__ = [
    "BadInput",
    "CellResult",
    "Compatibility",
    "Interval",
    "Penalties",
    "Place",
    "Result",
    "RunFailed",
    "StitchedNetwork",
    "assert_stitchable",
    "compatible",
    "cuts",
    "load",
    "measure",
    "stitch",
]

_WHERE = {
    **dict.fromkeys(("measure", "stitch"), "api.calls"),
    **dict.fromkeys(("Compatibility", "assert_stitchable", "compatible"), "api.checking"),
    **dict.fromkeys(("Place", "cuts"), "api.looking"),
    **dict.fromkeys(("Result", "load"), "api.result"),
    **dict.fromkeys(("BadInput", "RunFailed"), "base.errors"),
    **{"CellResult": "api.cells", "StitchedNetwork": "api.stitched", "Penalties": "api.tables"},
    "Interval": "stats.penalty",
}


def __getattr__(name: str) -> object:
    # Loaded when it is first asked for: torch and pydantic take a second, and the command line needs neither to start.
    if name not in _WHERE:
        raise AttributeError(f"module 'stitchtui' has no attribute '{name}'")
    from importlib import import_module

    found: object = getattr(import_module(f"stitchtui.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
