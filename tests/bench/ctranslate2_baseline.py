#!/usr/bin/env python3
"""Greedy decoding by CTranslate2, for compare_decoding.py: one JSON object on the last line.

Needs ctranslate2 4.8.5, and transformers and torch for the conversion, which is done once.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import ctranslate2


def seconds(generator, batch, prompt, tokens):
    """Every sequence gets exactly `tokens` tokens; none ends early."""
    start = time.perf_counter()
    results = generator.generate_batch(
        [["<|endoftext|>"] * prompt] * batch,
        max_batch_size=batch,
        min_length=tokens,
        max_length=tokens,
        sampling_topk=1,
        beam_size=1,
        include_prompt_in_result=False,
        end_token=[],
    )
    elapsed = time.perf_counter() - start
    assert all(len(result.sequences_ids[0]) == tokens for result in results)
    return elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder in Hugging Face's layout")
    parser.add_argument("--converted", type=Path, required=True, help="where to put its own format")
    parser.add_argument("--compute_type", required=True, help="float32 or int8")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batches", type=int, nargs="+", required=True)
    parser.add_argument("--prompt", type=int, required=True, help="tokens")
    parser.add_argument("--tokens", type=int, required=True, help="decoded a sequence")
    parser.add_argument("--iters", type=int, default=1)
    arguments = parser.parse_args()
    if not (arguments.converted / "model.bin").exists():
        converter = ctranslate2.converters.TransformersConverter(str(arguments.model))
        converter.convert(str(arguments.converted), force=True)
    generator = ctranslate2.Generator(
        str(arguments.converted),
        device="cpu",
        compute_type=arguments.compute_type,
        inter_threads=1,
        intra_threads=arguments.threads,
    )
    speeds = []
    for batch in arguments.batches:
        seconds(generator, batch, arguments.prompt, 2)  # warms up
        runs = []
        for _ in range(arguments.iters):  # the prompt and the first token count for neither side
            first = seconds(generator, batch, arguments.prompt, 1)
            whole = seconds(generator, batch, arguments.prompt, 1 + arguments.tokens)
            runs.append(batch * arguments.tokens / (whole - first))
        speeds.append(statistics.median(runs))
    print(json.dumps({"version": ctranslate2.__version__, "tokens_per_second": speeds}))


if __name__ == "__main__":
    main()
