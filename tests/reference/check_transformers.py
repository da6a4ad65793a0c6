"""Checks folio against transformers where a committed file would be too large: exits 1 unless they
agree.

gpt2     GPT-2's 124M shape with random weights: logits, loss, every gradient, and the greedy
         streams of 50 prompts, 200 tokens each
export   a character model that folio trains and exports: the same logits and the same ids
layouts  the same for Llama's and Qwen3's layouts, and the greedy streams of 20 prompts
models   transformers' own Llamas and Qwen3s with random weights, one of SmolLM2-135M's shape, from
         files of each dtype, in shards, in either spelling of config.json: logits, loss, every
         gradient, the greedy streams of 20 prompts, and the logits of what folio exports back

Needs torch, transformers and a built folio with its tests (build/tests/dump_model).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch
import transformers

import values

ROOT = Path(__file__).resolve().parents[2]
PROMPT_LENGTHS, NEW_TOKENS, TOKENS = [1, 7, 16, 33, 64], 200, 256
PROMPTS = 10  # of each length
TOLERANCE = 1e-4
EXPECTED = "expected.bin"  # beside an export that is kept: its ids and folio's logits
LLAMA = ["--position=rotary", "--norm=rms", "--activation=swiglu", "--norm_eps=1e-6"]
LEARNED, UNTIED = "--qk_norm=rms_learned", "--tie_weights=false"
LAYOUTS = [
    ("LlamaForCausalLM", ["--n_kv_head=2"]),
    ("LlamaForCausalLM", ["--n_kv_head=1", UNTIED, "--bias=true", "--head_dim=24"]),
    ("Qwen3ForCausalLM", ["--n_kv_head=2", LEARNED, UNTIED]),
    ("Qwen3ForCausalLM", ["--n_kv_head=1", LEARNED, "--attention_window=32"]),
    ("Qwen3ForCausalLM", ["--n_kv_head=2", LEARNED, UNTIED, "--attention_window=9"]),
]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# (class, config, dtype of the files, size of a shard, transformers whose spelling is written)
MODELS = [
    (
        "Llama",
        {"vocab_size": 499, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "rms_norm_eps": 1e-5,
         "max_position_embeddings": 512, "rope_parameters": LLAMA3},
        "float32", "200KB", 4,
    ),
    (
        "Llama",
        {"vocab_size": 1000, "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4,
         "num_attention_heads": 6, "num_key_value_heads": 1, "tie_word_embeddings": True,
         "max_position_embeddings": 512, "attention_bias": True, "mlp_bias": True},
        "float16", "5GB", 5,
    ),
    (
        "Llama",  # SmolLM2-135M
        {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
         "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
         "rms_norm_eps": 1e-5, "max_position_embeddings": 8192, "tie_word_embeddings": True,
         "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}},
        "bfloat16", "60MB", 4,
    ),
    (
        "Qwen3",
        {"vocab_size": 499, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
         "max_position_embeddings": 512, "use_sliding_window": True, "sliding_window": 40,
         "max_window_layers": 0},
        "float32", "5GB", 5,
    ),
    (
        "Qwen3",
        {"vocab_size": 1000, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64,
         "max_position_embeddings": 512, "tie_word_embeddings": True, "rope_parameters": LLAMA3},
        "float16", "400KB", 5,
    ),
    (
        "Qwen3",  # a layer as Qwen3-0.6B's
        {"vocab_size": 8192, "hidden_size": 1024, "intermediate_size": 3072,
         "num_hidden_layers": 4, "num_attention_heads": 16, "num_key_value_heads": 8,
         "max_position_embeddings": 40960, "tie_word_embeddings": True,
         "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
        "bfloat16", "30MB", 4,
    ),
]  # fmt: skip


def is_conv1d(name):
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def random_gpt2(folder):
    """GPT-2 with larger weights in its blocks than at the start of training, so that the streams do
    not repeat their last token."""
    torch.manual_seed(1337)
    config = transformers.GPT2Config(bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".h." in name and parameter.dim() == 2:
                parameter.normal_(std=0.08)
            elif parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)
    return model


def dump(program, model, asked, folder):
    """What folio makes of the model in the folder `model`."""
    tokens, out = folder / "tokens.json", folder / "folio.safetensors"
    tokens.write_text(json.dumps(asked))
    subprocess.run([program, model, tokens, out], check=True)
    return safetensors.torch.load_file(out)


class Report:
    failed = False

    def line(self, what, figure, holds):
        print(f"{what:58} {figure:12} {'' if holds else '  FAILED'}")
        self.failed |= not holds

    def distance(self, what, distance, limit=TOLERANCE):
        self.line(what, f"{distance:.2e}", distance <= limit)


def compare_training(report, model, ids, folio):
    """Logits by their largest distance; a gradient by the norm of the difference over its own."""
    ours = gradients(model, folio)
    result = model(ids, labels=ids)
    result.loss.backward()
    report.distance("logits, largest distance", (result.logits - folio["logits"]).abs().max().item())
    loss = result.loss.item()
    report.distance("loss, relative", abs(folio["loss"].item() - loss) / loss)
    worst = max(
        (relative_difference(ours[name], parameter.grad, name), name)
        for name, parameter in model.named_parameters()
    )
    count = len(list(model.parameters()))
    report.distance(f"gradients, relative, the largest of {count}", worst[0])
    print(f"    ({worst[1]})")


def gradients(model, folio):
    """folio's, by the names of transformers' parameters."""
    made = {}
    for ours, parts in parameter_parts(model):
        gradient, begin = folio["grad." + ours], 0
        for name in parts:
            rows = len(model.get_parameter(name)) if len(parts) > 1 else len(gradient)
            made[name] = gradient[begin : begin + rows]
            begin += rows
    return made


def parameter_parts(model):
    """(folio's name, [transformers' names]): what lies below each other in folio's."""
    if isinstance(model, transformers.GPT2LMHeadModel):
        yield from ((name, [name]) for name, _ in model.named_parameters())
        return
    layer = {
        "input_layernorm": ("ln_1", None),
        "post_attention_layernorm": ("ln_2", None),
        "self_attn.q_norm": ("attn.q_norm", None),
        "self_attn.k_norm": ("attn.k_norm", None),
        "self_attn.q_proj": ("attn.c_attn", ["q_proj", "k_proj", "v_proj"]),
        "self_attn.o_proj": ("attn.c_proj", None),
        "mlp.gate_proj": ("mlp.c_fc", ["gate_proj", "up_proj"]),
        "mlp.down_proj": ("mlp.c_proj", None),
    }
    outside = {
        "model.embed_tokens": "transformer.wte",
        "model.norm": "transformer.ln_f",
        "lm_head": "lm_head",
    }
    for name, _ in model.named_parameters():
        place, kind = name.rsplit(".", 1)
        if place in outside:
            yield f"{outside[place]}.{kind}", [name]
            continue
        _, _, i, within = place.split(".", 3)
        if within in layer:
            ours, parts = layer[within]
            group = place.rsplit(".", 1)[0]
            names = [f"{group}.{part}.{kind}" for part in parts] if parts else [name]
            yield f"transformer.h.{i}.{ours}.{kind}", names


