"""Products of matrices. A frozen matrix is used as it is, transposed by the product itself: no second copy of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.rules import Call, broadcast_shapes, rule, unbroadcast


@rule("Gemm")
def gemm(call: Call) -> Sequence[str]:
    dy, (a, b) = call.dy[0], call.x[:2]
    turn_a, turn_b = bool(call.attribute("transA", 0)), bool(call.attribute("transB", 0))
    alpha, beta = float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0))
    results = ["", "", ""]
    if call.wanted[0]:
        if turn_a:
            results[0] = call.add("Gemm", b, dy, transA=int(turn_b), transB=1, alpha=alpha)
        else:
            results[0] = call.add("Gemm", dy, b, transA=0, transB=int(not turn_b), alpha=alpha)
    if call.wanted[1]:
        if turn_b:
            results[1] = call.add("Gemm", dy, a, transA=1, transB=int(turn_a), alpha=alpha)
        else:
            results[1] = call.add("Gemm", a, dy, transA=int(not turn_a), transB=0, alpha=alpha)
    if call.has(2) and call.wanted[2]:
        bias = call.match(dy, 2)
        if beta != 1.0:
            bias = call.build.note(call.add("Mul", bias, call.number(beta)), call.shape(2), call.x[2])
        results[2] = bias
    return results


@rule("MatMul")
def matmul(call: Call) -> Sequence[str]:
    dy, (a, b) = call.dy[0], call.x
    shape_a, shape_b = call.shape(0), call.shape(1)
    if len(shape_b) == 2 and len(shape_a) >= 2:
        return _by_matrix(call, dy)
    # A vector counts as a matrix of one row or column, and batches broadcast.
    rows = shape_a if len(shape_a) > 1 else (1, *shape_a)
    columns = shape_b if len(shape_b) > 1 else (*shape_b, 1)
    batch = broadcast_shapes(rows[:-2], columns[:-2])
    build = call.build
    dy = build.reshape(dy, (*batch, rows[-2], columns[-1]))
    results = ["", ""]
    if call.wanted[0]:
        turned = _turned(call, build.reshape(b, columns), columns)
        product = build.note(call.add("MatMul", dy, turned), (*batch, *rows[-2:]), a)
        results[0] = build.reshape(unbroadcast(build, product, rows, a), shape_a)
    if call.wanted[1]:
        turned = _turned(call, build.reshape(a, rows), rows)
        product = build.note(call.add("MatMul", turned, dy), (*batch, *columns[-2:]), b)
        results[1] = build.reshape(unbroadcast(build, product, columns, b), shape_b)
    return results


def _by_matrix(call: Call, dy: str) -> Sequence[str]:
    """The usual case: rows of any number of axes by one matrix."""
    (a, b), build = call.x, call.build
    shape_a, (inner, outer) = call.shape(0), call.shape(1)
    count = int(np.prod(shape_a[:-1]))
    flat = build.reshape(dy, (count, outer))
    results = ["", ""]
    if call.wanted[0]:
        product = build.note(call.add("Gemm", flat, b, transB=1), (count, inner), a)
        results[0] = build.reshape(product, shape_a)
    if call.wanted[1]:
        results[1] = call.add("Gemm", build.reshape(a, (count, inner)), flat, transA=1)
    return results


def _turned(call: Call, name: str, shape: tuple[int, ...]) -> str:
    rank = len(shape)
    return call.add("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])
