"""A run's numbers with what they rest on: which test images cells and networks get wrong, where the log says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stitchtui.run.records import Cell, Column, InSeed, NetworkState
from stitchtui.spec.measures import IMAGES, PENALTY, Measure
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.contrast import SeedAnswers
from stitchtui.stats.paired_difference import over
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class Measured:
    """What a run's log says of cells and networks."""

    run: str
    digest: str  # of the test images; empty where it isn't known
    networks: Mapping[str, NetworkState]
    cells: Mapping[tuple[str, str], Cell]

    def number(self, cells: Sequence[Cell], measure: Measure, column: Column, seed: InSeed) -> Interval | None:
        """A penalty, or one against the bottom, over these cells of stitch seeds, with their answers if all say them.

        None where no cell has that number.
        """
        found = [(cell, interval) for cell in cells if (interval := cell.interval(measure))]
        known = [wrong for cell, _ in found if (wrong := AnswerBits.read(cell.wrong, cell.measures.get(IMAGES.name)))]
        if not found:
            return None
        answers = self._answers(tuple(known), measure, column, seed) if len(known) == len(found) else ()
        return over([interval for _, interval in found], answers)

    def _answers(
        self, cells: tuple[AnswerBits, ...], measure: Measure, column: Column, seed: InSeed
    ) -> tuple[SeedAnswers, ...]:
        """The answers of these cells beside those of the network that they are compared with."""
        if measure == PENALTY:
            # A control may put another network in the bottom's place, but its penalty is against the top as it is.
            less, base = self._told(seed.top), self._wrong(seed.top, cells[0].images)
        elif column.control:  # which may be about another bottom, whose answers nobody says
            less, base = f"{column.control} {self._told(seed.bottom)}", ()
        else:
            less, base = self._told(seed.bottom), self._wrong(seed.bottom, cells[0].images)
        return (SeedAnswers(less, cells, base, self.digest or f"those of {self.run}"),)

    def _wrong(self, name: str, images: int) -> tuple[AnswerBits, ...]:
        network = self.networks.get(name)
        known = network and AnswerBits.read(network.wrong, images)
        return (known,) if known else ()

    def _told(self, name: str) -> str:
        """A network and the images: by their digests, so that those of two runs may be the same; else of this run."""
        network = self.networks.get(name)
        told = network is not None and network.digest and self.digest
        return f"{network.digest} on {self.digest}" if network and told else f"{name} of {self.run}"
