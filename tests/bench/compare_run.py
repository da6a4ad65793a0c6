#!/usr/bin/env python3
"""Times a whole training run of the small CPU config (2000 iterations, evaluations and checkpoints
included) and sampling from the full model, folio's and PyTorch's in turn, and prints two tables.

PyTorch does as nanoGPT does: it trains in f32 without torch.compile, and runs the whole window
again for every token that it samples.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import bench_tools as tools

TRAIN = tools.ROOT / "configs/train_shakespeare_char_cpu.toml"
SAMPLE = tools.ROOT / "configs/train_shakespeare_char.toml"


def prepare(folio, data_dir):
    """The folder of train.bin and val.bin, prepared if it is not there."""
    folder = data_dir / "shakespeare_char"
    if not (folder / "train.bin").exists():
        subprocess.run([folio, "prepare", "shakespeare_char", f"--data_dir={data_dir}"], check=True)
    return folder


def seconds_of(command, threads):
    start = time.perf_counter()
    tools.run(command, threads)
    return time.perf_counter() - start


def time_runs(python, arguments, dtype):
    """folio's and PyTorch's seconds, from the start of the process to its end."""
    data = prepare(arguments.folio, arguments.data_dir)
    common = [TRAIN, f"--threads={arguments.threads}"]
    common += ["--max_iters=50"] if arguments.quick else []
    folio, pytorch = [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as out:
            ours = [
                f"--data_dir={arguments.data_dir}",
                f"--out_dir={out}/folio",
                f"--dtype={dtype}",
            ]
            theirs = [f"--data={data}", f"--out_dir={out}"]
            folio.append(seconds_of([arguments.folio, "train", *common, *ours], arguments.threads))
            command = [python, tools.BASELINE, "run", *common, *theirs]
            pytorch.append(seconds_of(command, arguments.threads))
    return row("whole run, s", dtype, folio, pytorch)


def time_samples(python, arguments, dtype):
    """Tokens per second of one sample that starts from one token and fills the context; then
    PyTorch's once the context is full, which is where a long text spends its time."""
    threads = f"--threads={arguments.threads}"
    tokens = 16 if arguments.quick else 255
    folio, growing, full = [], [], []
    for _ in range(arguments.rounds):
        command = [arguments.folio, "bench", "sample", SAMPLE, "--weights=float32", "--num_samples=1"]
        command += ["--prompt_tokens=1", f"--max_new_tokens={tokens}", "--uncached_tokens=0"]
        command += [f"--dtype={dtype}", threads, "--json"]
        folio.append(tools.run_json(command, arguments.threads)["tokens_per_second"])
        for results, prompt in ((growing, "--prompt=1"), (full, "--prompt=256")):
            command = ["sample", SAMPLE, f"--iters={tokens}", prompt]
            result = tools.pytorch(python, arguments.threads, *command)
            results.append(result["tokens_per_second"])
    return [
        row(f"tokens/s, {tokens} from one token", dtype, folio, growing),
        row("tokens/s, PyTorch's in a full window of 256", dtype, folio, full),
    ]


def row(what, dtype, folio, pytorch):
    ratio = tools.paired_ratio(folio, pytorch)
    return {"what": what, "dtype": dtype, "folio": folio, "pytorch": pytorch, "ratio": ratio}


def table_row(row):
    medians = [statistics.median(row[side]) for side in ("folio", "pytorch")]
    return [row["what"], row["dtype"], *(f"{m:.1f}" for m in medians), f"{row['ratio']:.2f}"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tools.add_common_arguments(parser)
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=["float32", "bfloat16"],
        default=["float32", "bfloat16"],
        help="of folio; PyTorch's is float32",
    )
    parser.add_argument(
        "--data_dir", type=Path, default=tools.ROOT / "datasets", help="prepared if it is empty"
    )
    parser.add_argument("--only", choices=["run", "sample"], help="one of the two")
    arguments = parser.parse_args()
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    tools.check_program(arguments.folio)
    python = tools.pytorch_python(arguments.python)

    rows = []
    for dtype in arguments.dtypes:
        if arguments.only != "sample":
            rows.append(time_runs(python, arguments, dtype))
        if arguments.only != "run":
            rows += time_samples(python, arguments, dtype)
    print(f"{tools.cpu_name()}, {arguments.threads} threads\n")
    header = ["what", "folio's dtype", "folio", "PyTorch", "folio / PyTorch"]
    tools.print_table(header, [table_row(row) for row in rows])
    if arguments.json:
        tools.write_figures(arguments.json, arguments.threads, rows)


if __name__ == "__main__":
    main()
