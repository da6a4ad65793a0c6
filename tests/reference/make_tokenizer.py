"""Writes tokenizer.json: what tiktoken makes of texts, with GPT-2's vocabulary and with a small one
that is trained here, so that tests need no file of others (README.md).

    python make_tokenizer.py DIR     DIR holds OpenAI's encoder.json and vocab.bpe, and input.txt is
                                     tiny Shakespeare, there or in ../tinyshakespeare
"""

import collections
import hashlib
import json
import struct
import sys
from pathlib import Path

import numpy as np
import regex
import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

import values

PATTERN = (
    r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
)
TEXTS = {
    "joke": "please tell me a joke",
    "english": "The quick brown fox's 12 friends don't think they'll jump; we've seen I'm, you're, "
    "he'd and 'twas. IT'S  NOT'LL   'S\tthe\n\nend \n of a  line.   ",
    "code": "def merge(self, pairs: dict[str, int]) -> list:\n    # the best pair first\n    for i in"
    ' range(len(pairs) - 1):\n\tif x[i] <= 0x1F and not y != "\\n":  return [*x, 3.14e-10]\n\n\n'
    "int main() { std::vector<int> v(10, -1); return v[0] == 1 ? 0 : 1; }  // done\r\n",
    "emoji": "Hi 👋🏽! 👩‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️‍🔥 1️⃣2️⃣ 😀😀😀 ☃︎ \U0001fae8\U0001fa77 :-)",
    "arabic": "السلام عليكم، كيف حالك اليوم؟ عندي ١٢٣ كتابًا و٤٥٫٦٪ من الوقت. لَا أَعْرِفُ",
    "chinese": "你好，世界！今天是2024年5月17日，天氣很好。　我們去公園吧：「走不走？」三百二十一〇",
    "japanese": "こんにちは、世界。カタカナもﾊﾝｶｸも、第３回です。",
    "hindi": "नमस्ते दुनिया, मेरे पास १२३ किताबें हैं।",
    "korean": "안녕하세요 세계! 오늘은 날씨가 좋네요. ㅋㅋㅋ",
    "russian": "Привет, мир! Ёжик съел 5½ яблок — №7 «вкусно».",
    "thai and hebrew": "สวัสดีชาวโลก ๑๒๓ שלום עולם",
    "spaces": "a\u00a0b\u3000c\u2028d\u2029e\u0085f\u180eg\u200bh\ufeffi \u00a0 j\u00a0\u00a0k \x1c\x1d\x1e\x1f"
    " \x0b\x0c l\n \n  m\r\n\r\n\t\tn  ",
    "numbers": "½ Ⅷ ² 1²³ ೧೨ 3rd 4'5 6's ٣ 一 ㊿ 𝟘",
    "newer letters": "\U000105c0\U00010d4a\U0001e5f1\U00031350\ua7cb\U00016d70\U0002ebf0x",
    "letters": "a" * 300 + "Zürich straße ﬁ ǅ ʰ ª º e\u0301",
    "end of text": "one<|endoftext|>two <|endoftext|><|endoftext| >",
}
# What the random texts are made of. The last are no UTF-8 on their own.
PIECES = (
    "a b c I the The and of to Romeo JULIET token izer under stand ing tion ' 's 't 're 've 'm 'll 'd 'S"
    " 'x ' ' n't 1 2 10 2024 3.14 . , ; : ? ! - -- ... ( ) [ ] { } <|endoftext|> <| http:// x_y __init__"
    " é ü ß ñ Ω Ж привет мир שלום سلام عليكم ١ ٢ ٣ 你好 世界 。 ， こん にち カ 한국 어 नमस्ते १ ก ไทย 😀 👩‍👧 🇩🇪 ❤️ ½ Ⅷ ² €"
).split()
PIECES += [" "] * 8 + ["  ", "\n", "\n\n", "\t", "\r\n", "\x0b", "\x0c", "\u00a0", "\u3000"]
PIECES += ["\u2028", "\u0085", "\u180e", "\u200b", "\ufeff", "\x1c", "\x00", "\x7f", "\u0301"]
BLOCKS = [
    (0, 0x7F), (0, 0x24F), (0x370, 0x52F), (0x590, 0x7FF), (0x900, 0xDFF), (0xE00, 0x1FFF),
    (0x2000, 0x2BFF), (0x2C00, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0xFFFF),
    (0x10000, 0x1FFFF), (0x1F300, 0x1FAFF), (0x20000, 0x323AF), (0, 0xD7FF), (0xE000, 0x10FFFF),
]  # fmt: skip


