"""A candidate in Triton: the engine's own kernel where sglang is installed, and otherwise the one below.

twincheck verify --platform cuda --candidate examples/python/triton_append.py

APPEND_KERNEL=own or =engine chooses one of the two. The engine's is compiled anew for every top_k, number of shared experts
and hidden size, so it is put to a few of each.
"""

import importlib
import math
import os
import sys

import torch
import triton
import triton.language as tl

runs_on = "hip" if torch.version.hip else "cuda"

SOURCES = {"constant": (), "weights": ("shared",), "logits": ("shared",), "gate": ("hidden", "gate")}
CODES = {"constant": 0, "weights": 1, "logits": 2, "gate": 3}
LAST_ID = {torch.int32: 2**31 - 1, torch.int64: 2**63 - 1}
WEIGHTS = (torch.float32, torch.bfloat16, torch.float16)


def bounds(name, matrix):
    """The first address of a matrix and the one past its last element; both 0 where it is empty."""
    rows, columns = matrix.shape
    if rows == 0 or columns == 0:
        return 0, 0
    first, stride, size = matrix.data_ptr(), matrix.stride(0), matrix.element_size()
    if rows > 1 and stride < columns:
        raise ValueError(f"{name} has row stride {stride}, expected at least {columns}")
    if first % size != 0:
        raise ValueError(f"{name} is misaligned")
    return first, first + ((rows - 1) * stride + columns) * size


def look(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out):
    """Raises ValueError for a mistake of the caller's. Nothing is launched before it has returned.

    Answers whether the routed ids and weights are still to be copied: in place they are not.
    """
    tokens, top_k = topk_ids.shape
    out_ids, out_weights = out
    if num_shared < 0 or base_id < 0 or remap < 0:
        raise ValueError(f"num_shared {num_shared}, base_id {base_id}, remap {remap}: expected none below zero")
    if num_shared > 0 and base_id + num_shared > LAST_ID.get(topk_ids.dtype, 0) + 1:
        raise ValueError(f"base_id {base_id}: the last shared expert's id does not fit {topk_ids.dtype}")
    if not math.isfinite(scale) or (source == "weights" and scale != 1.0):
        raise ValueError(f"scale is {scale}")
    if topk_ids.dtype not in LAST_ID or topk_weights.dtype not in WEIGHTS:
        raise ValueError(f"topk_ids is {topk_ids.dtype} and topk_weights {topk_weights.dtype}")
    if out_ids.dtype != topk_ids.dtype or out_weights.dtype != topk_weights.dtype:
        raise ValueError(f"out is {out_ids.dtype} and {out_weights.dtype}, expected the inputs' dtypes")
    wanted = (tokens, top_k + num_shared)
    if topk_weights.shape != topk_ids.shape or out_ids.shape != wanted or out_weights.shape != wanted:
        raise ValueError(f"topk_weights is not of topk_ids' shape, or out not of shape {wanted}")
    matrices = {"topk_ids": topk_ids, "topk_weights": topk_weights}
    for name, matrix in given.items():
        if (matrix is not None) != (name in SOURCES[source]):
            raise ValueError(f"{name} with source {source}")
        if matrix is not None:
            if matrix.dtype not in WEIGHTS or (name != "gate" and matrix.shape[0] != tokens):
                raise ValueError(f"{name} is {matrix.dtype} of shape {tuple(matrix.shape)}")
            matrices[name] = matrix
    if "shared" in matrices and matrices["shared"].shape[1] not in (num_shared, 1):
        raise ValueError(f"shared has {matrices['shared'].shape[1]} columns, expected {num_shared} or 1")
    if source == "gate":
        hidden, gate = matrices["hidden"], matrices["gate"]
        if hidden.dtype != gate.dtype or gate.shape != (1, hidden.shape[1]):
            raise ValueError(f"gate is {gate.dtype} of shape {tuple(gate.shape)}, hidden of {tuple(hidden.shape)}")
        if hidden.shape[1] == 0 and tokens > 0 and num_shared > 0:
            raise ValueError("hidden has no columns")

    extents = [(name, *bounds(name, matrix)) for name, matrix in matrices.items()]
    copies = []
    for name, twin, matrix in (("out_ids", "topk_ids", out_ids), ("out_weights", "topk_weights", out_weights)):
        first, last = bounds(name, matrix)
        in_place = False
        for other, begin, end in extents:
            if begin < last and first < end:
                in_place = other == twin and begin == first and remap == 0
                if not in_place or (tokens > 1 and matrices[twin].stride(0) != matrix.stride(0)):
                    raise ValueError(f"{name} overlaps {other}")
        extents.append((name, first, last))
        copies.append(not in_place)
    return copies


