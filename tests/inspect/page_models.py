"""Models whose pages pages_test.py opens: small, made in seconds, with hostile text in them."""

import json
import random
import struct
import subprocess
import sys

# Characters that a page must show as text and never run: markup, a mark that turns the direction of
# what follows, a zero byte.
HOSTILE = "<script>hacked()</script><img src=x onerror=hacked()>&lt;'\"\u202e\0"
CPU_SHAPE = ["--n_layer=4", "--n_head=4", "--n_embd=128", "--block_size=64"]
MODERN = [
    *["--n_layer=2", "--n_head=4", "--n_embd=48", "--block_size=48", "--position=rotary"],
    *["--norm=rms", "--activation=swiglu", "--qk_norm=rms_learned", "--n_kv_head=2"],
    *["--attention_window=16", "--logit_softcap=15", "--tie_weights=false"],
]


def run(folio, *arguments):
    """Standard output of a folio command."""
    result = subprocess.run([folio, *arguments], capture_output=True)
    if result.returncode != 0:
        sys.exit(f"folio {' '.join(arguments)}: {result.stderr.decode()}")
    return result.stdout.decode()


def prepare(folio, folder):
    """A dataset of words with the hostile text among them."""
    words = ["to be ", "or not ", "the king ", "is dead, ", "long live ", "Rome.\n", HOSTILE]
    draw = random.Random(1)
    text = "".join(draw.choice(words) for _ in range(4000))
    (folder / "input.txt").write_text(text, encoding="utf-8", newline="")
    run(
        folio,
        "prepare",
        f"--input={folder / 'input.txt'}",
        "--name=words",
        f"--data_dir={folder / 'datasets'}",
    )


def train(folio, folder, name, shape, iterations):
    run(
        folio,
        "train",
        *shape,
        f"--max_iters={iterations}",
        f"--lr_decay_iters={iterations}",
        "--dataset=words",
        f"--data_dir={folder / 'datasets'}",
        f"--out_dir={folder / name}",
        "--batch_size=4",
        "--gradient_accumulation_steps=1",
        "--learning_rate=1e-3",
        "--warmup_iters=5",
        f"--eval_interval={iterations}",
        "--eval_iters=1",
        "--always_save_checkpoint=true",
        "--dropout=0",
    )
    return folder / name


def random_gpt2(folder):
    """A folder in Hugging Face's layout: GPT-2's shape, small, with random weights, and a
    byte-level BPE tokenizer of the 256 bytes and a few merges."""
    layers, heads, C, T = 3, 4, 64, 96
    merges = ["t h", "th e", "Ġ the", "i n", "Ġ k"]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    byte = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    tokens = [byte[b] for b in range(256)] + [m.replace(" ", "") for m in merges]
    V = len(tokens)
    draw = random.Random(2)
    tensors = {"wte.weight": [V, C], "wpe.weight": [T, C], "ln_f.weight": [C], "ln_f.bias": [C]}
    for layer in range(layers):
        block = {
            "ln_1.weight": [C],
            "ln_1.bias": [C],
            "attn.c_attn.weight": [C, 3 * C],
            "attn.c_attn.bias": [3 * C],
            "attn.c_proj.weight": [C, C],
            "attn.c_proj.bias": [C],
            "ln_2.weight": [C],
            "ln_2.bias": [C],
            "mlp.c_fc.weight": [C, 4 * C],
            "mlp.c_fc.bias": [4 * C],
            "mlp.c_proj.weight": [4 * C, C],
            "mlp.c_proj.bias": [C],
        }
        tensors |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    header, data = {}, bytearray()
    for name, shape in tensors.items():
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        middle = 1.0 if ".ln_" in f".{name}" and name.endswith("weight") else 0.0
        values = struct.pack(f"<{size}f", *(middle + draw.gauss(0, 0.15) for _ in range(size)))
        header[name] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(values)],
        }
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "gpt2",
                "vocab_size": V,
                "n_positions": T,
                "n_embd": C,
                "n_layer": layers,
                "n_head": heads,
                "activation_function": "gelu_new",
                "layer_norm_epsilon": 1e-5,
            }
        )
    )
    return folder