def relative_difference(ours, theirs, name):
    theirs = theirs.T if is_conv1d(name) else theirs
    return ((ours - theirs).norm() / theirs.norm()).item()


@torch.no_grad()
def greedy(model, prompts):
    """One row a prompt; prompts of one length go together."""
    streams = []
    for i in range(0, len(prompts), PROMPTS):
        ids = torch.tensor(prompts[i : i + PROMPTS])
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=NEW_TOKENS,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
        )
        streams.append(made[:, ids.shape[1] :])
    return torch.cat(streams)


def check_gpt2(report, arguments, folder):
    model = random_gpt2(folder / "model")
    vocab = model.config.vocab_size
    ids = torch.from_numpy(values.tokens(1, TOKENS, vocab))[None]
    prompts = [
        values.tokens(100 * length + i, length, vocab).tolist()
        for length in PROMPT_LENGTHS
        for i in range(PROMPTS)
    ]
    asked = {"ids": ids.tolist(), "prompts": prompts, "max_new_tokens": NEW_TOKENS}
    folio = dump(arguments.dump_model, folder / "model", asked, folder)
    compare_training(report, model, ids, folio)
    ours, theirs = folio["streams"].long(), greedy(model, prompts)
    equal = (ours == theirs).all(dim=1).sum().item()
    report.line("greedy streams that are equal", f"{equal} of {len(prompts)}", equal == len(prompts))
    print(f"    ({NEW_TOKENS} tokens each, {len(theirs.unique())} different ones in all)")


