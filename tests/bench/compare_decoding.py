#!/usr/bin/env python3
"""Decoding and prefill of GPT-2 124M's shape, or SmolLM2-135M's: folio, llama.cpp and CTranslate2
in turn.

llama.cpp comes from the source package of llama-cpp-python 0.3.36:
  pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36
  cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF   (in vendor/llama.cpp)
  cmake --build build --target llama-bench llama-batched-bench llama-quantize
Its models, FOLDER/SHAPE-{f32,bf16,q8_0,q4_0}.gguf, hold random weights (only their sizes matter):
  python3 random_gguf.py FOLDER --shape=SHAPE
  llama-quantize FOLDER/SHAPE-f32.gguf FOLDER/SHAPE-q4_0.gguf q4_0

CTranslate2 joins in, in float32 and int8, where --ctranslate2 names a folder of GPT-2 in Hugging
Face's layout and --python has ctranslate2==4.8.5, transformers and torch.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import bench_tools as tools

BASELINE = Path(__file__).with_name("ctranslate2_baseline.py")
FORMATS = {"float32": "f32", "bfloat16": "bf16", "int8": "q8_0", "int4": "q4_0"}
SHAPES = {  # what `folio bench sample` is told
    "gpt2": "--init_from=gpt2",
    "smollm2": tools.ROOT / "tests/bench/finetune_smollm2.toml",
}
PROMPT, CONTEXT, TOKENS, BATCH = 512, 32, 64, 10


def folio_figures(program, threads, shape, weights):
    """Tokens a second: prefill of PROMPT, decoding alone, and BATCH sequences together."""
    command = [program, "bench", "sample", SHAPES[shape], f"--weights={weights}"]
    command += ["--uncached_tokens=0", "--iters=1", "--json"]
    decoding = ["--num_samples=1", f"--num_samples={BATCH}", f"--prompt_tokens={CONTEXT}"]
    rows = tools.run_json(command + decoding + [f"--max_new_tokens={TOKENS}"], threads)["rows"]
    prefill = ["--num_samples=1", f"--prompt_tokens={PROMPT}", "--max_new_tokens=2"]
    prompt = tools.run_json(command + prefill, threads)["rows"][0]
    return [
        prompt["prefill_tokens_per_second"],
        rows[0]["tokens_per_second"],
        rows[1]["tokens_per_second"],
    ]


def llama_figures(folder, model, threads):
    """The same of llama.cpp; its batched figure counts every sequence's tokens."""
    command = [folder / "llama-bench", "-m", model, "-t", str(threads), "-o", "json", "-r", "1"]
    command += ["-p", str(PROMPT), "-n", str(TOKENS)]
    tests = json.loads(tools.run(command, threads))
    prefill = next(test["avg_ts"] for test in tests if test["n_gen"] == 0)
    alone = next(test["avg_ts"] for test in tests if test["n_prompt"] == 0)
    command = [folder / "llama-batched-bench", "-m", model, "-t", str(threads), "-c", "2048"]
    command += ["-npp", str(CONTEXT), "-ntg", str(TOKENS), "-npl", str(BATCH)]
    command += ["--output-format", "jsonl"]
    lines = tools.run(command, threads).splitlines()
    batched = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    return [prefill, alone, batched["speed_tg"]]


def ctranslate2_figures(python, model, threads, weights):
    """The same, but for the prefill, which it does not time apart."""
    converted = tools.ROOT / ".cache/ctranslate2"
    command = [python, BASELINE, f"--model={model}", f"--converted={converted}"]
    command += [f"--compute_type={weights}", f"--threads={threads}", "--batches", "1", str(BATCH)]
    command += [f"--prompt={CONTEXT}", f"--tokens={TOKENS}"]
    return [None, *tools.run_json(command, threads)["tokens_per_second"]]


def has_ctranslate2(python):
    command = [python, "-c", "import ctranslate2"]
    return subprocess.run(command, capture_output=True).returncode == 0


def table_rows(weights, turns):
    """A row for each kind of work: the median of each side, and folio's ratio to it."""
    rows = []
    for i, what in enumerate([f"prefill of {PROMPT}", "batch 1", f"batch {BATCH}"]):
        ours = [turn["folio"][i] for turn in turns]
        row = [what, weights, f"{statistics.median(ours):.0f}"]
        for side in ("llama", "ctranslate2"):
            theirs = [turn[side][i] for turn in turns if turn.get(side)]
            if not theirs or theirs[0] is None:
                row += ["", ""]
                continue
            ratio = tools.paired_ratio(ours, theirs)
            row += [f"{statistics.median(theirs):.0f}", f"{ratio:.2f}"]
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tools.add_common_arguments(parser)
    parser.add_argument("--llama", type=Path, required=True, help="folder of llama-bench")
    parser.add_argument("--models", type=Path, required=True, help="folder of the GGUF files")
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument(
        "--ctranslate2", type=Path, metavar="FOLDER", help="the model in Hugging Face's layout"
    )
    parser.add_argument(
        "--weights", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: all"
    )
    arguments = parser.parse_args()
    tools.check_program(arguments.folio)
    python = arguments.python or sys.executable
    if arguments.ctranslate2 and not has_ctranslate2(python):
        sys.exit(f"{python} cannot import ctranslate2: install ctranslate2==4.8.5 there")
    rounds = 1 if arguments.quick else arguments.rounds
    rows, figures = [], []
    for weights in arguments.weights:
        model = arguments.models / f"{arguments.shape}-{FORMATS[weights]}.gguf"
        if not model.exists():
            sys.exit(f"{model} is not there; how to make it: {__file__}")
        turns = []
        for _ in range(rounds):
            turn = {}
            turn["folio"] = folio_figures(
                arguments.folio, arguments.threads, arguments.shape, weights
            )
            turn["llama"] = llama_figures(arguments.llama, model, arguments.threads)
            if arguments.ctranslate2 and weights in ("float32", "int8"):
                turn["ctranslate2"] = ctranslate2_figures(
                    python, arguments.ctranslate2, arguments.threads, weights
                )
            turns.append(turn)
        rows += table_rows(weights, turns)
        figures.append({"weights": weights, "turns": turns})
    print(f"{tools.cpu_name()}, {arguments.threads} threads, {rounds} rounds\n")
    header = ["what", "weights", "folio tok/s", "llama.cpp", "ratio", "CTranslate2", "ratio"]
    tools.print_table(header, rows)
    if arguments.json:
        tools.write_figures(arguments.json, arguments.threads, figures)


if __name__ == "__main__":
    main()
