"""Writes triton_append.py's kernel as a code object: append_logits.cubin (or .hsaco) and append_logits.json, for i32 ids,
f32 weights and bf16 logits.

APPEND_KERNEL=own python3 examples/code_object/from_triton.py [FOLDER]
"""

import json
import os
import sys

import torch
import triton

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
os.environ["APPEND_KERNEL"] = "own"
from triton_append import append_kernel, own, runs_on  # noqa: E402

T, K, S = 4, 6, 2
ids = torch.zeros((T, K), dtype=torch.int32, device="cuda")
weights = torch.zeros((T, K), dtype=torch.float32, device="cuda")
given = {"shared": torch.zeros((T, S), dtype=torch.bfloat16, device="cuda"), "hidden": None, "gate": None}
out = (torch.empty((T, K + S), dtype=torch.int32, device="cuda"), torch.empty((T, K + S), device="cuda"))
kernel = own(ids, weights, S, 64, "logits", given, 1.0, 0, out, (1, 1))
kind = "hsaco" if runs_on == "hip" else "cubin"

names = ["topk_ids.data", "topk_weights.data", "shared.data", "out_ids.data", "out_weights.data"]
names += [m + ".row_stride" for m in ("topk_ids", "topk_weights", "shared", "hidden", "out_ids", "out_weights")]
names += ["topk_ids.cols", "num_shared", "shared.cols", "hidden.cols", "base_id", "remap_local_routed", "scale"]
names += [{"i32": 1}, {"i32": 1}]  # copy_ids, copy_weights: in place is not supported below
names += [{"pointer": 0}, {"pointer": 0}]  # Triton's own, for scratch memory
description = {
    "symbol": kernel.metadata.name,
    "arguments": names,
    "grid": {"per": "row", "each": 1},
    "block": kernel.metadata.num_warps * (kernel.metadata.warp_size if hasattr(kernel.metadata, "warp_size") else 32),
    "shared_memory": kernel.metadata.shared,
    "supports": {
        "source": ["logits"],
        "ids_dtype": ["i32"],
        "weights_dtype": ["f32"],
        "shared_dtype": ["bf16"],
        "in_place": ["none"],
    },
}
stem = os.path.join(sys.argv[1] if len(sys.argv) > 1 else ".", "append_logits")
with open(f"{stem}.{kind}", "wb") as file:
    file.write(kernel.asm[kind])
with open(stem + ".json", "w") as file:
    json.dump(description, file, indent=2)
print(f"{stem}.{kind}: {description['symbol']}, Triton {triton.__version__}")