NOT_SPECIALIZED = (
    "topk_ids topk_weights shared hidden gate out_ids out_weights ids_stride weights_stride shared_stride hidden_stride "
    "out_ids_stride out_weights_stride top_k num_shared shared_columns hidden_size base_id remap scale copy_ids copy_weights"
).split()


@triton.jit
def scaled_sigmoid(x, scale):
    """scale / (1 + exp(-x)). tl.sigmoid rounds x * log2(e) once and is too far off below -44."""
    LOG2_E: tl.constexpr = 1.4426950216293335
    LOG2_E_REST: tl.constexpr = 1.925963033500e-08
    x = -tl.where(x < -88.0, -88.0, x)  # exp() stays finite; a NaN stays
    product = x * LOG2_E
    rest = tl.fma(x, LOG2_E, -product) + x * LOG2_E_REST
    rest = tl.where(tl.abs(rest) < 1.0, rest, 0.0)
    power = tl.exp2(product)
    return tl.div_rn(scale, 1.0 + (power + power * (rest * 0.6931471805599453)))


@triton.jit(do_not_specialize=NOT_SPECIALIZED)
def append_kernel(
    topk_ids,
    topk_weights,
    shared,
    hidden,
    gate,
    out_ids,
    out_weights,
    ids_stride: tl.int64,
    weights_stride: tl.int64,
    shared_stride: tl.int64,
    hidden_stride: tl.int64,
    out_ids_stride: tl.int64,
    out_weights_stride: tl.int64,
    top_k: tl.int64,
    num_shared: tl.int64,
    shared_columns: tl.int64,
    hidden_size: tl.int64,
    base_id: tl.int64,
    remap: tl.int64,
    scale: tl.float32,
    copy_ids: tl.int32,
    copy_weights: tl.int32,
    SOURCE: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """One program a token; any number of columns, a block at a time."""
    token = tl.program_id(0).to(tl.int64)
    dtype = out_weights.dtype.element_ty
    if SOURCE == 3:
        products = tl.zeros([BLOCK_H], tl.float32)
        for h in range(0, hidden_size, BLOCK_H):
            at = h + tl.arange(0, BLOCK_H)
            x = tl.load(hidden + token * hidden_stride + at, mask=at < hidden_size, other=0.0)
            g = tl.load(gate + at, mask=at < hidden_size, other=0.0)
            products += x.to(tl.float32) * g.to(tl.float32)
        gated = scaled_sigmoid(tl.sum(products), scale)
    for first in range(0, top_k + num_shared, BLOCK):
        slot = first + tl.arange(0, BLOCK).to(tl.int64)
        routed = slot < top_k
        appended = (slot >= top_k) & (slot < top_k + num_shared)
        expert = slot - top_k

        ids = tl.load(topk_ids + token * ids_stride + slot, mask=routed, other=0).to(tl.int64)
        if remap > 0:
            ids = tl.where(ids >= 0, ids + ids // remap * num_shared, ids)
        ids = tl.where(routed, ids, base_id + expert).to(out_ids.dtype.element_ty)
        tl.store(out_ids + token * out_ids_stride + slot, ids, mask=appended | (routed & (copy_ids != 0)))

        if SOURCE == 0:
            weights = tl.where(appended, scale, 0.0).to(dtype)
        elif SOURCE == 3:
            weights = tl.where(appended, gated, 0.0).to(dtype)
        else:
            column = tl.where(shared_columns == 1, 0, expert)
            weights = tl.load(shared + token * shared_stride + column, mask=appended, other=0.0)
            if SOURCE == 2:
                weights = scaled_sigmoid(weights.to(tl.float32), scale).to(dtype)
            elif shared.dtype.element_ty != dtype:
                weights = weights.to(tl.float32).to(dtype)
        copied = tl.load(topk_weights + token * weights_stride + slot, mask=routed, other=0.0)
        weights = tl.where(routed, copied, weights)
        tl.store(out_weights + token * out_weights_stride + slot, weights, mask=appended | (routed & (copy_weights != 0)))


def step(matrix):
    return matrix.stride(0) if matrix is not None else 0


def columns(matrix):
    return matrix.shape[1] if matrix is not None else 0


compiled = {}  # by source and dtypes: Triton's own search for one takes longer than its launch


# Answers the kernel that it launched, if any.
def own(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out, copies):
    shared, hidden, gate = given.values()
    tokens, top_k = topk_ids.shape
    if tokens == 0 or top_k + num_shared == 0:
        return None
    arguments = (
        topk_ids,
        topk_weights,
        shared,
        hidden,
        gate,
        out[0],
        out[1],
        step(topk_ids),
        step(topk_weights),
        step(shared),
        step(hidden),
        step(out[0]),
        step(out[1]),
        top_k,
        num_shared,
        columns(shared),
        columns(hidden),
        base_id,
        remap,
        scale,
        copies[0],
        copies[1],
        CODES[source],  # SOURCE
        64,  # BLOCK
        1024,  # BLOCK_H
    )
    source_of = shared if shared is not None else hidden
    key = source, topk_ids.dtype, topk_weights.dtype, source_of.dtype if source_of is not None else None
    if key in compiled:
        compiled[key][tokens, 1, 1](*arguments)
    else:
        compiled[key] = append_kernel[(tokens,)](*arguments, num_warps=2)
    return compiled[key]


def engine_function():
    """sglang's own function, and why there is none where there is none."""
    why = []
    for module in ("sglang.kernels.ops.moe", "sglang.srt.layers.moe.fused_moe_triton"):
        try:
            found = importlib.import_module(module + ".fused_moe_triton_kernels")
            return found.fused_append_shared_experts_with_weights, ""
        except (ImportError, AttributeError) as e:
            why.append(str(e))
    return None, "; ".join(why)


wanted_kernel = os.environ.get("APPEND_KERNEL", "")
engine, why_not = engine_function() if wanted_kernel != "own" else (None, "")
if engine is None and wanted_kernel != "own":
    if wanted_kernel == "engine":
        raise ImportError(f"sglang's kernel is not here: {why_not}")
    print(f"triton_append: sglang's kernel is not here ({why_not}); this is the example's own", file=sys.stderr)


def supports(case):
    if engine is None:
        return True
    if case.source == "constant" or case.remap != 0:
        return "the engine has other functions for a constant weight and for a remap"
    few = case.top_k in (1, 6, 8) and case.num_shared in (0, 1, 2)
    if case.source == "gate":
        few = few and case.hidden_size in (1, 64, 512, 2048)
    return few or "compiled for every top_k, number of shared experts and hidden size: a few of each"


def append(
    topk_ids, topk_weights, num_shared, base_id, *, source, shared=None, hidden=None, gate=None, scale=1.0, remap=0, out
):
    given = {"shared": shared, "hidden": hidden, "gate": gate}
    copies = look(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out)
    if engine is None:
        own(topk_ids, topk_weights, num_shared, base_id, source, given, scale, remap, out, copies)
        return None
    if topk_ids.shape[0] == 0:
        return None
    return engine(
        topk_ids,
        topk_weights,
        shared,
        num_shared,
        N=base_id,
        apply_sigmoid=source == "logits",
        fuse_gate=source == "gate",
        hidden_states=hidden,
        gate_weight=gate,
        scale=scale,
    )
