"""Checks folio's byte-level tokenizers against Hugging Face's `tokenizers`: ids of random strings, as
they are opened and as an export opens again, and time on one thread. By hand (README.md).

    python check_tokenizers.py BUILD INPUT [--strings=1000000] [--others=100000]
                               [--export=5000] [--speed]

BUILD is folio's build with `folio` and `encode_texts`, INPUT tiny Shakespeare.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import numpy as np
from tokenizers import Tokenizer

from tokenizer_settings import OTHERS, SETTINGS, make

# First and last letters of scripts, with their own marks between them.
SCRIPTS = [
    (0x61, 0x7A), (0xC0, 0x24F), (0x3B1, 0x3C9), (0x430, 0x44F), (0x561, 0x586), (0x5D0, 0x5EA), (0x627, 0x652),
    (0x905, 0x94D), (0x985, 0x9CD), (0xE01, 0xE4E), (0x10D0, 0x10F0), (0x1200, 0x135A), (0x3041, 0x3096),
    (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x1E00, 0x1EFF),
]  # fmt: skip
SPACES = [" "] * 12 + ["  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2009", "\u0085", "\u2028", " \n ", "\v", "\f", "\r"]
MARKS = [chr(c) for low, high in [(0x300, 0x345), (0x591, 0x5C7), (0x64B, 0x65F), (0x93C, 0x94D), (0x1DC0, 0x1DFF),
                                  (0x1AB0, 0x1ACE), (0x3099, 0x309A), (0x20D0, 0x20F0), (0x1161, 0x1175), (0x11A8, 0x11C2)]
         for c in range(low, high + 1)]  # fmt: skip
FIXED = (
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'lL 'D '\u017f ' '' '' \u2019s don't IT'S we'll'd a b c I the The and of to "
    "ing tion thou Romeo JULIET 0 1 12 123 1234 12345678901234567890 3.14 1,000 \u0663\u0664 \u0967 \u00bd \u2167 "
    "\u00b2 \uff11 \U0001d7d8 . , ; : ? ! - -- ... !!! ( ) [ ] { } /// \\ _ __ x_y http://a.b/c?d=e \u00e9 e\u0301 o\u0302\u0323 "
    "\u1ed9 \u212b \u2126 \ufb01 \u1e9b\u0323 \u0344 \u0958 \uac00 \u1100\u1161 \u1100\u1161\u11a8 \uac00\u11a8 \u0f73 \u2adc "
    "\U0001f600 \U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f44b\U0001f3fd \u200b \ufeff \x00 \x1c \x7f "
    "\u4f60\u597d \u4e16\u754c \u3002 \uff0c \u041f\u0440\u0438\u0432\u0435\u0442 \u0645\u0631\u062d\u0628\u0627 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e01\u0e33 \ud55c\uad6d\uc5b4 \u0130 \u017f \u212a word words e\u0301t\u0323 "
    "<|im_start| <|endoftext |endoftext|> <l <thin ss xx tth"
).split(" ")


def mixed_text(megabytes=1.1):
    """Words of many scripts, numbers, marks and punctuation, the frequent ones often."""
    rng = random.Random(1)
    words = []
    for low, high in SCRIPTS:
        for _ in range(400):
            words.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8))))
    rng.shuffle(words)
    words += ["".join(rng.choice("0123456789") for _ in range(rng.randint(1, 6))) for _ in range(300)]
    lines, size = [], 0
    while size < megabytes * 1e6:
        line = []
        for _ in range(rng.randint(3, 15)):
            word = words[int(len(words) * rng.random() ** 3)]
            if rng.random() < 0.05:
                word += rng.choice(MARKS)
            if rng.random() < 0.1:
                word += rng.choice([",", ".", "!", "?", "'s", "\u3002", ";", ":", " \U0001f600", "..."])
            line.append(word)
        lines.append(" ".join(line))
        size += len(lines[-1].encode()) + 1
    return "\n".join(lines)


def random_strings(seed, count, text, added):
    rng = random.Random(seed)
    snippets = [text[at : at + rng.randint(1, 12)] for at in (rng.randrange(len(text)) for _ in range(3000))]
    everything = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assigned = [c for c in everything if c < 0x3400 or 0xA000 <= c < 0xAC00 or 0xF900 <= c < 0x20000 or 0x2EBF0 <= c < 0x32400]
    pools = [FIXED, FIXED, SPACES, SPACES, SPACES, MARKS, snippets, snippets, added,
             [f" {one}" for one in added] + [f"{one} " for one in added]]  # fmt: skip
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 14)):
            kind = rng.randrange(len(pools) + 3)
            if kind < len(pools):
                parts.append(rng.choice(pools[kind]))
            elif kind == len(pools):
                parts.append("".join(map(chr, rng.choices(assigned, k=rng.randint(1, 3)))))
            elif kind == len(pools) + 1:
                parts.append(chr(rng.choice(everything)))
            else:
                low, high = rng.choice(SCRIPTS)
                parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))))
        yield "".join(parts)


def folios_ids(program, folder, texts, work):
    with open(work / "texts", "wb") as out:
        for text in texts:
            data = text.encode()
            out.write(len(data).to_bytes(4, "little") + data)
    subprocess.run([program, folder, work / "texts", work / "ids"], check=True)
    ids = np.fromfile(work / "ids", dtype=np.int32).tolist()
    at = 0
    for _ in texts:
        both = []
        for _ in range(2):
            end = at + 1 + ids[at]
            both.append(ids[at + 1 : end])
            at = end
        yield both


def compare(name, program, folder, strings, work):
    """Of all strings, with special tokens and as text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    as_text = Tokenizer.from_file(str(folder / "tokenizer.json"))
    as_text.encode_special_tokens = True
    wrong = count = 0
    while batch := [text for _, text in zip(range(50000), strings)]:
        theirs = tokenizer.encode_batch_fast(batch)
        theirs_as_text = as_text.encode_batch_fast(batch, add_special_tokens=False)
        for text, (ours, ours_as_text), one, two in zip(batch, folios_ids(program, folder, batch, work), theirs, theirs_as_text):
            for ids, expected, kind in ((ours, one.ids, "special"), (ours_as_text, two.ids, "text")):
                if ids != expected:
                    wrong += 1
                    if wrong <= 5:
                        print(f"{name}: {ascii(text)} as {kind}: {ids}, tokenizers: {expected}")
        count += len(batch)
    print(f"{name}: {count} strings, {2 * count} encodings, {wrong} differ", flush=True)
    return wrong


