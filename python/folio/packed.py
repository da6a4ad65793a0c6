"""Weights in blocks of int8 and int4, as core/devices/packed_blocks.h lays them out."""

from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32  # weights under one scale, and rows of a panel
_INT4_VALUES = np.array(
    [-127, -100, -79, -62, -47, -34, -21, -9, 2, 13, 25, 36, 50, 65, 83, 107], np.float32
)


def packed_values(data: NDArray[Any], shape: Tuple[int, int], weights: str) -> NDArray[np.float32]:
    """The matrix [N, K] in float32. ValueError where `data` is not as long as that takes."""
    if weights not in ("int8", "int4"):
        raise ValueError(f"weights are int8 or int4, not {weights}")
    panels, records = (-(-n // _BLOCK) for n in shape)
    size = _BLOCK * _BLOCK // (2 if weights == "int4" else 1)
    wanted = panels * records * (size + 2 * _BLOCK)
    if data.nbytes != wanted:
        raise ValueError(
            f"{weights} of {shape[0]} x {shape[1]} take {wanted} bytes, not {data.nbytes}"
        )
    record = np.ascontiguousarray(data).view(np.uint8).reshape(panels, records, -1)
    codes = record[..., :size]
    if weights == "int8":  # [k / 4][row][k % 4]
        codes = codes.reshape(panels, records, 8, _BLOCK, 4)
        values = codes.transpose(0, 3, 1, 2, 4).astype(np.float32) - 128
    else:  # [k / 8][row][k % 4], the low half of a byte for k % 8 < 4
        codes = codes.reshape(panels, records, 4, _BLOCK, 4)
        halves = np.stack([codes & 15, codes >> 4], axis=3)
        # [panel, record, k / 8, half, row, k % 4]
        values = _INT4_VALUES[halves.transpose(0, 4, 1, 2, 3, 5)]
    values = values.reshape(panels, _BLOCK, records, _BLOCK)
    upper = np.ascontiguousarray(record[..., size:]).view("<u2").astype(np.uint32)  # bf16
    scales = (upper << 16).view(np.float32).transpose(0, 2, 1)  # [panel, row, record]
    matrix = (values * scales[..., None]).reshape(panels * _BLOCK, records * _BLOCK)
    return matrix[: shape[0], : shape[1]]
