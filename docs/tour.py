#!/usr/bin/env python3
"""What the tour (docs/tour.md) looks at: tour.py WHAT [...], one function each below. Most read
out/numbers.json, which `folio inspect --json=out/numbers.json` writes (docs/inspect-json.md)."""

import array
import base64
import inspect
import json
import math
import random
import sys


def floats(numbers):
    """An array of the numbers as a flat list."""
    values = array.array("f", base64.b64decode(numbers["f32"]))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def character(text):
    return "\\n" if text == "\n" else text


def dataset(split, folder="datasets/shakespeare_char"):
    """The ids of a prepared character dataset, 16 bits each, and its characters by id."""
    with open(f"{folder}/meta.json", encoding="utf-8") as file:
        characters = json.load(file)["tokenizer"]["characters"]
    ids = array.array("H")
    with open(f"{folder}/{split}.bin", "rb") as file:
        ids.frombytes(file.read())
    return ids, characters


def text(split):
    """text train|val: the dataset as text again."""
    ids, characters = dataset(split)
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write("".join(characters[i] for i in ids))


def tokens(report):
    """tokens: each token and its id."""
    names = report["token_texts"]
    print(" ".join(f"{character(names[str(i)])!s:>2}" for i in report["tokens"]))
    print(" ".join(f"{i:2}" for i in report["tokens"]))


def batch(rows="4", columns="8"):
    """batch [ROWS] [COLUMNS]: rows of x from random places, and y: the same one token further."""
    ids, characters = dataset("train")
    B, T, draw = int(rows), int(columns), random.Random(1337)
    for b in range(B):
        start = draw.randrange(len(ids) - T)
        for name, first in (("x", start), ("y", start + 1)):
            row = ids[first:first + T]
            print(f"{name}[{b}]", " ".join(f"{i:2}" for i in row), end="   ")
            print(repr("".join(characters[i] for i in row)))


def tensors(report, *names):
    """tensors NAME ...: of each point of the forward pass whose name ends so, its shape and size."""
    print(f"{'point':24} {'shape':14} {'bytes':>6} {'multiply-adds':>13} {'mean':>7} {'deviation':>9}")
    for t in report["forward"]:
        if any(f".{t['point']}".endswith("." + name) for name in names):
            print(f"{t['point']:24} {t['shape']!s:14} {t['bytes']:6} {t['multiply_adds']:13.0f} "
                  f"{t['mean']:7.3f} {t['deviation']:9.3f}")


def attention(report, layer, head):
    """attention LAYER HEAD: how much of its attention each position (a row) gives to each."""
    L, H, T, _ = report["attention"]["shape"]
    if not (0 <= int(layer) < L and 0 <= int(head) < H):
        sys.exit(f"this model has layers 0 to {L - 1} of heads 0 to {H - 1}")
    first = (int(layer) * H + int(head)) * T * T
    values = floats(report["attention"])[first:first + T * T]
    names = [character(report["token_texts"][str(i)]) for i in report["tokens"]]
    print("   " + " ".join(f"{name:>4}" for name in names))
    for t in range(T):
        cells = (f"{p:.2f}" if p else "   ." for p in values[t * T:(t + 1) * T])
        print(f"{names[t]:>2} " + " ".join(cells))


def loss(report):
    """loss: what each next token cost, and what guessing would."""
    names = [character(report["token_texts"][str(i)]) for i in report["tokens"]]
    losses = report["lens"]["loss"]
    print("next        " + " ".join(f"{name:>5}" for name in names[1:]))
    print("probability " + " ".join(f"{math.exp(-value):5.3f}" for value in losses))
    print("loss        " + " ".join(f"{value:5.3f}" for value in losses))
    V = report["config"]["vocab_size"]
    print(f"mean loss {sum(losses) / len(losses):.3f}; guessing among {V} costs {math.log(V):.3f}")


def tape(report, part):
    """tape PART: the ops of a part of the model, in the order in which backward comes to them."""
    ops = report["backward"]["tape"]
    first = ops[0]["order"] - 1
    for op in reversed(ops):
        if op["part"] != part:
            continue
        read = ", ".join("parameter" if i == 0 else "constant" if i < 0 else f"#{i - first}"
                         for i in op["inputs"])
        name = f"watch {op['point']}" if op["point"] else op["name"]
        print(f"#{op['order'] - first:<4} {name:28} {op['shape']!s:16} of {read}")


def step(report, part):
    """step PART: of each parameter of a part how far one step of the optimiser moved it."""
    print(report["backward"]["step"])
    print(f"{'parameter':26} {'weight':>8} {'gradient':>9} {'update':>8}  update / weight")
    for p in report["backward"]["parameters"]:
        name = p["name"].removeprefix("transformer.")
        if name.startswith(part):
            ratio = p["update_norm"] / p["weight_norm"]
            print(f"{name:26} {p['weight_norm']:8.3f} {p['gradient_norm']:9.4f} "
                  f"{p['update_norm']:8.4f}  {ratio:.4f}")


def cache(report, length="64"):
    """cache [LENGTH]: what one more token costs after LENGTH others, with the cache and without."""
    costs, T = report["cache"], int(length)
    matrix, head = costs["matrix_multiply_adds_per_token"], costs["head_multiply_adds_per_step"]
    pair = costs["multiply_adds_per_seen_position"]
    print(f"the cache holds {T} tokens: {T * costs['cache_bytes_per_token']} bytes")
    print(f"with it     {matrix + head + pair * T:12.0f} multiply-adds")
    print(f"without it  {T * matrix + head + pair * T * (T + 1) // 2:12.0f}")


def fused(report):
    """fused: how far the fused ops' logits are from the plain spelling's."""
    print(f"largest difference of a logit: {report['fused_difference']:.1e}")


def main():
    known = {f.__name__: f for f in (text, tokens, batch, tensors, attention, loss, tape, step, cache, fused)}
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit("usage: tour.py WHAT [...]\n" + "\n".join(f"  {f.__doc__}" for f in known.values()))
    look, arguments = known[sys.argv[1]], sys.argv[2:]
    try:
        if look not in (text, batch):
            with open("out/numbers.json", encoding="utf-8") as file:
                arguments.insert(0, json.load(file))
        inspect.signature(look).bind(*arguments)
        look(*arguments)
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not here: docs/tour.md says which command makes it")
    except (TypeError, ValueError):
        sys.exit(f"usage: tour.py {look.__doc__}")


if __name__ == "__main__":
    main()
