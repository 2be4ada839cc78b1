"""A candidate with a mistake that has been made: the sigmoid's result is narrowed to bf16 before it is stored as f32.

    twincheck verify --candidate examples/python/wrong_append.py

With bf16 logits, as the engine has them, every weight looks plausible: it is right to three digits. The verdict is failed,
law appended_weights.
"""

import numpy as np

from twincheck import bf16_to_f32, f32_to_bf16


def supports(case):
    if case.source != "logits" or case.shared_dtype != "bf16":
        return "bf16 logits only"
    return case.weights_dtype == "f32" and case.remap == 0


def append(topk_ids, topk_weights, num_shared, base_id, *, source, shared, scale=1.0):
    tokens = topk_ids.shape[0]
    if shared.shape not in ((tokens, num_shared), (tokens, 1)) or topk_weights.shape != topk_ids.shape:
        raise ValueError("the inputs disagree in shape")
    if not (shared.flags.aligned and topk_ids.flags.aligned and topk_weights.flags.aligned):
        raise ValueError("an input is misaligned")
    if base_id < 0 or base_id + num_shared - 1 > np.iinfo(topk_ids.dtype).max or not np.isfinite(scale):
        raise ValueError("base_id or scale")
    for matrix in (topk_ids, topk_weights, shared):
        if matrix.size > 0 and matrix.shape[0] > 1 and matrix.strides[0] < matrix.shape[1] * matrix.itemsize:
            raise ValueError("a row stride below the columns")
    with np.errstate(all="ignore"):
        weight = np.float32(scale) / (np.float32(1) + np.exp(-bf16_to_f32(shared)))
    weight = bf16_to_f32(f32_to_bf16(weight))  # the mistake: the dtype of the logits is not that of the weights
    top_k = topk_ids.shape[1]
    ids = np.empty((tokens, top_k + num_shared), topk_ids.dtype)
    weights = np.empty((tokens, top_k + num_shared), topk_weights.dtype)
    ids[:, :top_k], weights[:, :top_k] = topk_ids, topk_weights
    ids[:, top_k:] = np.arange(base_id, base_id + num_shared, dtype=ids.dtype)
    weights[:, top_k:] = weight
    return ids, weights
