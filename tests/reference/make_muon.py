"""Writes muon.json: what Muon, in PyTorch, makes of matrices and of models (README.md).
torch.optim.Muon always rounds its iteration to bfloat16 and knows of no maps within a matrix."""

import json
import sys
from functools import partial
from pathlib import Path

import torch

import make_parity
import values

MUON = {"learning_rate": 0.02, "momentum": 0.95, "weight_decay": 0.1, "grad_scale": 0.5}
# [rows of each map], columns: square, wide, tall, several in one, a row and a column alone.
MATRICES = [([32], 32), ([24], 96), ([96], 24), ([16, 16, 16], 16), ([24, 8, 8], 24), ([1], 40), ([40], 1)]
CASES = [case for case in make_parity.CASES if case["name"] in ("bias", "char_cpu")]


def orthogonalized(g, products):
    """Five Newton-Schulz steps of Jordan et al., 2024, in the type `products`: singular values to
    about 1. As torch.optim.Muon has them, where that is bfloat16."""
    x = (g / (g.norm() + 1e-7)).to(products)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).to(g.dtype)


def muon(param, grad, momentum, rows, o, products):
    """One step of Muon over a parameter whose maps have `rows` rows, one below the other."""
    momentum.mul_(o["momentum"]).add_(grad)
    nesterov = grad + o["momentum"] * momentum
    update = torch.cat(
        [
            max(1, len(part) / part.shape[1]) ** 0.5 * orthogonalized(part, products)
            for part in nesterov.split(rows)
        ]
    )
    param.mul_(1 - o["learning_rate"] * o["weight_decay"])
    param.sub_(o["learning_rate"] * update)


def matrix_case(index, rows, cols, dtype):
    """Two steps, of two gradients."""
    shape = [sum(rows), cols]
    specs = [
        {"shape": shape, "seed": 10 * index + i, "scale": 1.0, "offset": 0.0} for i in range(3)
    ]
    param, *grads = (values.tensor(spec, dtype) for spec in specs)
    momentum = torch.zeros_like(param)
    for grad in grads:
        muon(param, grad * MUON["grad_scale"], momentum, rows, MUON, dtype)
    return {
        "rows": rows,
        "param": specs[0],
        "grads": specs[1:],
        "updated": make_parity.excerpt(param, 4000 + index),
        "momentum": make_parity.excerpt(momentum, 5000 + index),
    }


class Both:
    """Muon for the matrices of the blocks, AdamW for all else, as make_parity.run steps it."""

    def __init__(self, model, learning_rate, betas, weight_decay, eps, products):
        hidden = lambda name, p: p.dim() == 2 and ".h." in name
        named = list(model.named_parameters())
        self.matrices = [
            (p, torch.zeros_like(p), p.shape[0] // 3 if "c_attn" in name else p.shape[0])
            for name, p in named
            if hidden(name, p)
        ]
        rest = [p for name, p in named if not hidden(name, p)]
        groups = [
            {"params": [p for p in rest if p.dim() >= 2], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=eps)
        self.model, self.products = model, products

    @torch.no_grad()
    def step(self):
        self.adamw.step()
        for param, momentum, rows in self.matrices:
            muon(param, param.grad, momentum, rows, MUON, self.products)

    def zero_grad(self):
        self.model.zero_grad()


def model_case(case, dtype):
    """In float32 or float64, or with autocast and Muon's products in bfloat16."""
    precision = torch.float32 if dtype == torch.bfloat16 else dtype
    result = make_parity.run(
        case, dtype, make_optimizer=partial(Both, products=dtype), precision=precision
    )
    keep = ("name", "model", "batch_size", "bias", "gelu", "batches", "weights", "losses")
    return {key: result[key] for key in keep}


def main():
    torch.set_num_threads(1)
    cases = [model_case(case, torch.float32) for case in CASES]
    for case, plain in zip(cases, CASES):
        for dtype in (torch.float64, torch.bfloat16):
            name = str(dtype).removeprefix("torch.")
            case[name + "_losses"] = model_case(plain, dtype)["losses"]
    figures = {
        "torch": torch.__version__.split("+")[0],
        "muon": MUON,
        "optimizer": make_parity.OPTIMIZER,
        "matrices": [matrix_case(i, *m, torch.float64) for i, m in enumerate(MATRICES)],
        "cases": cases,
    }
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("muon.json")
    path.write_text(
        json.dumps(figures, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n"
    )


if __name__ == "__main__":
    main()
