import subprocess
import sys

from stitchtui.spec.families import FAMILIES, includes, ladder_families, start_family


def test_the_ladder_goes_from_nothing_to_an_mlp() -> None:
    assert ladder_families() == (
        "identity",
        "permutation",
        "scaled_permutation",
        "orthogonal",
        "low_rank",
        "affine_scaled",
        "affine",
        "conv3",
        "conv5",
        "conv7",
        "conv9",
        "mlp",
    )


def test_no_family_includes_one_above_it_on_the_ladder() -> None:
    for place, larger in enumerate(ladder_families()):
        assert not any(includes(larger, higher) for higher in ladder_families()[place + 1 :])


def test_what_includes_what_is_told_across_steps_and_not_claimed_where_it_is_untrue() -> None:
    assert includes("conv9", "identity")
    assert includes("mlp", "low_rank")
    for one, other in (("orthogonal", "scaled_permutation"), ("low_rank", "identity"), ("mlp", "conv3")):
        assert not includes(one, other)
        assert not includes(other, one)


def test_a_family_that_reads_neighbours_is_included_in_none_that_keeps_positions() -> None:
    for larger in FAMILIES.values():
        for smaller in FAMILIES.values():
            if larger.keeps_positions and not smaller.keeps_positions:
                assert not includes(larger.name, smaller.name)


def test_a_family_without_a_closed_form_starts_from_the_affine_one() -> None:
    assert [start_family(name) for name in FAMILIES if not FAMILIES[name].closed_form] == ["affine", "affine"]
    assert all(start_family(name) == name for name in FAMILIES if FAMILIES[name].closed_form)


def test_whatever_contains_the_affine_maps_can_start_from_them() -> None:
    larger = {"affine", "conv3", "conv5", "conv7", "conv9", "mlp", "bn_affine_bn"}
    assert {name for name in FAMILIES if start_family(name, "affine") == "affine"} == larger
    assert {start_family(name, "permutation") for name in FAMILIES} == {"permutation"}


def test_what_is_known_of_families_needs_no_torch() -> None:
    code = "import sys, stitchtui.spec.families; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
