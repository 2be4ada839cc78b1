"""Helpers for kernels that are written with numpy, which has no bfloat16: its bits travel as uint16."""

import numpy as np


def bf16_to_f32(bits):
    """The numbers that bf16 bits stand for. Exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def f32_to_bf16(numbers):
    """The bits of f32 numbers rounded to bf16, once, to nearest even. Overflow becomes infinity, a NaN a quiet NaN."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    quiet = ((bits >> np.uint32(16)) | np.uint32(0x40)).astype(np.uint16)
    return np.where((bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000), quiet, rounded)


def to_f32(values):
    """f32 of an array of f32, f16, or bf16 bits. Exact."""
    return bf16_to_f32(values) if values.dtype == np.uint16 else values.astype(np.float32)


def from_f32(numbers, dtype):
    """f32 numbers in one of those dtypes, rounded once."""
    return f32_to_bf16(numbers) if dtype == np.uint16 else np.asarray(numbers, dtype=np.float32).astype(dtype)
