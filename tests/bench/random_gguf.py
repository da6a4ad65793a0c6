#!/usr/bin/env python3
"""Writes GGUF files with random weights in the shape of GPT-2 124M or SmolLM2-135M, for
compare_decoding.py: FOLDER/SHAPE-{f32,bf16,q8_0}.gguf. Needs gguf and numpy (PyPI)."""

import argparse
from pathlib import Path

import gguf
import numpy as np

GPT2 = {"layers": 12, "width": 768, "heads": 12, "vocabulary": 50257, "context": 1024, "ffn": 3072}
SMOLLM2 = {
    "layers": 30, "width": 576, "heads": 9, "kv_heads": 3, "vocabulary": 49152, "context": 8192,
    "ffn": 1536, "rope_theta": 100000.0,
}  # fmt: skip
DTYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}


def gpt2_tensors(shape):
    """name -> (rows, columns) of matrices, (size,) of the others."""
    width, ffn = shape["width"], shape["ffn"]
    yield "token_embd.weight", (shape["vocabulary"], width)
    yield "position_embd.weight", (shape["context"], width)
    for i in range(shape["layers"]):
        for name, rows, columns in (
            ("attn_qkv", 3 * width, width),
            ("attn_output", width, width),
            ("ffn_up", ffn, width),
            ("ffn_down", width, ffn),
        ):
            yield f"blk.{i}.{name}.weight", (rows, columns)
            yield f"blk.{i}.{name}.bias", (rows,)
        for norm in ("attn_norm", "ffn_norm"):
            yield f"blk.{i}.{norm}.weight", (width,)
            yield f"blk.{i}.{norm}.bias", (width,)
    yield "output_norm.weight", (width,)
    yield "output_norm.bias", (width,)


def llama_tensors(shape):
    width, ffn = shape["width"], shape["ffn"]
    kv = width // shape["heads"] * shape["kv_heads"]
    yield "token_embd.weight", (shape["vocabulary"], width)
    for i in range(shape["layers"]):
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", ffn, width),
            ("ffn_up", ffn, width),
            ("ffn_down", width, ffn),
        ):
            yield f"blk.{i}.{name}.weight", (rows, columns)
        yield f"blk.{i}.attn_norm.weight", (width,)
        yield f"blk.{i}.ffn_norm.weight", (width,)
    yield "output_norm.weight", (width,)


SHAPES = {"gpt2": ("gpt2", GPT2, gpt2_tensors), "smollm2": ("llama", SMOLLM2, llama_tensors)}


def write(path, name, dtype):
    architecture, shape, tensors = SHAPES[name]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    if architecture == "llama":
        writer.add_head_count_kv(shape["kv_heads"])
        writer.add_rope_freq_base(shape["rope_theta"])
        writer.add_rope_dimension_count(shape["width"] // shape["heads"])
        writer.add_layer_norm_rms_eps(1e-5)
    else:
        writer.add_layer_norm_eps(1e-5)
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_tokenizer_model("no_vocab")
    random = np.random.default_rng(1337)
    for tensor, size in tensors(shape):
        values = random.normal(0, 0.02, size).astype(np.float32)
        # As convert_hf_to_gguf.py does: vectors and positions stay in f32.
        kept = len(size) == 1 or tensor == "position_embd.weight"
        kind = DTYPES["f32" if kept else dtype]
        writer.add_tensor(tensor, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for dtype in DTYPES:
        path = arguments.folder / f"{arguments.shape}-{dtype}.gguf"
        write(path, arguments.shape, dtype)
        print(path)


if __name__ == "__main__":
    main()