def trained(arguments, folder, options):
    """A character model that folio trains on a text of its own, and its export: (out_dir, exported,
    text)."""

    def folio(*words):
        subprocess.run([arguments.folio, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    path = (folder / "input.txt").resolve()
    text = "".join(f"Café {i}: {i * i} naïve\n" for i in range(3000))
    path.write_text(text, encoding="utf-8")
    data, out, exported = folder / "data", folder / "out", folder / "exported"
    folio("prepare", f"--input={path}", "--name=lines", f"--data_dir={data}")
    config = ROOT / "configs/train_shakespeare_char_cpu.toml"
    folio("train", config, "--dataset=lines", f"--data_dir={data}", f"--out_dir={out}",
          "--eval_interval=20", "--eval_iters=2", *options)  # fmt: skip
    folio("export", f"--out_dir={out}", f"--to={exported}")
    return out, exported, text


def compare_ids(report, exported, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    sample = text[5000:5060]
    ids = tokenizer(sample, return_tensors="pt").input_ids
    characters = sorted(set(text))
    same = ids[0].tolist() == [characters.index(c) for c in sample]
    report.line("ids of the exported tokenizer", "equal" if same else "other", same)
    back = tokenizer.decode(ids[0], clean_up_tokenization_spaces=False)
    report.line("its text", "equal" if back == sample else "other", back == sample)
    return ids


@torch.no_grad()
def compare_logits(report, model, ids, ours):
    theirs = model(ids).logits
    report.distance("logits, largest distance", (ours - theirs).abs().max().item())
    report.line("their spread", f"{theirs.std():.2f}", theirs.std() > 0.5)


def check_export(report, arguments, folder):
    out, exported, text = trained(arguments, folder, ["--max_iters=40"])
    model = transformers.AutoModelForCausalLM.from_pretrained(exported).eval()
    ids = compare_ids(report, exported, text)
    asked = {"ids": ids.tolist(), "prompts": []}
    ours = dump(arguments.dump_model, out / "ckpt.h5", asked, folder)
    compare_logits(report, model, ids, ours["logits"])


def check_layout(report, arguments, folder, architecture, options):
    shape = ["--n_layer=2", "--n_embd=64", "--block_size=256", "--batch_size=4"]
    out, exported, text = trained(
        arguments, folder, [*shape, "--learning_rate=4e-3", "--max_iters=300", *LLAMA, *options]
    )
    model, said = transformers.AutoModelForCausalLM.from_pretrained(
        exported, output_loading_info=True
    )
    print(" ".join(options))
    name = type(model.eval()).__name__
    report.line("class", name, name == architecture)
    misplaced = sum(map(len, said.values()))
    report.line("tensors without a place, or missing", f"{misplaced}", misplaced == 0)
    ids = compare_ids(report, exported, text)
    characters = sorted(set(text))
    prompts = [
        [characters.index(c) for c in text[start : start + length]]
        for length in (3, 50)
        for start in range(700, 700 * (PROMPTS + 1), 700)
    ]
    asked = {"ids": ids.tolist(), "prompts": prompts, "max_new_tokens": NEW_TOKENS}
    ours = dump(arguments.dump_model, out / "ckpt.h5", asked, folder)
    compare_logits(report, model, ids, ours["logits"])
    streams, theirs = ours["streams"].long(), greedy(model, prompts)
    equal = (streams == theirs).all(dim=1).sum().item()
    report.line("greedy streams that are equal", f"{equal} of {len(prompts)}", equal == len(prompts))
    fewest = min(len(stream.unique()) for stream in theirs)
    report.line("fewest different tokens in one", f"{fewest}", fewest > 4)


def check_layouts(report, arguments, folder):
    for i, (architecture, options) in enumerate(LAYOUTS):
        (folder / str(i)).mkdir()
        check_layout(report, arguments, folder / str(i), architecture, options)


def random_model(folder, name, settings, dtype, shard, spelling):
    """Saved as its class saves it, with config.json as transformers 4 or 5 spells it; read again, in
    f32, as a user reads it."""
    torch.manual_seed(1337)
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    config = getattr(transformers, name + "Config")(**settings, **ends)
    model = getattr(transformers, name + "ForCausalLM")(config)
    is_shallow = config.num_hidden_layers < 10  # a deep one mixes enough, and multiplies rounding
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
            else:
                gain = 1.4 if "layers" in parameter_name and is_shallow else 1
                parameter.normal_(std=gain * parameter.shape[1] ** -0.5)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if spelling == 4:
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = None if rope["type"] == "default" else rope
        config["torch_dtype"] = config.pop("dtype")
        path.write_text(json.dumps(config))
    return loaded(folder)


def loaded(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    return model.eval()


def check_model(report, arguments, folder, name, settings, dtype, shard, spelling):
    model = random_model(folder / "model", name, settings, dtype, shard, spelling)
    vocab = settings["vocab_size"]
    files = len(list((folder / "model").glob("*.safetensors")))
    print(f"{name}, {model.num_parameters() / 1e6:.1f}M, {dtype}, {files} files, spelling {spelling}")
    ids = torch.from_numpy(values.tokens(1, TOKENS, vocab))[None]
    prompts = [
        values.tokens(100 * length + i, length, vocab).tolist()
        for length in (3, 50)
        for i in range(PROMPTS)
    ]
    asked = {"ids": ids.tolist(), "prompts": prompts, "max_new_tokens": NEW_TOKENS}
    folio = dump(arguments.dump_model, folder / "model", asked, folder)
    compare_training(report, model, ids, folio)
    compare_logits(report, model, ids, folio["logits"])
    ours, theirs = folio["streams"].long(), greedy(model, prompts)
    equal = (ours == theirs).all(dim=1).sum().item()
    report.line("greedy streams that are equal", f"{equal} of {len(prompts)}", equal == len(prompts))
    fewest = min(len(stream.unique()) for stream in theirs)
    report.line("fewest different tokens in one", f"{fewest}", fewest > 4)
    exported = folder / "exported"
    subprocess.run(
        [arguments.folio, "export", f"--init_from={folder / 'model'}", f"--to={exported}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    back = loaded(exported)
    report.line("class of the export", type(back).__name__, type(back) is type(model))
    with torch.no_grad():
        distance = (back(ids).logits - model(ids).logits).abs().max().item()
    report.distance("its logits, largest distance", distance, 1e-6)
    if arguments.exports:
        kept = arguments.exports / folder.name
        shutil.copytree(exported, kept)
        safetensors.torch.save_file({"ids": ids, "logits": folio["logits"]}, kept / EXPECTED)


def check_exports(report, arguments, folder):
    if not arguments.exports:
        print("    (not asked for: --exports=FOLDER)")
        return
    for exported in sorted(arguments.exports.iterdir()):
        expected = safetensors.torch.load_file(exported / EXPECTED)
        model = loaded(exported)
        print(type(model).__name__)
        compare_logits(report, model, expected["ids"], expected["logits"])


def check_models(report, arguments, folder):
    for i, case in enumerate(MODELS):
        (folder / str(i)).mkdir()
        check_model(report, arguments, folder / str(i), *case)


CHECKS = {
    "gpt2": check_gpt2,
    "export": check_export,
    "layouts": check_layouts,
    "models": check_models,
    "exports": check_exports,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"{', '.join(CHECKS)}; or all")
    parser.add_argument("--folio", type=Path, default=ROOT / "build/folio")
    parser.add_argument("--dump-model", type=Path, default=ROOT / "build/tests/dump_model")
    parser.add_argument("--exports", type=Path, metavar="FOLDER", help="models, exports")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    report = Report()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    for name in arguments.checks or CHECKS:
        print(f"\n{name}")
        with tempfile.TemporaryDirectory() as folder:
            CHECKS[name](report, arguments, Path(folder))
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