def compare_export(name, program, folder, strings, work):
    """What transformers makes of the files that folio exports."""
    from transformers import AutoTokenizer

    export = work / f"export_{folder.name}"
    export.mkdir()
    strings = list(strings)
    (work / "texts").write_bytes(b"")
    subprocess.run([program, folder, work / "texts", work / "ids", export], check=True)
    ours, theirs = AutoTokenizer.from_pretrained(export), Tokenizer.from_file(str(folder / "tokenizer.json"))
    wrong = sum(ours(one).input_ids != theirs.encode(one).ids for one in strings)
    print(f"{name}: {len(strings)} strings through transformers and folio's export, {wrong} differ", flush=True)
    return wrong


def speed(build, folder, path):
    """MB/s of both on one thread, in turn."""
    megabytes = path.stat().st_size / 1e6
    code = (
        "import sys, time; from tokenizers import Tokenizer\n"
        "t = Tokenizer.from_file(sys.argv[1]); text = open(sys.argv[2], encoding='utf-8', newline='').read()\n"
        "lines = text.splitlines(keepends=True); parts = [''.join(lines[i:i + 20]) for i in range(0, len(lines), 20)]\n"
        "best = 1e9\n"
        "for way in (lambda: t.encode(text), lambda: t.encode_batch_fast(parts), lambda: t.encode_batch_fast(lines)):\n"
        "    for _ in range(4):\n"
        "        begin = time.perf_counter(); way(); best = min(best, time.perf_counter() - begin)\n"
        "print(best)"
    )
    ours, theirs = [], []
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for _ in range(3):
        seconds = subprocess.run([sys.executable, "-c", code, folder / "tokenizer.json", path], env=environment,
                                 capture_output=True, text=True, check=True).stdout  # fmt: skip
        theirs.append(megabytes / float(seconds))
        told = subprocess.run([build / "folio", "bench", "tokenizer", f"--input={path}", f"--tokenizer={folder}", "--json"],
                              env=environment, capture_output=True, text=True, check=True).stdout  # fmt: skip
        ours.append(json.loads(told)["mb_per_second"])
    return statistics.median(ours), statistics.median(theirs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--strings", type=int, default=1000000)
    parser.add_argument("--others", type=int, default=100000)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--export", type=int, default=5000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        texts = {"shakespeare": options.input.read_text(encoding="utf-8"), "mixed": mixed_text()}
        for kind, text in texts.items():
            (work / f"{kind}.txt").write_text(text, encoding="utf-8", newline="")
        for number, (kind, name) in enumerate((k, n) for k in texts for n in [*SETTINGS, *OTHERS]):
            # One of them, in which an unknown token has something to stand for.
            if name in OTHERS and kind != ("shakespeare" if "unknown" in name else "mixed") or options.only not in ("", name):
                continue
            folder = work / f"{name}_{kind}"
            folder.mkdir()
            (folder / "tokenizer.json").write_text(make(name, texts[kind].splitlines(keepends=True)), encoding="utf-8")
            added = [one["content"] for one in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]]
            count = options.strings if name in SETTINGS else options.others
            strings = random_strings(number, count, texts[kind], added)
            if count:
                wrong += compare(f"{name} on {kind}", options.build / "tests/encode_texts", folder, strings, work)
            if options.export:
                strings = random_strings(50 + number, options.export, texts[kind], added)
                wrong += compare_export(f"{name} on {kind}", options.build / "tests/encode_texts", folder, strings, work)
            if options.speed and name in SETTINGS:
                ours, theirs = speed(options.build, folder, work / f"{kind}.txt")
                print(f"{name} on {kind}: {ours:.1f} MB/s, tokenizers {theirs:.1f} MB/s: {ours / theirs:.1f} times", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
