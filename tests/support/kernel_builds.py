"""Compile kernels for a GPU that need not be there, and print what the machine code is made of, as JSON."""

from __future__ import annotations

import json
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from straightedge.kernels import fused
from straightedge.kernels.loss_kernels import hinge_kernel, softmax_kernel
from straightedge.kernels.product_kernels import gradient_kernel, score_kernel
from straightedge.kernels.splitting import KINDS

NAMES = {"uint8": "u8", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def build(kernel, pointers: dict[str, str], constants: dict[str, object], capability: int, **options: int):
    """Compile a kernel: arguments that are neither pointers nor constants are int32, ``limit`` is float32."""
    kinds = {"limit": "fp32"} | {name: f"*{kind}" for name, kind in pointers.items()}
    signature = {a: "constexpr" if a in constants else kinds.get(a, "i32") for a in kernel.arg_names}
    aligned = {*pointers, "n_features", "part_stride"}
    attributes = {(i,): [["tt.divisibility", 16]] for i, a in enumerate(kernel.arg_names) if a in aligned}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    return {"shared_memory": built.metadata.shared, "wgmma": built.asm["ptx"].count("wgmma.mma_async")}


def products(dtype: str, n_columns: int, capability: int):
    """Compile both products for rows of one type."""
    kind = KINDS[dtype]
    tiles = fused.tiles_for(n_columns, kind)
    numbers = {"OPERAND": fused._TYPES[kind.operand], "PRECISION": "tf32x3", "PARTS": kind.n_parts}
    parts = NAMES[str(kind.operand).removeprefix("torch.")]
    floats = dict.fromkeys(("A", "S", "scale", "unscale", "offset", "sums"), "fp32") | {"X": NAMES[dtype]}
    of = {name: floats[name] for name in ("X", "unscale", "offset", "S")} | {"parts": parts}
    to = {name: floats[name] for name in ("X", "A", "scale", "unscale", "sums")}
    shape = {"ROWS": tiles.long, "COLUMNS": tiles.columns, "FEATURES": tiles.step}
    turned = {"ROWS": tiles.step, "COLUMNS": tiles.columns, "FEATURES": tiles.long}
    options = {"num_warps": tiles.warps, "num_stages": tiles.stages}
    scores = build(score_kernel, of, numbers | shape | {"GROUP": 8}, capability, **options)
    cut = {"TRUNCATE": dtype == "bfloat16"}
    return [scores, build(gradient_kernel, to, numbers | turned | cut, capability, **options)]


def losses(n_classes: int, capability: int):
    """Compile the losses."""
    pointers = {"S": "fp32", "y": "i64", "values": "fp32"}
    shape = {"ROWS": max(1, 4096 // n_classes // 2), "CLASSES": n_classes}
    found = [build(hinge_kernel, pointers, shape | {"SQUARED": squared}, capability) for squared in (0, 1)]
    return [build(softmax_kernel, pointers, shape, capability), *found]


if __name__ == "__main__":
    capability, *wanted = sys.argv[1:]
    out = {}
    for name in wanted:
        what, columns = name.split(":")
        make = losses if what == "losses" else lambda *a, what=what: products(what, *a)
        out[name] = make(int(columns), int(capability))
    json.dump(out, sys.stdout)
