"""Writes ops.json: every differentiable op and its gradients, in f64, by PyTorch (README.md)."""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import values

B, T, C, V = 2, 5, 8, 11
X = [B, T, C]
GELU = {"gelu_erf": "none", "gelu_tanh": "tanh"}


def numbers(shape, scale=1.0, offset=0.0):
    return {"shape": shape, "scale": scale, "offset": offset}


def ids(shape, vocab):
    return {"shape": shape, "vocab": vocab}


def linear(x, w, b=None):
    return F.linear(x, w, b)


def layer_norm(x, w, b=None, eps=1e-5):
    return F.layer_norm(x, (x.shape[-1],), w, b, eps)


def gelu(kind):
    return lambda x: F.gelu(x, approximate=GELU[kind])


def embedding(tokens, wte, wpe):
    return wte[tokens] + wpe[: tokens.shape[1]]


def attention(qkv, n_head):
    """The formula itself, softmax(q k^T / sqrt(d)) v over the keys at or before each query."""
    b, t, c3 = qkv.shape
    q, k, v = (part.view(b, t, n_head, -1).transpose(1, 2) for part in qkv.split(c3 // 3, dim=2))
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    hidden = torch.ones(t, t, dtype=torch.bool).triu(1)
    y = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
    return y.transpose(1, 2).reshape(b, t, c3 // 3)


def feed_forward(x, w_fc, b_fc=None, w_proj=None, b_proj=None, act="gelu_erf"):
    return F.linear(gelu(act)(F.linear(x, w_fc, b_fc)), w_proj, b_proj)


def cross_entropy(x, w, targets):
    """`targets` counts from 0 to V: V stands for -1, ignored."""
    targets = torch.where(targets == w.shape[0], -1, targets)
    return F.cross_entropy((x @ w.T).flatten(0, -2), targets.flatten(), ignore_index=-1)


UNARY = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "log": torch.log,
    "square": torch.square,
    "sqrt": torch.sqrt,
}
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}


def unary(function):
    return lambda x: function(x)


def binary(function):
    return lambda a, b: function(a, b)


def matmul(a, b, transpose_a, transpose_b):
    return (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)


def reduction(function):
    return lambda x, axis, keepdim: function(x, dim=axis, keepdim=keepdim)


def largest(x, dim, keepdim):
    return x.max(dim=dim, keepdim=keepdim).values


def softmax_of_causal_mask(x):
    t, s = x.shape[-2:]
    hidden = torch.ones(t, s, dtype=torch.bool).triu(s - t + 1)
    return x.masked_fill(hidden, -math.inf).softmax(-1)


def logits_cross_entropy(x, targets):
    """`targets` counts from 0 to V: V stands for -1, ignored."""
    targets = torch.where(targets == x.shape[-1], -1, targets)
    return F.cross_entropy(x.flatten(0, -2), targets.flatten(), ignore_index=-1)


def rms_norm(x, w=None, eps=1e-5):
    return F.rms_norm(x, (x.shape[-1],), w, eps)


FEED_FORWARD = {
    "x": numbers(X),
    "w_fc": numbers([4 * C, C]),
    "b_fc": numbers([4 * C]),
    "w_proj": numbers([C, 4 * C]),
    "b_proj": numbers([C]),
}
NO_BIAS = {name: spec for name, spec in FEED_FORWARD.items() if not name.startswith("b_")}
NORM = {"x": numbers(X, 2.0, 0.5), "w": numbers([C], 0.5, 1.0)}
CROSS = {"x": numbers(X, 2.0), "w": numbers([V, C])}
# Shapes that go together by broadcasting.
PAIRS = {
    "row": (X, [C]),
    "column": ([B, T, 1], X),
    "middle": ([B, 1, C], [T, 1]),
    "scalar": (X, []),
}

# (op, variant, function, inputs, attributes): the op's and the inputs' names are folio's.
OPS = [
    ("add", "", lambda a, b: a + b, {"a": numbers(X), "b": numbers(X)}, {}),
    ("scale", "", lambda x, factor: x * factor, {"x": numbers(X)}, {"factor": -0.375}),
    ("gelu_erf", "", gelu("gelu_erf"), {"x": numbers([6, 16], 6.0)}, {}),
    ("gelu_tanh", "", gelu("gelu_tanh"), {"x": numbers([6, 16], 6.0)}, {}),
    ("linear", "bias", linear, {"x": numbers(X), "w": numbers([12, C]), "b": numbers([12])}, {}),
    ("linear", "no_bias", linear, {"x": numbers(X), "w": numbers([12, C])}, {}),
    ("layer_norm", "bias", layer_norm, {**NORM, "b": numbers([C])}, {"eps": 1e-5}),
    ("layer_norm", "no_bias", layer_norm, NORM, {"eps": 1e-5}),
    ("layer_norm", "large_eps", layer_norm, NORM, {"eps": 0.25}),
    (
        "embedding",
        "",
        embedding,
        {"tokens": ids([B, T], V), "wte": numbers([V, C]), "wpe": numbers([T + 2, C])},
        {},
    ),
    ("attention", "one_head", attention, {"qkv": numbers([B, T, 3 * C], 2.0)}, {"n_head": 1}),
    ("attention", "two_heads", attention, {"qkv": numbers([B, T, 3 * C], 2.0)}, {"n_head": 2}),
    ("attention", "one_position", attention, {"qkv": numbers([B, 1, 3 * C], 2.0)}, {"n_head": 2}),
    ("linear_cross_entropy", "", cross_entropy, {**CROSS, "targets": ids([B, T], V)}, {}),
    (
        "linear_cross_entropy",
        "ignored",
        cross_entropy,
        {**CROSS, "targets": ids([B, T], V + 1)},
        {},
    ),
    ("feed_forward", "gelu_erf", feed_forward, FEED_FORWARD, {"act": "gelu_erf"}),
    ("feed_forward", "gelu_tanh", feed_forward, FEED_FORWARD, {"act": "gelu_tanh"}),
    ("feed_forward", "no_bias", feed_forward, NO_BIAS, {"act": "gelu_erf"}),
]


def transposed(shape, flip):
    return [*shape[:-2], shape[-1], shape[-2]] if flip else shape


# In this order behind the others, whose seeds come from their places.
POSITIVE = {"log", "sqrt"}
OPS += [
    (name, "", unary(f), {"x": numbers(X, 1.0, 1.5) if name in POSITIVE else numbers(X, 4.0)}, {})
    for name, f in UNARY.items()
]
OPS += [
    (name, variant, binary(f), {"a": numbers(a, 2.0), "b": numbers(b, 1.0, 2.0)}, {})
    for name, f in BINARY.items()
    for variant, (a, b) in {"same": (X, X), **PAIRS}.items()
]
OPS += [
    (
        "matmul",
        f"{variant}_{int(flip_a)}{int(flip_b)}",
        matmul,
        {"a": numbers(transposed(a, flip_a)), "b": numbers(transposed(b, flip_b))},
        {"transpose_a": flip_a, "transpose_b": flip_b},
    )
    for variant, a, b in [
        ("matrices", [5, 8], [8, 7]),
        ("batch", [2, 3, 5, 8], [2, 3, 8, 7]),
        ("one_a", [5, 8], [2, 8, 7]),
        ("one_b", [2, 5, 8], [8, 7]),
    ]
    for flip_a in (False, True)
    for flip_b in (False, True)
]
OPS += [
    (name, f"axis_{axis}", reduction(f), {"x": numbers(X)}, {"axis": axis, "keepdim": axis == 1})
    for name, f in {"sum": torch.sum, "mean": torch.mean, "max": largest}.items()
    for axis in range(3)
]
OPS += [
    ("softmax", "", lambda x: x.softmax(-1), {"x": numbers(X, 4.0)}, {}),
    ("log_softmax", "", lambda x: x.log_softmax(-1), {"x": numbers(X, 4.0)}, {}),
    ("causal_mask", "", softmax_of_causal_mask, {"x": numbers([2, 5, 5], 4.0)}, {}),
    ("causal_mask", "past", softmax_of_causal_mask, {"x": numbers([2, 3, 5], 4.0)}, {}),
    ("rms_norm", "weight", rms_norm, NORM, {"eps": 1e-5}),
    ("rms_norm", "no_weight", rms_norm, {"x": numbers(X, 2.0, 0.5)}, {"eps": 0.25}),
    ("reshape", "", lambda x, shape: x.reshape(shape), {"x": numbers(X)}, {"shape": [4, 20]}),
    ("transpose", "", lambda x, i, j: x.transpose(i, j), {"x": numbers(X)}, {"i": 1, "j": -1}),
    ("transpose", "runs", lambda x, i, j: x.transpose(i, j), {"x": numbers(X)}, {"i": 1, "j": 0}),
    (
        "slice",
        "",
        lambda x, axis, begin, end: x.narrow(axis, begin, end - begin),
        {"x": numbers(X)},
        {"axis": 1, "begin": 1, "end": 4},
    ),
    (
        "concat",
        "",
        lambda a, b, axis: torch.cat([a, b], axis),
        {"a": numbers(X), "b": numbers([B, 3, C])},
        {"axis": 1},
    ),
    ("take_rows", "", lambda ids, x: x[ids], {"ids": ids([B, T], V), "x": numbers([V, C])}, {}),
    (
        "cross_entropy",
        "ignored_in_logits",
        logits_cross_entropy,
        {"x": numbers([B, T, V], 4.0), "targets": ids([B, T], V + 1)},
        {},
    ),
]




def softcap(x, cap):
    return cap * torch.tanh(x / cap)


def swiglu(x):
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


def gated_feed_forward(x, w_fc, b_fc, w_proj, b_proj, act):
    return F.linear(swiglu(F.linear(x, w_fc, b_fc)), w_proj, b_proj)


def capped_cross_entropy(x, w, targets, cap):
    return F.cross_entropy(softcap(x @ w.T, cap).flatten(0, -2), targets.flatten())


def in_heads(qkv, n_head, n_kv_head):
    """Queries, keys and values [b, heads, t, width], each of its own number of heads."""
    b, t, columns = qkv.shape
    width = columns // (n_head + 2 * n_kv_head)
    parts = qkv.split([n_head * width, n_kv_head * width, n_kv_head * width], dim=2)
    return [part.view(b, t, -1, width).transpose(1, 2) for part in parts]


def shared_attention(qkv, n_head, n_kv_head, window):
    q, k, v = in_heads(qkv, n_head, n_kv_head)
    b, t = qkv.shape[:2]
    at = torch.arange(t)
    seen = at[None, :] <= at[:, None]
    if window:
        seen &= at[None, :] > at[:, None] - window
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    return y.transpose(1, 2).reshape(b, t, -1)


def rotary(qkv, n_head, n_kv_head, theta, first, eps=None, q_norm=None, k_norm=None):
    """Llama's rotate_half, in transformers' words, after Qwen3's norm of each head."""
    b, t = qkv.shape[:2]
    q, k, v = in_heads(qkv, n_head, n_kv_head)
    width = q.shape[-1]
    if eps is not None:
        q, k = F.rms_norm(q, (width,), q_norm, eps), F.rms_norm(k, (width,), k_norm, eps)
    speeds = 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(first, first + t, dtype=torch.float64)[:, None] * speeds
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()

    def turned(x):
        half = torch.cat([-x[..., width // 2 :], x[..., : width // 2]], -1)
        return x * cos + half * sin

    return torch.cat([x.transpose(1, 2).reshape(b, t, -1) for x in (turned(q), turned(k), v)], 2)


QKV = {"qkv": numbers([B, T, 32], 2.0)}  # four heads of 4 that share two
SHARED = {"n_head": 4, "n_kv_head": 2}
GATED = {
    "x": numbers(X),
    "w_fc": numbers([24, C]),
    "b_fc": numbers([24]),
    "w_proj": numbers([C, 12]),
    "b_proj": numbers([C]),
}
OPS += [
    ("relu2", "", lambda x: torch.relu(x).square(), {"x": numbers(X, 4.0)}, {}),
    ("softcap", "", softcap, {"x": numbers(X, 8.0)}, {"cap": 5.0}),
    ("swiglu", "", swiglu, {"x": numbers(X, 4.0)}, {}),
    ("feed_forward", "swiglu", gated_feed_forward, GATED, {"act": "swiglu"}),
    (
        "linear_cross_entropy",
        "capped",
        capped_cross_entropy,
        {**CROSS, "targets": ids([B, T], V)},
        {"cap": 4.0},
    ),
    ("attention", "shared", shared_attention, QKV, {**SHARED, "window": 0}),
    ("attention", "window", shared_attention, QKV, {**SHARED, "window": 3}),
    ("rotary", "turned", rotary, QKV, {**SHARED, "theta": 100.0, "first": 0}),
    ("rotary", "far", rotary, QKV, {**SHARED, "theta": 10000.0, "first": 70000}),
    (
        "rotary",
        "normed",
        rotary,
        {**QKV, "q_norm": numbers([4], 0.5, 1.0), "k_norm": numbers([4], 0.5, 1.0)},
        {**SHARED, "theta": 100.0, "first": 3, "eps": 1e-2},
    ),
]


def run(row, op, variant, function, inputs, attributes):
    """One object of ops.json; the seeds of row r are 100 r + 1, 2, ... and 100 r + 99 for dy."""
    specs = {
        name: {**spec, "seed": 100 * row + i} for i, (name, spec) in enumerate(inputs.items(), 1)
    }
    tensors = {name: values.tensor(spec, torch.float64) for name, spec in specs.items()}
    leaves = {name: t.requires_grad_() for name, t in tensors.items() if t.is_floating_point()}
    y = function(**tensors, **attributes)
    dy = {**numbers(list(y.shape)), "seed": 100 * row + 99}
    grads = torch.autograd.grad(y, list(leaves.values()), values.tensor(dy, torch.float64))
    return {
        "op": op,
        "variant": variant,
        "attributes": attributes,
        "inputs": specs,
        "dy": dy,
        "y": y.flatten().tolist(),
        "grads": {name: g.flatten().tolist() for name, g in zip(leaves, grads)},
    }


def main():
    torch.set_num_threads(1)
    rows = [run(i, *op) for i, op in enumerate(OPS, start=1)]
    for row in rows:
        if not row["variant"].startswith("ignored"):
            continue
        ignored = values.tensor(row["inputs"]["targets"], None)
        assert 0 < (ignored == V).sum() < ignored.numel(), "choose a seed with some targets ignored"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("ops.json")
    text = json.dumps(
        {"torch": torch.__version__.split("+")[0], "ops": rows}, separators=(",", ":")
    )
    path.write_text(text.replace('{"op"', '\n{"op"') + "\n")


if __name__ == "__main__":
    main()
