#!/usr/bin/env python3
"""Measures a step of several ranks over links of given rates, and holds docs/scaling.md's model to it.

Each rank is in a network namespace of its own (tests/ranks/namespaces: needs root), so that all that
they exchange passes a link. The model takes two measured figures, the step of as many processes that
exchange nothing, and what the exchange takes when nothing hides it (`folio train --check_network`),
and says what a step takes. Prints docs/scaling.md's table.
"""

import argparse
import csv
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import bench_tools as tools

LAYERS = 6
LAST = 0.1  # of the bytes, those of the last bucket: 4 MiB of 43 MB
CONFIG = "configs/train_shakespeare_char.toml"
STEP = ["--batch_size=8", "--threads=1", "--report=false", "--sample_tokens=0", "--eval_iters=1"]
STEP += ["--log_interval=1", "--eval_interval=1000000"]


def median_ms(out):
    """Of a run's steps, without the first two."""
    with open(Path(out) / "log.csv", encoding="utf-8") as log:
        steps = [float(row["ms"]) for row in csv.DictReader(log) if row["ms"]]
    return statistics.median(steps[2:])


class Bench:
    def __init__(self, folio, data_dir, iters, scratch):
        self.train = [folio, "train", str(tools.ROOT / CONFIG), f"--data_dir={data_dir}", *STEP]
        self.iters = iters
        self.scratch = scratch

    def alone(self, ranks):
        """ms of a step of each of `ranks` processes that compute side by side, and exchange nothing."""
        outs = [f"{self.scratch}/alone{ranks}.{i}" for i in range(ranks)]
        runs = [
            subprocess.Popen(
                [*self.train, f"--out_dir={out}", f"--max_iters={self.iters}"],
                stdout=subprocess.DEVNULL,
            )
            for out in outs
        ]
        if any(run.wait() for run in runs):
            raise SystemExit("a process failed")
        return statistics.mean(map(median_ms, outs))

    def job(self, ranks, rate, options):
        """What a job of so many ranks over links of that rate prints."""
        script = str(tools.ROOT / "tests/ranks/namespaces")
        command = [script, str(ranks), rate, *self.train]
        command += [f"--gradient_accumulation_steps={ranks}", *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def exchange(self, ranks, rate, stage):
        """ms of an iteration's exchange by itself."""
        said = self.job(ranks, rate, [f"--zero_stage={stage}", "--check_network=true"])
        return float(re.search(r"zero_stage=\d\): ([\d.]+) ms", said).group(1))

    def step(self, ranks, rate, stage):
        out = f"{self.scratch}/on{ranks}.{rate}.{stage}"
        options = [f"--zero_stage={stage}", f"--out_dir={out}", f"--max_iters={self.iters}"]
        self.job(ranks, rate, options)
        return median_ms(out)


def modelled(compute, exchange, stage):
    """ms of a step. Backward is two thirds of it, and can hide what leaves before its last layer: with
    stage 0 the whole exchange, with stage 1 the first half, behind which the parameters come."""
    window = compute * 2 / 3 * (LAYERS - 1) / LAYERS
    hideable = exchange if stage == 0 else exchange / 2
    exposed = max(LAST * hideable, hideable - window)
    return compute + exposed + exchange - hideable


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folio", default=str(tools.ROOT / "build/folio"))
    parser.add_argument("--data_dir", default=str(tools.ROOT / "datasets"))
    parser.add_argument("--iters", type=int, default=8)
    args = parser.parse_args()
    print("| ranks | link | zero_stage | computing | exchange | step | modelled | hidden |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(args.folio, args.data_dir, args.iters, scratch)
        for ranks, rates in ((2, ("none", "1gbit", "100mbit")), (3, ("1gbit",)), (4, ("1gbit",))):
            compute = bench.alone(ranks)
            for rate in rates:
                for stage in (0, 1):
                    exchange = bench.exchange(ranks, rate, stage)
                    step = bench.step(ranks, rate, stage)
                    hidden = min(1, max(0, 1 - (step - compute) / exchange))
                    print(
                        f"| {ranks} | {rate} | {stage} | {compute:.0f} ms | {exchange:.0f} ms "
                        f"| {step:.0f} ms | {modelled(compute, exchange, stage):.0f} ms "
                        f"| {hidden:.0%} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
