#!/usr/bin/env python3
"""Stops `folio train` at random moments and resumes it.

Each time a run with long evaluations and 8 micro-batches an iteration gets SIGINT, SIGTERM or SIGHUP
in turn, at a moment drawn from the whole of its length. It must end within 2 seconds, and once
resumed leave the bytes of a run that was never disturbed.

    python3 tests/bench/check_interrupts.py [--times 200] [--folio build/folio]
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

OPTIONS = """
eval_interval = 4
eval_iters = 60
log_interval = 1
gradient_accumulation_steps = 8
batch_size = 8
block_size = 64
n_layer = 2
n_head = 2
n_embd = 64
dropout = 0.1
learning_rate = 1e-3
max_iters = 11
lr_decay_iters = 11
warmup_iters = 2
"""


def text(length):
    words = ["to be ", "or not ", "the king ", "is dead, ", "long live ", "Rome.\n"]
    draw = random.Random(1)
    return "".join(draw.choice(words) for _ in range(length))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--folio", default="build/folio")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folio = os.path.abspath(arguments.folio)
    draw = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("text.txt", "w") as file:
            file.write(text(20000))
        with open("run.toml", "w") as file:
            file.write(OPTIONS)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([folio, "prepare", "--input=text.txt", "--name=text"], check=True, **quiet)
        train = [folio, "train", "run.toml", "--dataset=text"]
        resume = [folio, "train", "--init_from=resume"]

        start = time.monotonic()
        subprocess.run(train, check=True, **quiet)
        length = time.monotonic() - start
        expected = {name: digest(f"out/{name}") for name in ("last.h5", "ckpt.h5")}
        print(f"undisturbed: {length:.1f} s")

        latencies, early, late = [], 0, 0
        for i in range(arguments.times):
            shutil.rmtree("out", ignore_errors=True)
            number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[i % 3]
            process = subprocess.Popen(train, **quiet)
            try:
                process.wait(timeout=draw.uniform(0, length))
            except subprocess.TimeoutExpired:
                pass
            asked = time.monotonic()
            process.send_signal(number)
            status = process.wait()
            if status == 0:
                late += 1
            else:
                latencies.append(time.monotonic() - asked)
                # A signal before `main` listens ends the process as it ends any other.
                assert status in (128 + number, -number), f"{i}: exit status {status}"
            if os.path.exists("out/last.h5"):
                subprocess.run(resume, check=True, **quiet)
            else:
                early += 1
                subprocess.run(train, check=True, **quiet)
            for name, value in expected.items():
                assert digest(f"out/{name}") == value, f"{i}: out/{name} differs after {number!r}"
        latencies.sort()
        print(
            f"{arguments.times} times: {early} before anything was begun, {late} after the end;"
            f" stopped after {latencies[len(latencies) // 2]:.2f} s in the median,"
            f" {latencies[-1]:.2f} s at the most; all resumed to the same bytes"
        )
        assert latencies[-1] < 2, "one took longer than 2 s"


if __name__ == "__main__":
    main()
