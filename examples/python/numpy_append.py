"""A candidate in numpy: every source, dtype, stride and in-place form, and every refusal that a tensor can express.

twincheck verify --candidate examples/python/numpy_append.py
"""

import math

import numpy as np

from twincheck import from_f32, to_f32

IDS = (np.dtype(np.int32), np.dtype(np.int64))
WEIGHTS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.uint16))  # uint16: the bits of bf16
SOURCES = {"constant": (), "weights": ("shared",), "logits": ("shared",), "gate": ("hidden", "gate")}


def require(condition, words):
    if not condition:
        raise ValueError(words)


def same_rows(a, b):
    """Whether the rows of two matrices begin at the same addresses."""
    first = a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    return first and (a.shape[0] <= 1 or a.strides[0] == b.strides[0])


def look(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out):
    """Raises ValueError for a mistake of the caller's. Nothing is written before it has returned."""
    tokens, top_k = topk_ids.shape
    require(num_shared >= 0, f"num_shared is {num_shared}")
    require(source in SOURCES, f"source is {source!r}")
    inputs = [topk_ids, topk_weights]
    for name, matrix in given.items():
        require((matrix is not None) == (name in SOURCES[source]), f"{name} with source {source}")
        if matrix is not None:
            require(matrix.dtype in WEIGHTS, f"{name} is {matrix.dtype}")
            inputs.append(matrix)
    out_ids, out_weights = out
    require(topk_ids.dtype in IDS, f"topk_ids is {topk_ids.dtype}")
    require(topk_weights.dtype in WEIGHTS, f"topk_weights is {topk_weights.dtype}")
    require(out_ids.dtype == topk_ids.dtype and out_weights.dtype == topk_weights.dtype, "out has another dtype")
    require(topk_weights.shape == (tokens, top_k), "topk_weights is not of topk_ids' shape")
    wanted = (tokens, top_k + num_shared)
    require(out_ids.shape == wanted and out_weights.shape == wanted, f"out is not of shape {wanted}")
    if source in ("weights", "logits"):
        columns = given["shared"].shape
        require(columns in ((tokens, num_shared), (tokens, 1)), f"shared is of shape {columns}")
    if source == "gate":
        hidden, gate = given["hidden"], given["gate"]
        require(hidden.dtype == gate.dtype, "hidden and gate differ in dtype")
        require(hidden.shape[0] == tokens, "hidden has another number of rows")
        require(gate.shape == (1, hidden.shape[1]), f"gate is of shape {gate.shape}")
        require(hidden.shape[1] > 0 or tokens == 0 or num_shared == 0, "hidden has no columns")
    for matrix in (*inputs, *out):
        if matrix.size > 0:
            rows, columns = matrix.shape
            require(rows == 1 or matrix.strides[0] >= columns * matrix.itemsize, "a row stride below the columns")
            require(matrix.flags.aligned, "a matrix is misaligned")
    require(math.isfinite(scale), f"scale is {scale}")
    require(source != "weights" or scale == 1.0, "scale with source weights")
    require(remap >= 0 and base_id >= 0, "remap or base_id below zero")
    require(num_shared == 0 or base_id + num_shared - 1 <= np.iinfo(topk_ids.dtype).max, "base_id is too large")
    require(not np.may_share_memory(out_ids, out_weights), "the outputs overlap")
    for output, twin in ((out_ids, topk_ids), (out_weights, topk_weights)):
        for matrix in inputs:
            if np.may_share_memory(output, matrix):
                require(matrix is twin and remap == 0 and same_rows(matrix, output), "an output overlaps an input")


def append(
    topk_ids, topk_weights, num_shared, base_id, *, source, shared=None, hidden=None, gate=None, scale=1.0, remap=0, out
):
    given = {"shared": shared, "hidden": hidden, "gate": gate}
    look(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out)
    out_ids, out_weights = out
    top_k = topk_ids.shape[1]
    if topk_ids.size > 0:
        if remap > 0:
            ids = topk_ids.astype(np.int64)
            out_ids[:, :top_k] = np.where(ids >= 0, ids + ids // remap * num_shared, ids).astype(topk_ids.dtype)
        elif not np.may_share_memory(out_ids, topk_ids):
            out_ids[:, :top_k] = topk_ids
        if not np.may_share_memory(out_weights, topk_weights):
            out_weights[:, :top_k] = topk_weights
    if num_shared == 0 or topk_ids.shape[0] == 0:
        return
    out_ids[:, top_k:] = np.arange(base_id, base_id + num_shared, dtype=topk_ids.dtype)
    with np.errstate(all="ignore"):
        if source == "weights" and shared.dtype == out_weights.dtype:
            out_weights[:, top_k:] = shared  # the bits
            return
        if source == "constant":
            value = np.full((1, 1), scale, np.float32)
        elif source == "weights":
            value = to_f32(shared)
        else:
            x = to_f32(shared) if source == "logits" else (to_f32(hidden) * to_f32(gate)).sum(axis=1, keepdims=True)
            value = np.float32(scale) / (np.float32(1) + np.exp(-x))
        out_weights[:, top_k:] = from_f32(value, out_weights.dtype)
