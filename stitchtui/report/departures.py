"""How a run's experiment differs from the preset that it is named after, as the preset is now."""

from pydantic import ValidationError

from stitchtui.errors import BadInput
from stitchtui.experiment import Experiment
from stitchtui.network_seeds import in_every_seed
from stitchtui.presets import list_presets, load_preset
from stitchtui.report.unlike import unlike
from stitchtui.run.plan import NUMERICS
from stitchtui.run.state import RunState
from stitchtui.text import plain


def departures(state: RunState) -> list[str]:
    """The keys in which the run differs from its preset, numbers with both values; none where there is no preset.

    `numerics` is among them where this version computes otherwise than the run's did.

    Texts are left out: they may be paths of one machine.
    """
    if state.name not in {preset.name for preset in list_presets()}:
        return []
    scale = state.experiment.get("scale")
    try:
        preset = in_every_seed(load_preset(state.name, scale if isinstance(scale, str) else None))
        run = in_every_seed(Experiment.model_validate(state.experiment))
    except BadInput:
        return ["a scale that the preset doesn't have"]
    except ValidationError:
        return ["an experiment that this version can't read"]
    return [*unlike(preset.plain(), run.plain()), *_numerics(state.versions.get("numerics"))]


def _numerics(computed: object) -> list[str]:
    """That the run was computed otherwise than one of now would be: a log that doesn't say how is an older one."""
    if computed == str(NUMERICS):
        return []
    return [f"numerics {plain(str(computed))} in place of {NUMERICS}" if computed else f"numerics before {NUMERICS}"]
