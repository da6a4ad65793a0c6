"""Inputs that C++ (values.h) and Python make alike, bit for bit, without a library.

Word i of a seed is the splitmix64 mix of seed * 2^32 + i + 1; its upper 24 bits w make the value
offset + scale * (w / 2^23 - 1), worked out in f64, or the token w mod vocab. With scales that are
powers of two every scaled value is exact in f32 as well.
"""

import numpy as np
import torch


def words(seed, n):
    """The first n words of 24 bits of `seed`, as uint64."""
    return mix(np.uint64(seed << 32) + np.arange(1, n + 1, dtype=np.uint64))


def mix(z):
    """The words of the numbers z."""
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(40)


def values(seed, n, scale=1.0, offset=0.0):
    """n numbers of f64 in [offset - scale, offset + scale)."""
    return offset + scale * (words(seed, n).astype(np.float64) / 2.0**23 - 1.0)


def tokens(seed, n, vocab):
    """n token ids in [0, vocab)."""
    return (words(seed, n) % np.uint64(vocab)).astype(np.int64)


def tensor(spec, dtype):
    """The tensor that a spec of parity.json or ops.json describes: shape, seed and either
    scale and offset or vocab."""
    n = int(np.prod(spec["shape"], dtype=np.int64))
    if "vocab" in spec:
        return torch.from_numpy(tokens(spec["seed"], n, spec["vocab"])).reshape(spec["shape"])
    numbers = values(spec["seed"], n, spec["scale"], spec.get("offset", 0.0))
    return torch.from_numpy(numbers).to(dtype).reshape(spec["shape"])
