"""What screens ask of the app that they are on."""

from typing import TYPE_CHECKING, Any, Protocol

from stitchtui.tui.colours import Palette

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stitchtui.run.directory import RunDirectory
    from stitchtui.tui.catalogue import Catalogue
    from stitchtui.tui.watch import RunWatch


class Shell(Protocol):
    """The app as its screens know it."""

    ascii: bool

    @property
    def palette(self) -> Palette:
        """How numbers are coloured on this terminal, with this theme."""

    @property
    def watched(self) -> "RunWatch":
        """The run that is shown; of no run until one is opened."""

    @property
    def catalogue(self) -> "Catalogue":
        """Every run there is, as far as that was read since the app began."""

    def open_run(self, directory: "RunDirectory") -> None:
        """Watch the run in `directory` from now on, and show its grid."""

    def forget_run(self, directory: "RunDirectory") -> None:
        """Watch the newest run in place of the one in `directory`, which was deleted, if that is watched."""

    def open_new(self, prepared: "Mapping[str, Any] | None" = None) -> None:
        """Show New, filled in with `prepared`: an experiment as `Experiment.plain()` gives it."""

    def action_ramp(self) -> None:
        """Colour with the other ramp."""