class Words:
    """The words of a seed one after the other."""

    def __init__(self, seed):
        self.seed, self.at, self.block = seed, 0, []

    def below(self, bound):
        if not self.block:
            n = 1 << 20
            z = np.uint64(self.seed << 32) + np.arange(1, n + 1, dtype=np.uint64)
            self.block = values.mix(z + np.uint64(self.at)).tolist()[::-1]
            self.at += n
        return self.block.pop() % bound


def random_string(kind, words):
    """Bytes: random_string in tests/data/tokenizer/reference_test.cc makes the same."""
    if kind == "bytes":
        return bytes(words.below(256) for _ in range(words.below(24)))
    if kind == "pieces":
        return "".join(PIECES[words.below(len(PIECES))] for _ in range(words.below(12))).encode()
    if kind == "broken":  # pieces with a byte lost
        text = random_string("pieces", words)
        at = words.below(len(text) + 1)
        return text[:at] + text[at + 1 :]
    text = ""
    for _ in range(words.below(16)):
        low, high = BLOCKS[words.below(len(BLOCKS))]
        text += chr(low + words.below(high - low + 1))
    return text.encode()


def digest(encoding, strings):
    """SHA-256 of, for each string, the number of its ids and the ids, as 32-bit numbers."""
    sha, count = hashlib.sha256(), 0
    for string in strings:
        ids = encoding._encode_bytes(string)
        sha.update(struct.pack(f"<{len(ids) + 1}i", len(ids), *ids))
        count += len(ids)
    return {"tokens": count, "sha256": sha.hexdigest()}


def random_cases(encoding, counts):
    for seed, (kind, count) in enumerate(counts.items(), 1):
        words = Words(seed)
        strings = (random_string(kind, words) for _ in range(count))
        yield {"kind": kind, "seed": seed, "count": count} | digest(encoding, strings)


def train(text, merges):
    """The most frequent pair of neighbours within the pattern's matches becomes a token, again and
    again."""
    words = collections.Counter(regex.findall(PATTERN, text))
    parts = {w: [bytes([b]) for b in w.encode()] for w in words}
    rules = []
    for _ in range(merges):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(parts[word], parts[word][1:]):
                pairs[pair] += count
        a, b = max(pairs, key=lambda pair: (pairs[pair], pair))
        rules.append((a, b))
        for word, split in parts.items():
            joined = []
            for part in split:
                if joined and joined[-1] == a and part == b:
                    joined[-1] = a + b
                else:
                    joined.append(part)
            parts[word] = joined
    return rules


def encoding(ranks):
    return tiktoken.Encoding(
        "reference", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": len(ranks)}
    )


def cases(enc, counts):
    return {
        "texts": {name: enc.encode_ordinary(text) for name, text in TEXTS.items()},
        "special": enc.encode(TEXTS["end of text"], allowed_special="all"),
        "random": list(random_cases(enc, counts)),
    }


def main():
    folder = Path(sys.argv[1])
    gpt2 = encoding(
        data_gym_to_mergeable_bpe_ranks(str(folder / "vocab.bpe"), str(folder / "encoder.json"))
    )
    shakespeare = folder.parent / "tinyshakespeare" / "input.txt"
    rules = train("\n".join(TEXTS.values()), 300)
    letters = [b for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    letters += [b for b in range(256) if b not in letters]
    ranks = {bytes([b]): i for i, b in enumerate(letters)}
    for a, b in rules:
        ranks[a + b] = len(ranks)
    counts = {"bytes": 1000000, "pieces": 100000, "broken": 100000, "blocks": 100000}
    few = {kind: count // 50 for kind, count in counts.items()}
    out = {
        "tiktoken": tiktoken.__version__,
        "pieces": PIECES,
        "blocks": BLOCKS,
        "texts": TEXTS,
        "small": {"merges": [[a.hex(), b.hex()] for a, b in rules]} | cases(encoding(ranks), few),
        "gpt2": cases(gpt2, counts)
        | {"tinyshakespeare": digest(gpt2, [shakespeare.read_bytes()])},
    }
    path = Path(__file__).parent / "tokenizer.json"
    path.write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")).replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
