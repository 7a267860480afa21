"""Which test images a cell answers wrongly, as a log carries it, to compare cells image by image; no torch here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stitchtui.stats.penalty import Interval, paired_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AnswerBits:
    """Of so many test images, those that are answered wrongly: bit k of `bits` is that of image k."""

    images: int
    bits: int

    @classmethod
    def of(cls, answers: Iterable[bool]) -> AnswerBits:
        """From whether each image, in order, is answered wrongly."""
        digits = "".join("1" if wrong else "0" for wrong in answers)
        return cls(len(digits), int(digits[::-1] or "0", 2))

    @classmethod
    def read(cls, text: str, images: float | None) -> AnswerBits | None:
        """What `text` says; None for what can't be of so many images."""
        if not text or images is None or images != int(images) or images < 1:
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        bits = int.from_bytes(data, "little")
        return cls(int(images), bits) if bits.bit_length() <= images else None

    @property
    def text(self) -> str:
        """The text of a log: eight images a byte, in base64."""
        return base64.b64encode(self.bits.to_bytes(-(-self.images // 8), "little")).decode("ascii")

    @property
    def array(self) -> NDArray[np.uint8]:
        """Of every image 1 where it is answered wrongly, else 0."""
        import numpy as np  # imported late: most of what asks for answers counts them

        data = self.bits.to_bytes(-(-self.images // 8), "little")
        return np.unpackbits(np.frombuffer(data, np.uint8), count=self.images, bitorder="little")

    def less(self, other: AnswerBits) -> Interval:
        """This error less the other's on the same images, in points, with its paired 95 % interval."""
        if self.images != other.images:
            raise ValueError(f"{self.images} and {other.images} images are not the same ones")
        only_self, only_other = self.bits & ~other.bits, other.bits & ~self.bits
        return paired_interval(self.images, only_self.bit_count(), only_other.bit_count())
