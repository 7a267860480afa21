"""What makes numbers on a dataset wrong or hard to read, looked for in every source's images in the same way."""

import hashlib
from collections.abc import Iterator

from stitchtui.base.errors import BadInput
from stitchtui.data import facts
from stitchtui.data.dataset import Part
from stitchtui.data.raw import Raw
from stitchtui.data.words import some


def check(raw: Raw, said: str) -> None:
    """Raise BadInput, starting with `said`, for pixels that hardly vary, and classes that can't be learned."""
    for part, images in (("training", raw.train.images), ("test", raw.test.images)):
        if facts.hardly_varies(images):
            low, high = facts.extremes(images)
            found, expected = f"{low} to {high} of 255", "with pixels from 0 to 255: check how they were saved"
            if images.is_floating_point():
                found, expected = f"{low:g} to {high:g}", "with pixels from 0 to 1, or normalised: check their scale"
            raise BadInput(
                f"{said}: the pixels of the {part} images hardly differ from one another (they run from {found}); "
                f"expected pictures {expected}"
            )
    in_training, in_test = _counts(raw)
    if sum(seen > 0 for seen in in_training) < 2:
        raise BadInput(f"{said}: all training images are of one class; expected two or more")
    unseen = [name for name, seen, tested in zip(raw.classes, in_training, in_test, strict=True) if tested and not seen]
    if unseen:
        raise BadInput(
            f"{said}: the test part has images of classes that the training part has none of ({some(unseen)}); "
            "check that both are labelled alike, and give both parts the same classes"
        )


def class_notes(raw: Raw) -> Iterator[str]:
    """Say which classes have no images, and which none in the test part."""
    counted = list(zip(raw.classes, *_counts(raw), strict=True))
    absent = [name for name, seen, tested in counted if not seen and not tested]
    if absent:
        yield (
            f"no images of {len(absent)} of {len(counted)} classes ({some(absent)}): networks still need "
            f"{len(counted)} outputs; if the labels have gaps by mistake, number the classes from 0 without any"
        )
    untested = [name for name, seen, tested in counted if seen and not tested]
    if untested:
        yield (
            f"no test images of {len(untested)} of {len(counted)} classes ({some(untested)}): "
            "the numbers say nothing of those"
        )


def duplicate_notes(train: Part, test: Part) -> Iterator[str]:
    """Say how many of the test images are, to the last bit, training images too."""
    known = set(_prints(train))
    twice = sum(image in known for image in _prints(test))
    if twice:
        yield (
            f"{twice} of {len(test)} test images are training images too: "
            "on those a network, or a stitch, only shows what it has memorised"
        )


def _prints(part: Part) -> Iterator[bytes]:
    images = (image for chunk in part.images.split(facts.CHUNK) for image in chunk.cpu().numpy())
    return (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)


def _counts(raw: Raw) -> tuple[list[int], list[int]]:
    train, test = (part.labels.bincount(minlength=len(raw.classes)).tolist() for part in (raw.train, raw.test))
    return train, test
