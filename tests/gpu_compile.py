"""Compiles every kernel for an H100, which takes no GPU: Triton's interpreter takes more than its compiler does.

Run by `test_gpu_kernels.py`; prints what each kernel was compiled to.
"""

import math

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nfcodec.fit.gpu import interpolation, network, optimizer, points, pyramid, rate, rounding, synthesis, tables

H100 = GPUTarget("cuda", 90, 32)
TYPES = {  # of arguments; what is not named here is int32
    **dict.fromkeys("features target weight flat d_features partial values companded d_values x noise out slope source shape".split(), "*fp32"),
    **dict.fromkeys("space factor theta table d_out means squares gradients effective factors settings log".split(), "*fp32"),
    **dict.fromkeys("point_weight shares facts idle".split(), "*fp32"),
    **dict.fromkeys("left_side right_side left_basis right_basis".split(), "*fp32"),
    **dict.fromkeys("first jobs programs places counter index info sizes samples columns bounds".split(), "*i32"),
    **{f"parts{k}": "*fp32" for k in range(4)},
    **dict.fromkeys(["index", *(f"first{k}" for k in range(4))], "*i32"),
    "constants": "*i8",
    **dict.fromkeys("steepness scale peak sigma keep_mean keep_square eps price beta least".split(), "fp32"),
}


def compile_kernel(module, name, options=None, types=None, **constants):
    """types: of arguments, where they are not those of TYPES."""
    kernel, types = getattr(module, name), TYPES | (types or {})
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
    done = triton.compile(ASTSource(fn=kernel, signature=signature, constexprs=constants), target=H100, options=options or {})
    print(module.__name__, name, len(done.asm["cubin"]), "bytes, tensor cores" if "mma" in done.asm["ptx"] else "bytes")


def main():
    for module, name, widths, n_skip, constants in (
        (synthesis, "_squared_error_kernel", (20, 16, 16, 3), 60, {"HAS_WEIGHT": True, "WANTS_FEATURES": True}),
        (rate, "_context_bits_kernel", (19, 16, 16, 2), 17, {"AS_CODED": True, "WANTS_VALUES": True}),
        (points, "_points_error_kernel", (13, 16, 16, 3), 39, {
            "HAS_WEIGHT": True, "HAS_SAMPLES": True, "WANTS_VALUES": True, "AXES": 2, "TAPS": 2, "VERTICES": 4, "COPIES": points._COPIES,
        }),
    ):
        net = network.Network(widths, n_skip)
        options = {"num_warps": module._WARPS, "num_stages": module._STAGES}
        types = network.operand_types("tfloat32")
        sizes = {"WIDTHS": widths, "PADDED": net.padded, "POINTS": module._POINTS}
        nothing = {key: False for key in constants if key.startswith("WANTS")}
        compile_kernel(module, name, options, WANTS=True, **sizes, **constants, **types)
        compile_kernel(module, name, options, WANTS=False, **sizes, **constants | nothing, **types)
    widths = {"W0": 1, "W1": 2, "W2": 2, "W3": 4, "N_PARTS": (1, 1, 3, 3)}
    for is_back in (False, True):
        compile_kernel(interpolation, "_interpolate_kernel", **widths, IS_BACK=is_back, POINTS=interpolation._POINTS)
    compile_kernel(rounding, "_noisy_round_kernel", VALUES=rounding._VALUES)
    table = {"SCHEDULE": rounding.SCHEDULE, "VALUES": rounding._VALUES}
    for is_hard in (False, True):
        compile_kernel(rounding, "_lay_out", IS_HARD=is_hard, **table)
    compile_kernel(rounding, "_adam", types={"factor": "fp32"}, **table)
    for is_back, is_last, highest in ((False, False, 4), (True, True, 8), (True, False, math.inf)):
        taps, lines, columns, warps = pyramid._SHAPES[highest]
        sizes = {"TAPS": taps, "LINES": lines, "COLUMNS": columns, "N_FIELDS": pyramid._N_FIELDS}
        compile_kernel(pyramid, "_lines_kernel", {"num_warps": warps}, IS_BACK=is_back, LAST=is_last, LOOP=highest > 8, **sizes)
    taps, entries = pyramid._LONG_ROWS
    compile_kernel(pyramid, "_long_rows_kernel", IS_BACK=True, TAPS=taps, POINTS=entries, N_FIELDS=pyramid._N_FIELDS)
    compile_kernel(tables, "_columns_kernel", VALUES=tables._VALUES)
    compile_kernel(tables, "_table_bits_kernel", WANTS_VALUES=True, VALUES=tables._VALUES)
    sizes = {"SCHEDULE": rounding.SCHEDULE, "N_SETTINGS": optimizer._N_SETTINGS, "N_INFO": optimizer._N_INFO}
    compile_kernel(optimizer, "_move_kernel", {"num_warps": optimizer._WARPS}, ROWS=64, COLUMNS=64, **sizes)


if __name__ == "__main__":
    main()
