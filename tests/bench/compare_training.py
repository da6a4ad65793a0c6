#!/usr/bin/env python3
"""Times folio's training step and PyTorch's in turn, on the same shapes, and prints a table.

Needs Python 3.11 and a built folio; makes a venv with PyTorch if this Python has none.
torch.compile needs a C++ compiler and Python's headers, and minutes at its first run.
"""

import argparse

import bench_tools as tools

CONFIGS = {
    "train_shakespeare_char_cpu": tools.ROOT / "configs/train_shakespeare_char_cpu.toml",
    "train_shakespeare_char": tools.ROOT / "configs/train_shakespeare_char.toml",
    "finetune_gpt2": tools.ROOT / "tests/bench/finetune_gpt2.toml",
    "finetune_smollm2": tools.ROOT / "tests/bench/finetune_smollm2.toml",
}
ITERATIONS = {
    "train_shakespeare_char_cpu": 100,
    "train_shakespeare_char": 3,
    "finetune_gpt2": 5,
    "finetune_smollm2": 5,
}
QUICK_ITERATIONS = {"train_shakespeare_char_cpu": 10}
WARMUP = 3


def contenders(python, arguments, config, dtype, iters):
    """name -> how to time it once."""
    path = CONFIGS[config]
    options = [path, f"--dtype={dtype}", f"--iters={iters}", f"--warmup={WARMUP}"]
    runs = {
        "folio": lambda: tools.run_json(
            [
                arguments.folio,
                "bench",
                "train",
                path,
                f"--dtype={dtype}",
                f"--threads={arguments.threads}",
                f"--iters={iters}",
                "--json",
            ],
            arguments.threads,
        ),
        "eager": lambda: tools.pytorch(python, arguments.threads, "train", *options),
    }
    if arguments.compile:
        runs["compiled"] = lambda: tools.pytorch(
            python, arguments.threads, "train", *options, "--compile"
        )
    return runs


def measure(python, arguments, config):
    """dtype -> contender -> one result a round; all contenders take their turn in every round."""
    iters = QUICK_ITERATIONS.get(config, 1) if arguments.quick else ITERATIONS[config]
    runs = {
        dtype: contenders(python, arguments, config, dtype, arguments.iters or iters)
        for dtype in arguments.dtypes
    }
    results = {dtype: {name: [] for name in runs[dtype]} for dtype in runs}
    for _ in range(1 if arguments.quick else arguments.rounds):
        for dtype in runs:
            for name, run in runs[dtype].items():
                results[dtype][name].append(run())
    return results


def ratio(ours, theirs):
    return tools.paired_ratio([r["median_ms"] for r in ours], [r["median_ms"] for r in theirs])


def summarise(config, dtype, results):
    """The figures of one row. `results`: those of `measure`, all dtypes."""
    folio = results[dtype]["folio"]
    others = {name: runs for name, runs in results[dtype].items() if name != "folio"}
    every = [
        runs for by_name in results.values() for name, runs in by_name.items() if name != "folio"
    ]
    memory = min(tools.median(runs, "peak_rss_bytes") for runs in others.values())
    return {
        "config": config,
        "dtype": dtype,
        "folio_ms": tools.median(folio, "median_ms"),
        **{f"{name}_ms": tools.median(runs, "median_ms") for name, runs in others.items()},
        "ratio": max(ratio(folio, runs) for runs in others.values()),
        "ratio_any_dtype": max(ratio(folio, runs) for runs in every),
        "share_of_peak": tools.median(folio, "share_of_peak"),
        "folio_peak_bytes": tools.median(folio, "peak_rss_bytes"),
        "pytorch_peak_bytes": memory,
        "memory_ratio": tools.median(folio, "peak_rss_bytes") / memory,
        "results": results[dtype],
    }


HEADER = (
    "config|dtype|folio ms|PyTorch eager ms|compiled ms|ratio to the faster|to the fastest dtype|"
    "share of peak|peak MB folio / PyTorch|ratio"
).split("|")


def table_row(row):
    compiled = f"{row['compiled_ms']:.1f}" if "compiled_ms" in row else "-"
    return [
        row["config"],
        row["dtype"],
        f"{row['folio_ms']:.1f}",
        f"{row['eager_ms']:.1f}",
        compiled,
        f"{row['ratio']:.2f}",
        f"{row['ratio_any_dtype']:.2f}",
        f"{100 * row['share_of_peak']:.0f} %",
        f"{row['folio_peak_bytes'] / 1e6:.0f} / {row['pytorch_peak_bytes'] / 1e6:.0f}",
        f"{row['memory_ratio']:.2f}",
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tools.add_common_arguments(parser)
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument(
        "--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"]
    )
    parser.add_argument("--iters", type=int, help="timed iterations of each turn")
    parser.add_argument(
        "--no-compile", dest="compile", action="store_false", help="leave torch.compile out"
    )
    arguments = parser.parse_args()
    tools.check_program(arguments.folio)
    python = tools.pytorch_python(arguments.python)

    rows = []
    for config in arguments.configs:
        results = measure(python, arguments, config)
        rows += [summarise(config, dtype, results) for dtype in results]
    torch = rows[0]["results"]["eager"][0]["torch"]
    print(f"{tools.cpu_name()}, {arguments.threads} threads, PyTorch {torch}\n")
    tools.print_table(HEADER, [table_row(row) for row in rows])
    if arguments.json:
        tools.write_figures(arguments.json, arguments.threads, rows)


if __name__ == "__main__":
    main()
