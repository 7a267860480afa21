"""Images in memory are the same data set in whatever form they come; what is wrong with them is one line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import SmallConv
from small_runs import experiment
from torch.utils.data import DataLoader, Subset, TensorDataset
from torch.utils.data import Dataset as MapStyle

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.data.given import given
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.feed import pixels
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.networks.network import normalise
from stitchtui.run.events import CellFinished
from stitchtui.spec.checks import check_files
from stitchtui.spec.experiment import DataSpec
from stitchtui.spec.plan import resolve

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)  # [n, h, w, c]
FIRST = COLOUR.transpose(0, 3, 1, 2)  # [n, c, h, w]
LABELS = np.arange(12) % 3
SPEC = DataSpec(name="memory:mine")


def load(data: Any, **options: Any) -> Dataset:
    return load_dataset(SPEC, given=given(data, **options))


def arrays(images: Any = COLOUR, labels: Any = LABELS) -> tuple[Any, ...]:
    return images[:8], labels[:8], images[8:], labels[8:]


def pillow() -> list[tuple[Image.Image, int]]:
    return [(Image.fromarray(image), int(label)) for image, label in zip(COLOUR, LABELS, strict=True)]


def tensors(images: Any = FIRST) -> tuple[TensorDataset, TensorDataset]:
    x, y = torch.tensor(images), torch.tensor(LABELS)
    return TensorDataset(x[:8], y[:8]), TensorDataset(x[8:], y[8:])


def dictionaries() -> Iterator[dict[str, Any]]:
    return ({"img": image, "labels": label} for image, label in zip(COLOUR, LABELS.astype(np.uint8), strict=True))


FORMS: dict[str, Callable[[], Any]] = {
    "channels first": lambda: arrays(FIRST),
    "read-only, turned round": lambda: arrays(np.broadcast_to(COLOUR[::-1], COLOUR.shape)[::-1]),
    "lists of labels": lambda: arrays(COLOUR, LABELS.tolist()),
    "pairs": lambda: ((COLOUR[:8], LABELS[:8]), [COLOUR[8:], LABELS[8:]]),
    "pillow": lambda: (pillow()[:8], pillow()[8:]),
    "data sets": lambda: dict(zip(("train", "test"), tensors(), strict=True)),
    "loaders": lambda: tuple(DataLoader(part, 3) for part in tensors()),
    "loader of items": lambda: tuple(DataLoader(part, None) for part in tensors()),
    "dictionaries": lambda: (list(dictionaries())[:8], (item for item in list(dictionaries())[8:])),
    "batches": lambda: (iter([arrays()[:2]]), iter([{"image": COLOUR[8:], "label": LABELS[8:]}])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_is_the_data_set_of_their_npz_file(form: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays(), strict=True)))
    saved = load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}"))
    dataset = load(FORMS[form]())
    assert dataset.digest == saved.digest
    assert (dataset.mean, dataset.std, dataset.classes, dataset.notes) == (saved.mean, saved.std, saved.classes, ())
    assert torch.equal(dataset.train.images, saved.train.images)
    assert dataset.augment == "none"


def test_images_in_memory_can_only_be_had_where_they_are() -> None:
    with pytest.raises(BadInput, match=r"^data\.name: memory:mine: these images were in the memory of a Python"):
        load_dataset(SPEC)
    with pytest.raises(BadInput, match="memory:mine: these images were in the memory") as caught:
        check_files(experiment(data={"name": "memory:mine"}))
    assert caught.value.field == "data.name"


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no pair": (lambda: DataLoader(tensors()[0], 3), r"is a DataLoader; expected \(x_train, y_train, x_test, y_test\)"),
    "two arrays": (lambda: (COLOUR, LABELS), r"is a tuple of 2; expected \(x_train"),
    "no test part": (lambda: {"train": 1, "validation": 2}, "has the parts train, validation and no test"),
    "a part of nothing": (lambda: (tensors()[0], None), "the test part is a NoneType; expected"),
    "an empty array": (lambda: (COLOUR[:0], LABELS[:0], COLOUR, LABELS), "x_train: are none"),
    "an empty loader": (lambda: (tensors()[0], iter(())), "there are no test images"),
    "no image axis": (lambda: arrays(COLOUR.reshape(12, -1)), r"x_train: has shape \[8, 90\]; expected \[n, h, w\]"),
    "no channel axis": (lambda: arrays(np.zeros((12, 6, 5, 7), np.uint8)), "neither axis 1 nor axis 3 is the 1 to 4"),
    "other sizes in test": (
        lambda: (*arrays()[:2], COLOUR[8:, :5], LABELS[8:]),
        "x_train's images are .* but x_test's",
    ),
    "fewer labels": (lambda: arrays(COLOUR, LABELS[:11]), "x_test has 4 images but y_test 3 labels"),
    "types": (lambda: (*arrays()[:2], *arrays(FIRST / 255)[2:]), "x_train uint8 but x_test float64; expected one type"),
    "not a number": (
        lambda: arrays(np.where(np.arange(12) == 9, np.nan, FIRST.T).T),
        "x_test: number 1 has pixels that",
    ),
    "infinite": (lambda: arrays(torch.tensor(FIRST / 1e-40)), "x_train: number 0 has pixels that are not finite"),
    "complex": (lambda: arrays(COLOUR * 1j), "x_train: is complex128; expected"),
    "float labels": (lambda: arrays(COLOUR, LABELS / 2), r"y_train: is float64 \[8\], with fractions; expected whole"),
    "no labels": (lambda: arrays(COLOUR, np.full(12, None)), r"y_train: is object \[8\]; expected whole numbers"),
    "several sizes": (
        lambda: ([*pillow()[:3], (Image.new("RGB", (9, 6)), 0)], pillow()[8:]),
        r"the training images: number 3 is uint8 \[6, 9, 3\], but those before it uint8 \[6, 5, 3\]; expected",
    ),
    "ragged": (lambda: ([([[1, 2], [3]], 0)], pillow()), "the training images: can't be made an array"),
    "words for images": (lambda: ([("a.png", 0)], pillow()), "the training images are each a str of <U5; expected"),
    "other keys": (lambda: ([{"text": 1, "label": 0}], []), "come with the keys text, label; expected image or img"),
    "three values": (lambda: ([(*pillow()[0], 3)], []), "come in a tuple of 3; expected an image and its label"),
    "labels of unlike shapes": (
        lambda: (iter([(COLOUR[:2], LABELS[:2]), (COLOUR[:2], np.eye(2))]), []),
        "the training labels are of unlike shapes",
    ),
    "pixels hardly vary": (
        lambda: arrays(FIRST / 255.0**2),
        "of the training images hardly differ .* with pixels from 0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_one_line_about_data(case: str) -> None:
    data, expected = BAD[case]
    with pytest.raises(BadInput, match=f"^data: .*{expected}") as caught:
        load(data())
    assert caught.value.field == "data"
    assert "\n" not in str(caught.value)


def test_floats_of_any_form_stay_as_they_are() -> None:
    images = torch.randn(12, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    dataset = load(arrays(images))
    forms = (images.double(), images.clone().requires_grad_(), images.numpy().astype(">f4"), images.permute(0, 2, 3, 1))
    assert {load(arrays(form)).digest for form in forms} == {load(tensors(images.numpy())).digest} == {dataset.digest}
    assert torch.equal(pixels(dataset.train.images), images[:8])
    assert torch.equal(normalise(dataset.test.images, (0.0,) * 3, (1.0,) * 3), images[8:])
    assert dataset.notes == ()


def test_arrays_and_tensors_are_not_copied() -> None:
    x, y = torch.tensor(FIRST / 255.0, dtype=torch.float32), COLOUR.copy()
    assert given(arrays(x)).test.images.data_ptr() == x[8:].data_ptr()
    assert given(arrays(y)).train.images.data_ptr() == y.ctypes.data
    grey = y[..., :1].copy()
    raw = given(arrays(grey))
    assert raw.train.images.data_ptr() == grey.ctypes.data
    assert raw.train.images.stride() == raw.train.images.clone().stride()


def test_reading_draws_nothing_from_torchs_own_generator() -> None:
    torch.manual_seed(0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    given(tuple(DataLoader(part, 3, shuffle=True) for part in tensors()))
    assert torch.equal(torch.rand(1), drawn)


def test_images_of_inference_mode_can_be_trained_on() -> None:
    with torch.inference_mode():
        raw = given(arrays(torch.tensor(FIRST / 255.0)))
        assert torch.is_inference_mode_enabled()
    assert not any(tensor.is_inference() for part in (raw.train, raw.test) for tensor in (part.images, part.labels))


def test_more_comes_from_a_stream_than_there_was_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stitchtui.data.given._ROOM", 1)
    assert load(tuple(iter([pair]) for pair in zip(*[iter(arrays())] * 2, strict=True))).digest == load(arrays()).digest


def test_one_hot_labels_and_other_numbers_are_read_as_those_of_a_file() -> None:
    dataset = load(arrays(COLOUR.astype(np.int64), np.eye(3)[LABELS]))
    assert torch.equal(dataset.train.images, load(arrays()).train.images)
    assert dataset.train.labels.tolist() == LABELS[:8].tolist()
    assert len(dataset.notes) == 2


def test_floats_that_look_like_bytes_are_remarked() -> None:
    (note,) = load(arrays(FIRST.astype(np.float32))).notes
    assert note.startswith("float images from 0 to 255 are read as they are")


class Named(list[Any]):
    """A data set of items whose classes have names."""

    def __init__(self, items: Any, **names: Any) -> None:
        super().__init__(items)
        vars(self).update(names)


def test_names_of_classes_are_those_that_are_said_or_else_the_data_sets_own() -> None:
    names = ["cat", "dog", "emu"]
    known = Named(pillow(), classes=names)
    features = {"labels": type("ClassLabel", (), {"names": names})()}
    loader = DataLoader(tensors()[1], 2)
    for train in (Subset(known, range(8)), Named(dictionaries(), features=features)):
        assert load((train, loader)).classes == ("cat", "dog", "emu")
        assert load((train, loader), classes=["a", "b", "c", "d"]).classes == ("a", "b", "c", "d")
    assert load((Named(pillow(), classes=names[:2]), loader)).classes == ("0", "1", "2")
    with pytest.raises(BadInput, match="training part are cat, dog, emu, those of the test part emu, dog, cat"):
        given((known, Named(pillow(), classes=names[::-1])))


def test_what_a_loader_leaves_out_or_draws_anew_is_said() -> None:
    class Noisy(MapStyle[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return 9

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.rand(3, 6, 5), index % 3

    train = DataLoader(Noisy(), 4, shuffle=True, drop_last=True)
    raw = given((train, tensors(FIRST / np.float32(255))[1]))
    assert len(raw.train) == 8
    assert raw.notes == (
        "the training loader leaves 1 of 9 images out",
        "the training images come out otherwise each time (random augmentation): they were read once",
    )


def measured(images: torch.Tensor) -> dict[str, dict[str, float | None]]:
    """What a column between two networks comes to whose weights and normalisation are the same for all images."""
    labels = torch.arange(len(images)) % 4
    said = {"architecture": "memory:SmallConv", "normalisation": {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}}
    wanted = experiment(
        data={"name": "memory:mine"},
        networks={"a": said, "b": said},
        pairs=[{"bottom": "a", "top": "b"}],
        stitch={"cuts": ["blocks.0", "blocks.1"], "epochs": 3, "batch_size": 8},
        controls=[],
    )
    dataset = load((images[:48], labels[:48], images[48:], labels[48:]))
    networks = {}
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        networks[name] = SmallConv().eval()
    plan = resolve(wanted)
    measurer = Measurer(Session(plan.experiment, torch.device("cpu"), dataset, given=networks))
    events = [event for unit in (*plan.networks, *plan.units) for event in measurer.measure(unit)]
    return {
        event.cut: {name: value for name, value in event.measures.items() if name != "seconds"}
        for event in events
        if isinstance(event, CellFinished)
    }


def test_pixels_from_0_to_1_give_the_penalties_of_the_same_bytes_in_either_layout() -> None:
    images = torch.randint(256, (80, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    of_bytes = measured(images)
    assert of_bytes.keys() == {"blocks.0", "blocks.1"}
    assert measured(images.permute(0, 2, 3, 1).contiguous()) == of_bytes
    for cut, found in measured(images / 255).items():
        assert found == pytest.approx(of_bytes[cut], abs=1e-4)
