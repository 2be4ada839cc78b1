"""Writes triton_append.py's kernel as a code object: append_logits.cubin (or .hsaco) and append_logits.json, for i32 ids,
f32 weights and bf16 logits. It compiles for the GPU of this machine, or for another one; then it needs none.

python3 examples/code_object/from_triton.py [--target cuda:90 | hip:gfx942] [FOLDER]
"""

import argparse
import json
import os
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
os.environ["APPEND_KERNEL"] = "own"
from triton_append import CODES, append_kernel  # noqa: E402

# A kernel parameter: its type as Triton has it, and the argument as the JSON has it.
PARAMETERS = {
    "topk_ids": ("*i32", "topk_ids.data"),
    "topk_weights": ("*fp32", "topk_weights.data"),
    "shared": ("*bf16", "shared.data"),
    "out_ids": ("*i32", "out_ids.data"),
    "out_weights": ("*fp32", "out_weights.data"),
    "ids_stride": ("i64", "topk_ids.row_stride"),
    "weights_stride": ("i64", "topk_weights.row_stride"),
    "shared_stride": ("i64", "shared.row_stride"),
    "hidden_stride": ("i64", "hidden.row_stride"),
    "out_ids_stride": ("i64", "out_ids.row_stride"),
    "out_weights_stride": ("i64", "out_weights.row_stride"),
    "top_k": ("i64", "topk_ids.cols"),
    "num_shared": ("i64", "num_shared"),
    "shared_columns": ("i64", "shared.cols"),
    "hidden_size": ("i64", "hidden.cols"),
    "base_id": ("i64", "base_id"),
    "remap": ("i64", "remap_local_routed"),
    "scale": ("fp32", "scale"),
    "copy_ids": ("i32", {"i32": 1}),  # in place is not supported below
    "copy_weights": ("i32", {"i32": 1}),
}
CONSTANTS = {"hidden": None, "gate": None, "SOURCE": CODES["logits"], "BLOCK": 64, "BLOCK_H": 1024}


def target_of(text):
    backend, _, arch = text.partition(":")
    if backend == "cuda" and arch.isdigit():
        return GPUTarget("cuda", int(arch), 32)
    if backend == "hip" and arch.startswith("gfx"):
        return GPUTarget("hip", arch, 64 if arch.startswith("gfx9") else 32)
    raise argparse.ArgumentTypeError(f"found {text}, expected cuda:90, hip:gfx942 or the like")


parser = argparse.ArgumentParser()
parser.add_argument("--target", type=target_of)
parser.add_argument("folder", nargs="?", default=".")
options = parser.parse_args()
target = options.target or triton.runtime.driver.active.get_current_target()

signature = {name: "constexpr" if name in CONSTANTS else PARAMETERS[name][0] for name in append_kernel.arg_names}
kernel = triton.compile(ASTSource(append_kernel, signature, CONSTANTS), target=target, options={"num_warps": 2})
kind = "hsaco" if target.backend == "hip" else "cubin"
description = {
    "symbol": kernel.metadata.name,
    "arguments": [PARAMETERS[name][1] for name in append_kernel.arg_names if name not in CONSTANTS]
    + [{"pointer": 0}, {"pointer": 0}],  # Triton's own, for scratch memory
    "grid": {"per": "row", "each": 1},
    "block": kernel.metadata.num_warps * target.warp_size,
    "shared_memory": kernel.metadata.shared,
    "supports": {
        "source": ["logits"],
        "ids_dtype": ["i32"],
        "weights_dtype": ["f32"],
        "shared_dtype": ["bf16"],
        "in_place": ["none"],
    },
}
stem = os.path.join(options.folder, "append_logits")
with open(f"{stem}.{kind}", "wb") as file:
    file.write(kernel.asm[kind])
with open(stem + ".json", "w") as file:
    json.dump(description, file, indent=2)
print(f"{stem}.{kind}: {description['symbol']} for {target.backend} {target.arch}, Triton {triton.__version__}")
