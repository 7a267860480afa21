"""What the machine says of itself, and which errors mean that memory ran out."""

import errno

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.base.device import is_out_of_memory

RAN_OUT = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB.",
    "HIP out of memory. Tried to allocate 20.00 MiB",
    "XPU out of memory, please use `empty_cache` to release all unoccupied cached memory.",
    "CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
    "CUDA driver error: out of memory",
    "HIP error: out of memory",
    "MPS backend out of memory (MPS allocated: 8.94 GB, other allocations: 1.00 MB, max allowed: 9.07 GB).",
    "Command buffer: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "Invalid buffer size: 24.00 GB",
    "Invalid buffer size: 24.00 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "rocblas error: rocblas_status_memory_error",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "CUDA error: CUSPARSE_STATUS_ALLOC_FAILED when calling `cusparseCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4503599627370496 bytes. Error code 12 (Cannot allocate memory)",
    "[enforce fail at alloc_cpu.cpp:115] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
    "unable to mmap 1024 bytes from file <x.pt>: Cannot allocate memory (12)",
    "std::bad_alloc",
]
SOMETHING_ELSE = [
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: device-side assert triggered",
    "CUDA error: misaligned address",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "unsupported memory format option Preserve",
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
    "location. Please clone() the tensor before performing the operation.",
    "Trying to create tensor with negative dimension -1: [-1]",
    "shape '[2, 3]' is invalid for input of size 5",
    "buffer size must be a multiple of element size",
    "Invalid buffer size: expected 4 entries",
    "",
]


class _Accelerator(RuntimeError):
    """As torch calls what a device's own runtime says, in its later versions."""


@pytest.mark.parametrize("kind", [RuntimeError, _Accelerator])
@pytest.mark.parametrize("text", RAN_OUT)
def test_memory_that_ran_out_is_known_by_its_words(text, kind):
    assert is_out_of_memory(kind(text))


@pytest.mark.parametrize("text", SOMETHING_ELSE)
def test_an_error_that_is_not_about_memory_is_not_taken_for_one(text):
    assert not is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(""), MemoryError(), OSError(errno.ENOMEM, "anything")])
def test_errors_of_their_own_need_no_words(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("ask", [lambda: torch.empty(2**50), lambda: np.empty(2**50), lambda: bytearray(2**60)])
def test_what_really_is_too_large_counts(ask):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        ask()
    assert is_out_of_memory(caught.value)


@given(st.sampled_from([ValueError, KeyError, TypeError, AttributeError]), st.sampled_from(RAN_OUT))
def test_words_count_only_in_errors_of_the_kind_that_torch_raises(kind, text):
    assert not is_out_of_memory(kind(text))


@given(st.sampled_from([error for error in errno.errorcode if error != errno.ENOMEM]))
def test_a_file_that_can_not_be_read_is_no_lack_of_memory(number):
    assert not is_out_of_memory(OSError(number, "out of memory.png"))
