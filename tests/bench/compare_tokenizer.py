"""GPT-2's tokenizer in folio and in tiktoken, one thread each, in turn, on the same text.

    python3 tests/bench/compare_tokenizer.py FILE --tokenizer=DIR [--rounds=5] [--json]

DIR holds OpenAI's encoder.json and vocab.bpe (or Hugging Face's vocab.json and merges.txt, the same
bytes). Needs tiktoken. folio's figures are those of `folio bench tokenizer`.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

# As tiktoken's own gpt2 encoding writes GPT-2's pattern.
PATTERN = (
    r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
)


def reference(folder):
    vocab, merges = folder / "encoder.json", folder / "vocab.bpe"
    if not vocab.exists():
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
    ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(vocab))
    special = {"<|endoftext|>": len(ranks)}
    return tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)


def median(numbers):
    return sorted(numbers)[len(numbers) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folio", default=Path(__file__).parents[2] / "build/folio")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    encoding = reference(options.tokenizer)
    text = options.file.read_bytes().decode()
    megabytes = len(text.encode()) / 1e6
    ours, first, theirs = [], [], []
    for _ in range(options.rounds):
        command = [options.folio, "bench", "tokenizer", f"--tokenizer={options.tokenizer}"]
        out = subprocess.run(
            [*command, f"--input={options.file}", "--json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        folio = json.loads(out.stdout)
        ours.append(folio["mb_per_second"])
        first.append(folio["first_mb_per_second"])
        for _ in range(3):
            start = time.perf_counter()
            ids = encoding.encode_ordinary(text)
            theirs.append(megabytes / (time.perf_counter() - start))
        assert folio["tokens"] == len(ids), (folio["tokens"], len(ids))
    result = {
        "megabytes": megabytes,
        "tokens": len(ids),
        "folio_mb_per_second": median(ours),
        "folio_first_mb_per_second": median(first),
        "tiktoken_mb_per_second": median(theirs),
        "ratio": median(ours) / median(theirs),
        "first_ratio": median(first) / median(theirs),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.file}: {megabytes:.2f} MB, {len(ids):,} tokens, one thread")
    print(f"tiktoken {tiktoken.__version__}       {result['tiktoken_mb_per_second']:7.1f} MB/s")
    for key, what in (("", "folio"), ("first_", "folio, first text")):
        speed, ratio = result[f"folio_{key}mb_per_second"], result[f"{key}ratio"]
        print(f"{what:21} {speed:7.1f} MB/s, {ratio:.1f} times tiktoken")


if __name__ == "__main__":
    main()
