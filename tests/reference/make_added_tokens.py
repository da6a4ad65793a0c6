"""Writes added_tokens.json: what transformers makes of texts with a small byte-level vocabulary to
which the files of a folder, each in its own way, add tokens (README.md).

    python make_added_tokens.py
"""

import json
import os
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from transformers import AutoTokenizer

MERGES = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("a", "b"), ("ab", "c")]
TEXTS = [
    "hello",
    "a<x>b<y> the<|endoftext|>abc<pad>",
    " <x> <y>  <x><y><x",
    "zab<x>ab<y the<x",
    "<|endoftext|><|user|>the  the<|bot|>",
]
GPT2 = {"tokenizer_class": "GPT2Tokenizer"}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def alphabet():
    """GPT-2's character for each byte."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {**{b: chr(b) for b in printing}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def vocabulary(extra):
    vocab = {character: byte for byte, character in sorted(alphabet().items())}
    for left, right in MERGES:
        vocab[left + right] = len(vocab)
    for token in extra:
        vocab[token] = len(vocab)
    return vocab


def token(content, **kind):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"content": content, **flags, **kind}


def listed(*tokens, **around):
    """tokenizer.json without its model's vocab and merges."""
    added = [{"id": id, **token} for id, token in tokens]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": None, "pre_tokenizer": BYTE_LEVEL, "post_processor": None,
            "decoder": BYTE_LEVEL, **around}  # fmt: skip


def template(after=()):
    pieces = [{"SpecialToken": {"id": name, "type_id": 0}} for name in after]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    known = {"<x>": {"id": "<x>", "ids": [261], "tokens": ["<x>"]}}
    return {"type": "TemplateProcessing", "single": [pair[0], *pieces], "pair": pair, "special_tokens": known}


