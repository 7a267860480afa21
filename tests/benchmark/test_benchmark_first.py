import pytest

from stitchtui.benchmark import first
from stitchtui.benchmark.ways import Laboratory
from stitchtui.stitching import fit


def test_every_cut_has_its_penalty_after_one_pass_over_the_training_and_one_over_the_test_images(
    laboratory: Laboratory,
) -> None:
    found = first.first_numbers(laboratory)
    assert (found.training_passes, found.test_passes) == (1, 1)
    assert found.cells == laboratory.cells
    assert found.seconds > 0


def test_kept_features_lead_to_about_the_same_loss(laboratory: Laboratory) -> None:
    found = first.kept_features(laboratory)
    assert found is not None
    assert found.cut == laboratory.subject.cuts[4][0].name
    assert found.kept_loss == pytest.approx(found.fresh_loss, rel=0.2)
    assert 0 < found.over.low <= found.over.high


def test_without_memory_for_the_features_nothing_is_said_of_them(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object, **__: object) -> list[float]:
        raise fit.ViewsTooLarge("too large")

    monkeypatch.setattr(fit, "train_column", too_large)
    assert first.kept_features(laboratory) is None
