"""Writes byte_level.json: small byte-level tokenizers in many settings, and what Hugging Face's
`tokenizers` makes of texts with them (README.md).

    python make_byte_level.py
"""

import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer

from check_tokenizers import FIXED, mixed_text, random_strings
from tokenizer_settings import OTHERS, SETTINGS, make


def encodings(text, strings):
    tokenizer, as_text = Tokenizer.from_str(text), Tokenizer.from_str(text)
    as_text.encode_special_tokens = True
    return {
        "texts": strings,
        "ids": [tokenizer.encode(one).ids for one in strings],
        "as_text": [as_text.encode(one, add_special_tokens=False).ids for one in strings],
    }


def main():
    words = " ".join(FIXED).replace("\x00", "")
    text = mixed_text(0.02) + words + "\nthe thin word's words that they're the best of, don't they?\n" * 3
    text += " ".join(word for word in FIXED if word.isascii()).replace("\x00", "") + "\n"
    lines = text.splitlines(keepends=True)
    cases = []
    for number, name in enumerate([*SETTINGS, *OTHERS]):
        every_byte = {**SETTINGS, **OTHERS}[name][1]
        # Where bytes may lack, many do.
        made = make(name, lines if every_byte else [line for line in lines if line.isascii()], vocab_size=340)
        added = [one["content"] for one in json.loads(made)["added_tokens"]]
        strings = list(random_strings(100 + number, 100 if name in SETTINGS else 40, text, added))
        cases.append({"name": name, "tokenizer.json": json.loads(made), **encodings(made, strings)})
    out = {"tokenizers": tokenizers.__version__, "cases": cases}
    path = Path(__file__).parent / "byte_level.json"
    path.write_text(json.dumps(out, separators=(",", ":")).replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