END = ["<|endoftext|>"]
CHAT = ["<|endoftext|>", "<|user|>", "<|bot|>"]
# name: (tokens at the end of the vocabulary, files; tokenizer.json with FAST, vocab.json otherwise)
TAKEN = {
    "nothing": (END, {"tokenizer_config.json": GPT2}),
    "a list and a name": (
        END,
        {"tokenizer_config.json": {**GPT2, "additional_special_tokens": ["<x>", "<y>"], "pad_token": "<pad>"}},
    ),
    "special_tokens_map.json": (
        END,
        {
            "tokenizer_config.json": GPT2,
            "special_tokens_map.json": {
                "additional_special_tokens": ["<x>", "<y>"],
                "pad_token": token("<pad>"),
                "bos_token": "<|endoftext|>",
            },
        },
    ),
    "added_tokens.json": (END, {"tokenizer_config.json": GPT2, "added_tokens.json": {"<y>": 263, "<x>": 262}}),
    "added_tokens.json, one special": (
        END,
        {
            "tokenizer_config.json": {**GPT2, "pad_token": "<x>"},
            "added_tokens.json": {"<y>": 263, "<x>": 262},
        },
    ),
    "added_tokens_decoder": (
        END,
        {
            "tokenizer_config.json": {
                **GPT2,
                "added_tokens_decoder": {
                    "263": token("<y>", special=False, normalized=True),
                    "262": token("<x>"),
                    "261": token("<|endoftext|>"),
                },
            }
        },
    ),
    "added_tokens_decoder, in the vocabulary": (
        CHAT,
        {
            "tokenizer_config.json": {
                **GPT2,
                "added_tokens_decoder": {"262": token("<|user|>"), "263": token("<|bot|>", special=False)},
            }
        },
    ),
    "tokenizer.json": ([], {"tokenizer_config.json": FAST, "tokenizer.json": listed((261, token("<x>")), (262, token("<y>")))}),
    "tokenizer.json, plain ones": (
        [],
        {
            "tokenizer_config.json": FAST,
            "tokenizer.json": listed(
                (261, token("<x>", special=False)), (262, token("<y>", special=False, normalized=True))
            ),
        },
    ),
    "tokenizer.json, two tiers": (
        [],
        {
            "tokenizer_config.json": FAST,
            "tokenizer.json": listed(
                (261, token("ab<")), (262, token("ab<x>", special=False, normalized=True)), (263, token("<x", special=False))
            ),
        },
    ),
    "tokenizer.json and a name": (
        [],
        {"tokenizer_config.json": {**FAST, "pad_token": "<pad>"}, "tokenizer.json": listed((261, token("<x>")))},
    ),
    "tokenizer.json, stripping": (
        [],
        {
            "tokenizer_config.json": FAST,
            "tokenizer.json": listed(
                (261, token("<x>", lstrip=True)),
                (262, token("<y>", rstrip=True, special=False)),
                (263, token("the", single_word=True, special=False, normalized=True)),
            ),
        },
    ),
    "what changes no ids": (
        [],
        {
            "tokenizer_config.json": FAST,
            "tokenizer.json": listed(
                (261, token("<x>")),
                truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
                padding={"strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None,
                         "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
                post_processor={"type": "Sequence", "processors": [{**BYTE_LEVEL, "add_prefix_space": True}, template()]},
                normalizer={"type": "Sequence", "normalizers": []},
            ),
        },
    ),
}  # fmt: skip
# name: (what folio's message names, as above); transformers' ids are others than without it
REFUSED = {
    "add_prefix_space": ("add_prefix_space", END, {"tokenizer_config.json": {**GPT2, "add_prefix_space": True}}),
    "add_bos_token": ("add_bos_token", END, {"tokenizer_config.json": {**GPT2, "add_bos_token": True}}),
    "add_eos_token": ("add_eos_token", END, {"tokenizer_config.json": {**GPT2, "add_eos_token": True}}),
    "split_special_tokens": ("split_special_tokens", END, {"tokenizer_config.json": {**GPT2, "split_special_tokens": True}}),
    "template": ("post_processor", [], {"tokenizer_config.json": FAST, "tokenizer.json": listed((261, token("<x>")), post_processor=template(after=["<x>"]))}),
    "normalizer": ("normalizer", [], {"tokenizer_config.json": FAST, "tokenizer.json": listed((261, token("<x>")), normalizer={"type": "Replace", "pattern": {"String": "e"}, "content": "a"})}),
    "pattern of the pre_tokenizer": ("pre_tokenizer", [], {"tokenizer_config.json": FAST, "tokenizer.json": listed((261, token("<x>")), pre_tokenizer={"type": "Whitespace"})}),
    "order of ids": ("<y>", [], {"tokenizer_config.json": FAST, "tokenizer.json": listed((262, token("<y>")), (261, token("<x>")))}),
    "hole in the ids": ("<x>", END, {"tokenizer_config.json": {**GPT2, "added_tokens_decoder": {"270": token("<x>")}}}),
}  # fmt: skip


def load(extra, files, **settings):
    with tempfile.TemporaryDirectory() as folder:
        vocab = vocabulary(extra)
        lines = [f"{left} {right}" for left, right in MERGES]
        files = dict(files)
        if "tokenizer.json" in files:
            model = {"type": "BPE", "vocab": vocab, "merges": lines}
            files["tokenizer.json"] = {**files["tokenizer.json"], "model": model}
        else:
            files["vocab.json"] = vocab
            Path(folder, "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
        for name, content in files.items():
            Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(folder, **settings)
        return len(tokenizer), [tokenizer.encode(text) for text in TEXTS]


def main():
    cases = []
    for name, (extra, files) in TAKEN.items():
        size, ids = load(extra, files)
        as_text = load(extra, files, split_special_tokens=True)[1]
        cases.append({"name": name, "extra": extra, "files": files, "size": size, "ids": ids, "as_text": as_text})
    refused = []
    plain = {
        "vocab.json": load(END, {"tokenizer_config.json": GPT2}),
        "tokenizer.json": load([], {"tokenizer_config.json": FAST, "tokenizer.json": listed((261, token("<x>")))}),
    }
    for name, (names, extra, files) in REFUSED.items():
        refused.append({"name": name, "names": names, "extra": extra, "files": files})
        others = plain["tokenizer.json" if "tokenizer.json" in files else "vocab.json"]
        assert load(extra, files) != others, name
    out = {"merges": [" ".join(pair) for pair in MERGES], "texts": TEXTS, "cases": cases, "refused": refused}
    path = Path(__file__).parent / "added_tokens.json"
    path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
