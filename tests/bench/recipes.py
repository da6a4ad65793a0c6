#!/usr/bin/env python3
"""Measures folio's recipes, and what each piece of the short one gives: docs/recipes.md's tables.

A figure is the mean over five seeds of the loss over the whole validation split (`folio eval`) after
a training run with some options of a config changed. Each run takes one thread, and as many run at
once as there are cores. Finished runs are kept in .cache/recipes.json, so that a second call goes on
where the first was stopped; --fresh makes all of them anew.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench_tools as tools

PAGE = tools.ROOT / "docs/recipes.md"
CACHE = tools.ROOT / ".cache/recipes.json"
RECIPES = ("shakespeare_fast", "shakespeare_best")
SEEDS = (1, 2, 3, 4, 5)  # the recipes were tuned on 7 and 8

OFF = {"optimizer": None, "muon_lr": None, "muon_warmup_iters": None}  # AdamW for all
LINEAR = {"schedule": "linear", "min_lr": 0}
# A piece of the recipes: what it is called, its options, and theirs without it.
PIECES = [
    ("rotary positions", {"position": "rotary"}, {"position": None}),
    ("RMSNorm", {"norm": "rms"}, {"norm": None}),
    ("normed queries and keys", {"qk_norm": "rms_learned"}, {"qk_norm": None}),
    ("their learned weights", {"qk_norm": "rms_learned"}, {"qk_norm": "rms"}),
    ("blocks that start as the identity", {"residual_init": "zero"}, {"residual_init": None}),
    ("a linear schedule to 0", LINEAR, {"schedule": None, "min_lr": 1e-4}),
    ("Muon", {"optimizer": "muon"}, OFF),
]
# What was tried and is in neither recipe.
TRIED = [
    ("shuffled epochs", {"batches": "epochs"}),
    ("SwiGLU", {"activation": "swiglu"}),
    ("ReLU²", {"activation": "relu2"}),
    ("an untied head", {"tie_weights": False}),
    ("logits capped at 15", {"logit_softcap": 15}),
]


def read(config):
    return tomllib.loads((tools.ROOT / f"configs/{config}.toml").read_text())


def changed(options, change):
    """`options` with those of `change`; None takes one away."""
    return {k: v for k, v in (options | change).items() if v is not None}


class Runs:
    """The losses of runs, each made once."""

    def __init__(self, arguments):
        self.folio = arguments.folio
        self.data_dir = arguments.data_dir
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(arguments.jobs)
        known = CACHE.exists() and not arguments.fresh
        self.done = json.loads(CACHE.read_text()) if known else {}

    def start(self, options, seed):
        """A future for the loss of one run."""
        quiet = {
            "seed": seed,
            "eval_interval": options["max_iters"],  # nothing but the last state is kept
            "eval_iters": 1,
            "log_interval": options["max_iters"],
            "always_save_checkpoint": True,
        }
        words = sorted(f"--{k}={toml(v)}" for k, v in (options | quiet).items() if k != "out_dir")
        return self.pool.submit(self.loss_of, words)

    def loss_of(self, words):
        key = " ".join(words)
        if key not in self.done:
            loss = self.run(words)
            with self.lock:
                self.done[key] = loss
                CACHE.parent.mkdir(exist_ok=True)
                CACHE.write_text(json.dumps(self.done, indent=1) + "\n")
                print(f"{loss:.4f} {key}", file=sys.stderr, flush=True)
        return self.done[key]

    def run(self, words):
        with tempfile.TemporaryDirectory() as out:
            common = [f"--data_dir={self.data_dir}", f"--out_dir={out}/run"]
            tools.run([self.folio, "train", *words, *common, "--threads=1"], 1)
            evaluate = [self.folio, "eval", f"--out_dir={out}/run", f"--data_dir={self.data_dir}"]
            last = ["--checkpoint=last", "--threads=1", "--json"]
            return tools.run_json([*evaluate, *last], 1)["val_loss"]


def toml(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def plan(config):
    """(heading, rows) of a config's tables; a row is a name and two runs' options."""
    recipe = read(config)
    nanogpt = read("train_shakespeare_char_cpu")
    if recipe["max_iters"] < nanogpt["max_iters"]:
        nanogpt |= {k: recipe[k] for k in ("max_iters", "lr_decay_iters", "warmup_iters")}
    faster = nanogpt | {"learning_rate": 4e-3}
    rows = [
        ("as it is", nanogpt, recipe),
        ("`learning_rate=4e-3`", faster, None),
    ]
    if config == "shakespeare_best":  # 8 times as long; the pieces are measured on the short one
        return [(["", "nanoGPT's recipe", f"`{config}.toml`"], rows)]
    for name, on, off in PIECES:
        if name == "Muon":
            on = on | {"muon_lr": recipe["muon_lr"]}
            off = off | {"learning_rate": 4e-3}
        rows.append((name, changed(faster, on), changed(recipe, off)))
    tried = [(name, changed(faster, on), changed(recipe, on)) for name, on in TRIED]
    return [
        (["piece", "nanoGPT's recipe with it", f"`{config}.toml` without it"], rows),
        (["tried", "nanoGPT's recipe with it", f"`{config}.toml` with it"], tried),
    ]


def start(runs, options, seeds):
    return [runs.start(options, seed) for seed in seeds] if options else []


def start_table(runs, table, seeds):
    header, rows = table
    return header, [(name, *(start(runs, o, seeds) for o in both)) for name, *both in rows]


def text_of(futures):
    if not futures:
        return ""
    losses = [future.result() for future in futures]
    spread = f" ({min(losses):.3f} to {max(losses):.3f})" if len(losses) > 1 else ""
    return f"{statistics.fmean(losses):.3f}{spread}"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def replace_in_page(name, text):
    """Puts `text` into the page where it says <!-- NAME --> to <!-- end of NAME -->."""
    pattern = rf"(<!-- {name} -->).*?(<!-- end of {name} -->)"
    page = PAGE.read_text()
    written, places = re.subn(pattern, lambda m: m[1] + text + m[2], page, flags=re.DOTALL)
    if places != 1:
        sys.exit(f"{PAGE} has {places} places for {name}, not one")
    PAGE.write_text(written)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folio", type=Path, default=tools.ROOT / "build/folio")
    parser.add_argument("--data_dir", type=Path, default=Path("datasets"))
    parser.add_argument("--jobs", type=int, default=tools.cores(), help="runs at once")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--only", choices=RECIPES, nargs="*", default=RECIPES)
    parser.add_argument("--fresh", action="store_true", help="make finished runs anew")
    arguments = parser.parse_args()
    tools.check_program(arguments.folio)
    runs = Runs(arguments)
    started = {c: [start_table(runs, t, arguments.seeds) for t in plan(c)] for c in arguments.only}
    whole = start(runs, read("train_shakespeare_char_cpu"), arguments.seeds)
    replace_in_page("nanogpt", text_of(whole))
    for config, tables in started.items():
        text = "\n".join(
            table(header, [[name, *map(text_of, both)] for name, *both in rows])
            for header, rows in tables
        )
        replace_in_page(config, "\n" + text)
        print(text)


if __name__ == "__main__":
    main()
