"""The only module that asks what the machine can do: devices, their best training precision, their memory."""

import errno
import platform
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor

from stitchtui.base.errors import BadInput

TURNS = threading.RLock()
"""Held by the thread that has torch's settings and generators, which are the process's, changed for a while."""

T = TypeVar("T")
Y = TypeVar("Y")

# How a device, its libraries and the CPU's allocator say so where torch has no error of its own: Metal, what calls CUDA
# or HIP past torch's allocator, cuBLAS and its sisters, malloc. A library that is "not initialized" may lack memory or
# something else, and says nothing of it.
_MEMORY_RAN_OUT = re.compile(
    r"out of memory|OutOfMemory|(can't|cannot) allocate memory|not enough memory|insufficient memory|bad_alloc"
    r"|invalid buffer size: [\d.]+ [kmgtp]i?b|(_STATUS|cufft|hipfft)_(\w+_)?alloc(ation)?_failed|_status_memory_error",
    re.IGNORECASE,
)


def pick(name: str) -> torch.device:
    """The device called `name`; `auto` takes CUDA, then MPS, then the CPU. Raises BadInput if it isn't there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput.at("--device", f"not usable here ({first}); expected auto, cpu, cuda or cuda:N", name) from None
    return device


def describe(device: torch.device) -> str:
    """The device's name for a record: `cuda:0 NVIDIA H100`, `cpu (2 threads)`."""
    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' * (threads > 1)})" if device.type == "cpu" else str(device)


def hardware() -> str:
    """The machine that this runs on, for a record: `AMD EPYC 7B13, 2 cores, 7.8 GiB`."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {psutil.cpu_count() or 1} cores, {memory:.1f} GiB"


def _processor() -> str:
    try:  # what the platform module says on Linux is no more than the architecture, or nothing
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def training_dtype(precision: str, device: torch.device) -> torch.dtype:
    """`auto` as a dtype: bfloat16 where the device computes in it, float32 elsewhere."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def compute_in_full_float32() -> None:
    """No TF32 behind float32's name: every reported error is evaluated in float32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or on the machine: an error of its own, or one that says so in words."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = isinstance(error, RuntimeError) and _MEMORY_RAN_OUT.search(str(error)) is not None
    return said or isinstance(error, torch.OutOfMemoryError | MemoryError)


def finish(device: torch.device) -> None:
    """Wait until the device has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def held_memory(device: torch.device) -> int:
    """The bytes held now: on the device for CUDA, what torch keeps for reuse included; by this process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return int(_process().memory_info().rss)


def memory_budget(device: torch.device, asked: int | None) -> int:
    """The bytes that a step of training may take: what was asked for, else a good part of what is free now."""
    if asked is not None:
        return asked
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(0.8 * (free + kept))
    return int(0.5 * psutil.virtual_memory().available)


@cache
def _process() -> psutil.Process:
    return psutil.Process()


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def drawn(device: torch.device) -> dict[str, Tensor]:
    """Where torch's global generators are, the CPU's and the device's, for `draw_on`."""
    state = {"generator": torch.get_rng_state()}
    return state if device.type != "cuda" else {**state, "device_generator": torch.cuda.get_rng_state(device)}


def draw_on(state: Mapping[str, Any], device: torch.device) -> None:
    """Have torch's global generators go on from where `drawn` said that they were."""
    torch.set_rng_state(state["generator"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["device_generator"], device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators seeded inside, and as they were outside."""
    with _as_before(device):
        torch.manual_seed(seed % 2**63)
        yield


def seeded_work(work: Generator[Y, None, T], seed: int, device: torch.device) -> Generator[Y, None, T]:
    """`work`, for which torch's global generators are seeded; in between they are as they were."""
    with seeded(seed, device):
        state = drawn(device)
    while True:
        with _as_before(device):
            draw_on(state, device)
            try:
                said = next(work)
            except StopIteration as ended:
                found: T = ended.value
                return found
            state = drawn(device)
        try:
            yield said
        except GeneratorExit:
            with _as_before(device):
                draw_on(state, device)
                work.close()
            raise


@contextmanager
def _as_before(device: torch.device) -> Iterator[None]:
    before = drawn(device)
    try:
        yield
    finally:
        draw_on(before, device)


class Settings:
    """What torch goes by in this process, kept apart from what the rest of the program has set.

    At first a new process's, with the threads there are and no TF32; then whatever was set inside, time after time.
    """

    def __init__(self) -> None:
        self._inside: Mapping[str, Any] = {
            **_settings(),
            "dtype": torch.float32,
            "matmul": "highest",
            "cudnn": False,
            "precisions": ["none"] * 3 + ["ieee"] * 6,
        }

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """These settings and no modes inside: with gradients; no inference mode, autocast or default device.

        One thread at a time, or each would take the other's settings for the program's.
        """
        with TURNS, ExitStack() as modes:
            outside = _settings()
            modes.enter_context(torch.inference_mode(False))
            modes.enter_context(torch.enable_grad())
            modes.enter_context(torch.device("cpu"))
            for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
                modes.enter_context(torch.autocast(kind, enabled=False))
            _set(self._inside)
            try:
                yield
            finally:
                self._inside = _settings()
                _set(outside)


def _settings() -> dict[str, Any]:
    said = {"threads": torch.get_num_threads(), "dtype": torch.get_default_dtype()}
    with suppress(RuntimeError):  # where the program has said it by torch's newer names
        said["matmul"] = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        said["cudnn"] = torch.backends.cudnn.allow_tf32
    return {**said, "precisions": [each.fp32_precision for each in _precise()]}


def _set(settings: Mapping[str, Any]) -> None:
    if settings["threads"] != torch.get_num_threads():
        torch.set_num_threads(settings["threads"])
    torch.set_default_dtype(settings["dtype"])
    if "matmul" in settings:
        torch.set_float32_matmul_precision(settings["matmul"])
    if "cudnn" in settings:
        torch.backends.cudnn.allow_tf32 = settings["cudnn"]
    for each, precision in zip(_precise(), settings["precisions"], strict=True):
        each.fp32_precision = "none"  # it may say what one before it says, and go on doing so
        if each.fp32_precision != precision:
            each.fp32_precision = precision


def _precise() -> tuple[Any, ...]:
    """What has a precision for float32, each after what it goes by where it says none."""
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    operations = cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn  # type: ignore[attr-defined]
    return (torch.backends, cudnn, mkldnn, *operations)
