"""Writes nanogpt.pt, a checkpoint as nanoGPT's train.py saves it of a compiled model, and
nanogpt.json, the losses of the steps that follow it (README.md)."""

import json
import math
import sys
from pathlib import Path

import torch

import model as reference
import values

ARGS = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 8,
    "block_size": 16,
    "bias": True,
    "vocab_size": 11,
    "dropout": 0.0,
}
CONFIG = {
    "dataset": "counting",
    "init_from": "scratch",
    "batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 3e-2,
    "weight_decay": 0.2,
    "beta1": 0.9,
    "beta2": 0.99,
    "grad_clip": 1.0,
    "decay_lr": True,
    "warmup_iters": 10,
    "lr_decay_iters": 50,
    "min_lr": 3e-3,
    "max_iters": 50,
    **ARGS,
}
BEFORE, AFTER = 30, 20  # iterations


def batch(micro):
    """Rows that count in threes: token k of row b is (start_b + 3 k) mod vocab, with the starts
    tokens(5000 + micro)."""
    B, T, V = CONFIG["batch_size"], ARGS["block_size"], ARGS["vocab_size"]
    starts = torch.from_numpy(values.tokens(5000 + micro, B, V)).view(B, 1)
    rows = (starts + 3 * torch.arange(T + 1)) % V
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def learning_rate(it):
    o = CONFIG
    if it < o["warmup_iters"]:
        return o["learning_rate"] * (it + 1) / (o["warmup_iters"] + 1)
    ratio = (it - o["warmup_iters"]) / (o["lr_decay_iters"] - o["warmup_iters"])
    return o["min_lr"] + 0.5 * (1 + math.cos(math.pi * ratio)) * (o["learning_rate"] - o["min_lr"])


def train(model, optimizer, first, last):
    losses = []
    micros = CONFIG["gradient_accumulation_steps"]
    for it in range(first, last):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(it)
        total = 0.0
        for micro in range(micros):
            loss = model(*batch(it * micros + micro))[1] / micros
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total)
    return losses


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1337)
    model = reference.Gpt(reference.Config(**ARGS))
    optimizer = reference.adamw(
        model, CONFIG["learning_rate"], (CONFIG["beta1"], CONFIG["beta2"]), CONFIG["weight_decay"]
    )
    losses = train(model, optimizer, 0, BEFORE)
    checkpoint = {
        # What torch.compile(model).state_dict() names them; nothing is compiled here.
        "model": torch.compile(model).state_dict(),
        "optimizer": optimizer.state_dict(),
        "model_args": ARGS,
        "iter_num": BEFORE,
        "best_val_loss": torch.tensor(losses[-1]),
        "config": CONFIG,
    }
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.save(checkpoint, folder / "nanogpt.pt")
    figures = {
        "torch": torch.__version__.split("+")[0],
        "best_val_loss": checkpoint["best_val_loss"].item(),
        "losses_before": losses,
        "losses_after": train(model, optimizer, BEFORE, BEFORE + AFTER),
    }
    (folder / "nanogpt.json").write_text(json.dumps(figures, indent=0) + "\n")


if __name__ == "__main__":
    main()
