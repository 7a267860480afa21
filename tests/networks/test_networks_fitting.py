"""A file's weights arrive whole, wherever they lie and whatever they are called, or not at all; the rest is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from stitchtui.base.errors import BadInput
from stitchtui.networks.checkpoints import read
from stitchtui.networks.fitting import load_into
from stitchtui.networks.network import weight_digest

State = dict[str, Tensor]


class Net(nn.Module):
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(1, hidden, 3), nn.BatchNorm2d(hidden))
        self.fc = nn.Linear(hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer1(x).mean((2, 3)))


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = Net()


def made(seed: int, make: Callable[[], nn.Module] = Net) -> nn.Module:
    torch.manual_seed(seed)
    module = make()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1)
    return module.eval()


A, B = made(1).state_dict(), made(2).state_dict()


def under(prefix: str, state: State = A) -> State:
    return {prefix + key: value for key, value in state.items()}


def load(path: Path, saved: Any, module: nn.Module | None = None, part: str | None = None) -> tuple[State, tuple]:
    torch.save(saved, path)
    module = made(3) if module is None else module
    notes = load_into(module, read(path), 3, part=part)
    return module.state_dict(), notes


def refusal(path: Path, saved: Any, module: nn.Module | None = None, part: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        load(path, saved, module, part)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_a(state: State) -> bool:
    return all(torch.equal(state[name], value) for name, value in A.items())


ONE = torch.ones(3)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"state_dict": {**under("model."), "criterion.weight": ONE}}, "took state_dict.model, left out criterion"),
        ({"state_dict": {**A, "criterion.weight": ONE}}, "took state_dict, left out criterion"),
        ({**under("net."), "acc.total": ONE[0], "loss_fn.pos": ONE}, "took net, left out acc, loss_fn"),
        ({"module.model": A, "projector.0.weight": ONE}, "took module.model, left out projector"),
        ({**under("encoder."), **under("decoder.", {"0.weight": ONE})}, "took encoder, left out decoder"),
        ({"weights": A, "optimizer": {"state": {0: {"exp_avg": ONE}}}}, ""),
        ({"params": A, "epoch": 3}, ""),
        ({"state": A}, ""),
        ({"model": {"state_dict": A}}, ""),
        ({"model": under("module.model.")}, ""),
        ([A, 3, 0.5], ""),
        ((A, {"epoch": 3}), ""),
        ({"ema_state_dict": A}, "took ema_state_dict, a moving average of the weights"),
        ({"n_averaged": torch.tensor(3), **under("module.")}, ""),
        ({"model": A, "net": dict(A)}, "took model, left out net"),
    ],
)
def test_the_network_is_found_where_all_of_it_is_and_the_rest_is_named(tmp_path: Path, saved: Any, said: str) -> None:
    state, notes = load(tmp_path / "a.pt", saved)
    assert is_a(state)
    assert notes == ((said,) if said else ())


@given(
    st.lists(st.sampled_from(["model", "module", "net", "0", "_orig_mod", "x_y"]), max_size=4),
    st.lists(st.sampled_from(["state_dict", "model", "weights", "deep"]), max_size=3),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_prefix_in_any_nesting_is_found(
    tmp_path_factory: pytest.TempPathFactory, prefixes: list[str], nesting: list[str], more: bool
) -> None:
    saved: Any = under("".join(f"{prefix}." for prefix in prefixes))
    saved |= {"criterion.weight": ONE} if more else {}
    for key in nesting:
        saved = {key: saved, "epoch": 3}
    state, notes = load(tmp_path_factory.mktemp("saved") / "a.pt", saved)
    assert is_a(state)
    assert any("criterion" in note for note in notes) == more


@pytest.mark.parametrize("saved", [A, under("model."), {"state_dict": under("model.module.")}, under("net.")])
def test_a_class_with_a_prefix_takes_a_file_without_it_and_with_another(tmp_path: Path, saved: Any) -> None:
    state, _ = load(tmp_path / "a.pt", saved, made(3, Wrapped))
    assert is_a({name.removeprefix("model."): value for name, value in state.items()})


AVERAGED = [
    {"state_dict": A, "state_dict_ema": B},
    {"model": A, "model_ema": {"n_averaged": torch.tensor(3), **under("module.", B)}},
    {"params": A, "params_ema": B},
    {"state_dict": {**under("model."), **under("ema_model.module.", B)}},
    {**A, **under("averaged_model.", B)},
]


@pytest.mark.parametrize("saved", AVERAGED)
def test_a_moving_average_is_left_out_said_and_can_be_chosen(tmp_path: Path, saved: Any) -> None:
    state, (note,) = load(tmp_path / "a.pt", saved)
    assert is_a(state)
    assert note.startswith("left out ")
    assert "a moving average of the weights" in note
    place = note.partition("--part ")[2].removesuffix(") takes it")
    for part in (place, "averaged" if "averaged" in place else "ema"):
        state, (note,) = load(tmp_path / "a.pt", saved, part=part)
        assert torch.equal(state["fc.weight"], B["fc.weight"])
        assert note.startswith(f"took {place}, a moving average of the weights")


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ("student", "teacher", "student"),
        ("online_network", "target_network", "online"),
        ("actor.net", "critic.net", "actor"),
    ],
)
def test_of_several_networks_that_fit_one_has_to_be_chosen(tmp_path: Path, first: str, second: str, word: str) -> None:
    saved = {"state_dict": {**under(f"{first}."), **under(f"{second}.", B)}}
    text = refusal(tmp_path / "a.pt", saved)
    assert f"holds 2 networks that fit, at state_dict.{first}, state_dict.{second}; " in text
    assert "part = 'NAME' (--part NAME)" in text
    for part in (word, first, f"state_dict.{first}"):
        state, _ = load(tmp_path / "a.pt", saved, part=part)
        assert is_a(state)
    state, notes = load(tmp_path / "a.pt", saved, part=second)
    assert torch.equal(state["fc.weight"], B["fc.weight"])
    assert notes == (f"took state_dict.{second}, left out {first.partition('.')[0]}",)
    assert "'nobody' is not known; expected one of: " in refusal(tmp_path / "a.pt", saved, part="nobody")


def test_the_whole_file_is_chosen_by_a_dot(tmp_path: Path) -> None:
    saved = {**A, **under("teacher.", B)}
    assert "holds 2 networks that fit, at ., teacher; " in refusal(tmp_path / "a.pt", saved)
    assert is_a(load(tmp_path / "a.pt", saved, part=".")[0])
    assert "the file holds one network, leave `part` out" in refusal(tmp_path / "a.pt", A, part="teacher")


def test_a_part_that_does_not_fit_says_how(tmp_path: Path) -> None:
    saved = {"student": A, "teacher": made(2, lambda: Net(8)).state_dict()}
    assert is_a(load(tmp_path / "a.pt", saved)[0])
    text = refusal(tmp_path / "a.pt", saved, part="teacher")
    assert "layer1.0.weight has shape [8, 1, 3, 3], the architecture expects [4, 1, 3, 3]" in text


@pytest.mark.parametrize("extra", ["layer2.0.weight", "layer1.2.weight", "fc.scale", "module.layer2.0.weight"])
def test_a_file_with_one_layer_more_than_the_network_is_refused(tmp_path: Path, extra: str) -> None:
    text = refusal(tmp_path / "a.pt", {**A, extra: ONE})
    assert f"doesn't fit the architecture: unexpected {extra}" in text
    assert f"unexpected {extra}" in refusal(tmp_path / "a.pt", under("model.") | {f"model.{extra}": ONE})


@pytest.mark.parametrize(
    "layer", ["norm", "attention", "stem", "dense1", "proj", "memory_attention", "head_drop", "rotation_head"]
)
@pytest.mark.parametrize("weight", [torch.ones(4, 4), ONE], ids=["matrix", "scale of a norm"])
def test_a_layer_that_the_class_does_not_have_is_left_out_only_when_that_is_said(
    tmp_path: Path, layer: str, weight: torch.Tensor
) -> None:
    saved = {"state_dict": {**A, f"{layer}.weight": weight, f"{layer}.bias": ONE}}
    text = refusal(tmp_path / "a.pt", saved)
    assert f"has layers that the architecture doesn't: {layer}; " in text
    assert "say so: part = 'state_dict' (--part state_dict)" in text
    state, notes = load(tmp_path / "a.pt", saved, part="state_dict")
    assert is_a(state)
    assert notes == (f"took state_dict, left out {layer}",)


@pytest.mark.parametrize("name", ["projection_head", "decoder", "loss_fn", "ema_teacher", "aux1", "head"])
def test_what_only_training_needed_is_left_out_unasked(tmp_path: Path, name: str) -> None:
    state, notes = load(tmp_path / "a.pt", {**A, f"{name}.0.weight": torch.ones(4, 4)})
    assert is_a(state)
    assert notes == (f"left out {name}",)


def test_a_classifier_under_another_name_is_pointed_out(tmp_path: Path) -> None:
    saved = {("backbone." + k if "fc" not in k else k.replace("fc", "classifier")): v for k, v in A.items()}
    text = refusal(tmp_path / "a.pt", saved)
    assert "holds a backbone without class scores (missing fc.weight, fc.bias)" in text
    assert "if classifier.weight is its fc.weight, save it under that name" in text


def normed(kind: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        module = Net()
        kind(module.layer1[0])
        kind(module.fc)
        return module

    return make


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("old", "new"), [(weight_norm, parametrizations.weight_norm), (spectral_norm, parametrizations.spectral_norm)]
)
def test_old_and_new_norms_of_weights_read_each_others_files(tmp_path: Path, old: Any, new: Any) -> None:
    image = torch.rand(2, 1, 5, 5)
    for saved, loaded in ((old, new), (new, old)):
        first, second = made(1, normed(saved)), made(2, normed(loaded))
        torch.save({"state_dict": under("module.", first.state_dict())}, tmp_path / "a.pt")
        assert load_into(second, read(tmp_path / "a.pt"), 3) == ()
        torch.testing.assert_close(second(image), first(image))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight


@pytest.mark.parametrize("metadata", [True, False])
def test_a_tensor_under_two_names_may_be_in_the_file_under_one(tmp_path: Path, metadata: bool) -> None:
    saved, loaded = made(1, Tied), made(2, Tied)
    safetensors.torch.save_model(saved, str(tmp_path / "a.safetensors"))
    if not metadata:
        held = safetensors.torch.load_file(tmp_path / "a.safetensors")
        safetensors.torch.save_file(held, tmp_path / "a.safetensors")
    load_into(loaded, read(tmp_path / "a.safetensors"), 3)
    assert weight_digest(loaded) == weight_digest(saved)


def test_a_tensor_under_two_names_that_differ_is_refused(tmp_path: Path) -> None:
    state = {**made(1, Tied).state_dict(), "second.weight": torch.zeros(3, 3)}
    text = refusal(tmp_path / "a.pt", state, made(2, Tied))
    assert "first.weight and second.weight are one tensor of the network, and differ in the file" in text


def test_torchvisions_old_names_in_densenets_are_translated(tmp_path: Path) -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.ModuleDict({"norm1": nn.BatchNorm2d(2), "conv1": nn.Conv2d(2, 2, 1)})
            self.features = nn.ModuleDict({"denseblock1": nn.ModuleDict({"denselayer1": layer})})

    saved, loaded = made(1, Dense), made(2, Dense)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv1.", "conv.1."): value
        for name, value in saved.state_dict().items()
    }
    load(tmp_path / "a.pt", old, loaded)
    assert weight_digest(loaded) == weight_digest(saved)


class Renames(Net):
    """Reads what an earlier version of it wrote, `conv` for `layer1`, and says which version it is."""

    _version = 2

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        self.read = local_metadata.get("version")
        for name in [name for name in state_dict if name.startswith(f"{prefix}conv.")]:
            state_dict[name.replace("conv.", "layer1.", 1)] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_what_a_class_makes_of_its_old_names_holds(tmp_path: Path, wrap: Any) -> None:
    old = {name.replace("layer1", "conv"): value for name, value in A.items()}
    state, _ = load(tmp_path / "a.pt", wrap(old), made(3, Renames))
    assert is_a(state)
    text = refusal(tmp_path / "a.pt", wrap({**old, "fc.more": ONE}), made(3, Renames))
    assert "unexpected" in text


def test_a_class_is_told_which_version_of_it_wrote_the_file(tmp_path: Path) -> None:
    outer = nn.ModuleDict({"model": made(1, Renames)})
    torch.save({"state_dict": outer.state_dict()}, tmp_path / "a.pt")
    module = made(3, Renames)
    load_into(module, read(tmp_path / "a.pt"), 3)
    assert module.read == 2


def test_weights_of_half_and_double_precision_are_taken_and_whole_numbers_are_not(tmp_path: Path) -> None:
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in A.items()}
    assert is_a(load(tmp_path / "a.pt", doubled)[0])
    text = refusal(tmp_path / "a.pt", {**A, "fc.weight": torch.ones(3, 4, dtype=torch.int8)})
    assert "fc.weight holds numbers of type int8; expected floating-point weights" in text


def test_a_statistic_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    name = "layer1.1.running_var"
    assert f"{name} holds numbers that are not finite" in refusal(tmp_path / "a.pt", {**A, name: A[name] * torch.nan})
