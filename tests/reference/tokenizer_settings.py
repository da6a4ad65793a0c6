"""Byte-level tokenizers of Hugging Face's `tokenizers` in the settings of known models, trained here:
for check_tokenizers.py and make_byte_level.py."""

import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": True, **options})


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def token(content, **kind):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return AddedToken(content, **{**flags, **kind})


def template(start, id):
    """What Llama 3's file has."""
    first = {"SpecialToken": {"id": start, "type_id": 0}}
    a, b = ({"Sequence": {"id": name, "type_id": kind}} for name, kind in (("A", 0), ("B", 1)))
    return {
        "type": "Sequence",
        "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            {
                "type": "TemplateProcessing",
                "single": [first, a],
                "pair": [first, a, {"SpecialToken": {"id": start, "type_id": 1}}, b],
                "special_tokens": {start: {"id": start, "ids": [id], "tokens": [start]}},
            },
        ],
    }


CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
THINK = [token(text, special=False) for text in ("<tool_call>", "<think>", "</think>")]

# name: (pre-tokenizer, whether every byte is in the vocabulary, tokens at its start, tokens after it,
#        what else to set in the file)
SETTINGS = {
    "smollm2": (
        sequence(pre_tokenizers.Digits(individual_digits=True), byte_level()), False,
        [*CHAT, "<repo_name>", "<reponame>", "<file_sep>"], [], {},
    ),
    "qwen3": (
        sequence(split(QWEN), byte_level(use_regex=False)), True, [], [*map(token, CHAT), *THINK],
        {"normalizer": {"type": "NFC"}},
    ),
    "llama3": (
        sequence(split(LLAMA3), byte_level(use_regex=False)), True, [],
        [token(f"<|{name}|>") for name in ("begin_of_text", "end_of_text", "reserved_special_token_0",
                                           "start_header_id", "end_header_id", "eot_id")],
        {"ignore_merges": True, "start": "<|begin_of_text|>"},
    ),
}  # fmt: skip

STRIPPING = [
    token("<l>", lstrip=True), token("<r>", rstrip=True), token("<lr>", lstrip=True, rstrip=True, special=False),
    token("<w>", single_word=True), token("word", single_word=True, special=False),
    token("e\u0301t\u0323", normalized=True, special=False), token("\n<n>", rstrip=True),
    token("the ", special=False, normalized=True), token("  ", special=False), token("<"),
]  # fmt: skip
# What files of other models ask for, and what none does.
OTHERS = {
    "flags": (byte_level(), True, CHAT, STRIPPING, {}),
    "flags_nfc": (sequence(split(QWEN), byte_level(use_regex=False)), True, CHAT, STRIPPING, {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}}),
    "prefix": (byte_level(add_prefix_space=True), True, CHAT, STRIPPING, {}),
    "prefix_digits": (sequence(pre_tokenizers.Digits(individual_digits=False), byte_level(add_prefix_space=True)), True, CHAT, THINK, {}),
    "no_regex": (byte_level(use_regex=False), True, CHAT, [], {"ignore_merges": True}),
    "unknown": (byte_level(), False, ["<unk>", *CHAT], [], {"unk_token": "<unk>"}),
    "unknown_fused": (byte_level(), False, ["<unk>", *CHAT], [], {"unk_token": "<unk>", "fuse_unk": True}),
    "gpt4o": (sequence(split(GPT4O), byte_level(use_regex=False)), True, [], [*map(token, CHAT)], {"ignore_merges": True}),
    "removed": (sequence(split(r"\s+", "removed"), byte_level(use_regex=False)), True, CHAT, [], {}),
    "merged_previous": (sequence(split(r"[aeiou]|\p{N}*", "merged_with_previous"), byte_level(use_regex=False)), True, CHAT, [], {}),
    "merged_next": (sequence(split(r"[aeiou]|(?=\p{Lu})", "merged_with_next"), byte_level()), True, CHAT, [], {}),
    "contiguous": (sequence(split(r"\p{L}", "contiguous"), split(r"[eao]", "removed", True), byte_level(use_regex=False)), True, CHAT, [], {}),
    "inverted": (sequence(split(r"\w+", "merged_with_previous", True), byte_level(use_regex=False)), True, CHAT, [], {}),
    "texts": (sequence(pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split("the", "isolated"), byte_level()), True, CHAT, [], {}),
    "lookaround": (sequence(split(r"(?<=e)t+|\bth|(\w)\1|x\K.|$|^s"), byte_level(use_regex=False)), True, CHAT, [], {}),
}  # fmt: skip


def make(name, texts, vocab_size=3000):
    """The tokenizer.json, as text."""
    steps, every_byte, first, after, more = {**SETTINGS, **OTHERS}[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = steps
    tokenizer.decoder = decoders.ByteLevel()
    if "normalizer" in more:
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if every_byte else []
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=first, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_tokens(after)
    out = json.loads(tokenizer.to_str())
    if "normalizer" in more:
        out["normalizer"] = more["normalizer"]
    if more.get("ignore_merges"):
        # So that it makes a difference: tokens that no merge gives.
        rng = random.Random(name)
        out["model"]["merges"] = [merge for merge in out["model"]["merges"] if rng.random() < 0.95]
    for key in ("ignore_merges", "unk_token", "fuse_unk"):
        if key in more:
            out["model"][key] = more[key]
    if "start" in more:
        out["post_processor"] = template(more["start"], tokenizer.token_to_id(more["start"]))
    return json.dumps(out, ensure_ascii=False)
