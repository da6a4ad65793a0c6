"""Writes exports.json: what transformers makes of small Llamas and Qwen3s in the files that folio
should export, for folio to match (README.md)."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import transformers

import make_parity
import values

VOCAB = 65
BATCH = {"shape": [2, 96], "seed": 1000, "vocab": VOCAB}
PROMPTS, NEW_TOKENS = 20, 200
# Of the likeliest token over the next: with a smaller one f32's rounding could choose.
SMALLEST_LEAD = 3e-5
FEWEST_TOKENS = 10  # different ones in a stream: more than a loop would have

# folio's options: those of every case, then what is a case's own.
MODEL = {
    "block_size": 256,
    "vocab_size": VOCAB,
    "n_layer": 3,
    "n_head": 4,
    "n_embd": 32,
    "ffn_hidden": 56,
    "head_dim": 8,
    "n_kv_head": 2,
    "bias": False,
    "activation": "swiglu",
    "position": "rotary",
    "rope_theta": 10000.0,
    "rope_factor": 1.0,
    "rope_low_freq_factor": 1.0,
    "rope_high_freq_factor": 4.0,
    "rope_original_context": 8192,
    "norm": "rms",
    "norm_eps": 1e-5,
    "qk_norm": "off",
    "attention_window": 0,
    "tie_weights": True,
}
QWEN3 = {"qk_norm": "rms_learned", "norm_eps": 1e-6, "rope_theta": 1e6}
# Of four pairs the first keeps its speed, the second's is between, the others are slower.
SCALED = {"rope_theta": 100.0, "rope_factor": 8.0, "rope_original_context": 64}
CASES = {
    "llama": {},
    "llama_untied": {"tie_weights": False, "n_kv_head": 1, "head_dim": 12, "norm_eps": 1e-6},
    "llama_bias": {"bias": True, "n_kv_head": 4, "rope_theta": 500000.0},
    "qwen3": QWEN3,
    "qwen3_untied": QWEN3 | {"tie_weights": False, "n_kv_head": 1, "head_dim": 14},
    "qwen3_window": QWEN3 | {"attention_window": 24, "n_kv_head": 1, "head_dim": 16},
    "qwen3_untied_window": QWEN3 | {"attention_window": 7, "tie_weights": False},
    "llama_scaled": SCALED | {"n_kv_head": 1},
}


def rope_parameters(model):
    rope = {"rope_type": "default", "rope_theta": model["rope_theta"]}
    if model["rope_factor"] == 1:
        return rope
    return rope | {
        "rope_type": "llama3",
        "factor": model["rope_factor"],
        "low_freq_factor": model["rope_low_freq_factor"],
        "high_freq_factor": model["rope_high_freq_factor"],
        "original_max_position_embeddings": model["rope_original_context"],
    }


def config_json(model):
    """config.json, whole but for the digest."""
    rope = rope_parameters(model)
    qwen3, window = model["qk_norm"] == "rms_learned", model["attention_window"]
    config = {
        "architectures": ["Qwen3ForCausalLM" if qwen3 else "LlamaForCausalLM"],
        "model_type": "qwen3" if qwen3 else "llama",
        "vocab_size": model["vocab_size"],
        "max_position_embeddings": model["block_size"],
        "hidden_size": model["n_embd"],
        "intermediate_size": model["ffn_hidden"],
        "num_hidden_layers": model["n_layer"],
        "num_attention_heads": model["n_head"],
        "num_key_value_heads": model["n_kv_head"],
        "head_dim": model["head_dim"],
        "hidden_act": "silu",
        "rms_norm_eps": model["norm_eps"],
        "rope_theta": model["rope_theta"],
        "rope_parameters": rope,
        "attention_bias": model["bias"],
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": model["tie_weights"],
        "torch_dtype": "float32",
    }
    if rope["rope_type"] != "default":
        config["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"}
    if not qwen3:
        return config | {"mlp_bias": model["bias"]}
    kind = "sliding_attention" if window else "full_attention"
    return config | {
        "use_sliding_window": window > 0,
        "sliding_window": window or None,
        "max_window_layers": 0 if window else model["n_layer"],
        "layer_types": [kind] * model["n_layer"],
    }


def parameters(model):
    """(folio's name, [(transformers' name, shape), ...]): what lies below each other in folio's."""
    C, D, F, V = model["n_embd"], model["head_dim"], model["ffn_hidden"], model["vocab_size"]
    q, kv = model["n_head"] * D, model["n_kv_head"] * D
    linears = [
        ("attn.c_attn", [("q_proj", q), ("k_proj", kv), ("v_proj", kv)], "self_attn", C),
        ("attn.c_proj", [("o_proj", C)], "self_attn", q),
        ("mlp.c_fc", [("gate_proj", F), ("up_proj", F)], "mlp", C),
        ("mlp.c_proj", [("down_proj", C)], "mlp", F),
    ]
    yield "transformer.wte.weight", [("model.embed_tokens.weight", [V, C])]
    for i in range(model["n_layer"]):
        ours, theirs = f"transformer.h.{i}", f"model.layers.{i}"
        yield f"{ours}.ln_1.weight", [(f"{theirs}.input_layernorm.weight", [C])]
        yield f"{ours}.ln_2.weight", [(f"{theirs}.post_attention_layernorm.weight", [C])]
        if model["qk_norm"] == "rms_learned":
            for norm in ("q_norm", "k_norm"):
                yield f"{ours}.attn.{norm}.weight", [(f"{theirs}.self_attn.{norm}.weight", [D])]
        for name, parts, group, inputs in linears:
            place = f"{theirs}.{group}"
            yield f"{ours}.{name}.weight", [(f"{place}.{p}.weight", [n, inputs]) for p, n in parts]
            if model["bias"]:
                yield f"{ours}.{name}.bias", [(f"{place}.{p}.bias", [n]) for p, n in parts]
    yield "transformer.ln_f.weight", [("model.norm.weight", [C])]
    if not model["tie_weights"]:
        yield "lm_head.weight", [("lm_head.weight", [V, C])]


def weights(model, seed):
    """By folio's name, specs of transformers' tensors. The scales make every token matter."""
    specs = {}
    for name, parts in parameters(model):
        specs[name] = []
        for part, shape in parts:
            seed += 1
            norm, table = "norm" in part, "embed_tokens" in part or "lm_head" in part
            scale = 0.125 if part.endswith("bias") else 0.25 if norm else 0.5 if table else 1.0
            specs[name].append(
                {"name": part, "shape": shape, "seed": seed, "scale": scale, "offset": float(norm)}
            )
    return specs


def load(config, specs):
    """The model as a user loads it, from the files."""
    all_specs = [spec for parts in specs.values() for spec in parts]
    tensors = {spec["name"]: values.tensor(spec, torch.float32) for spec in all_specs}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        safetensors.torch.save_file(tensors, Path(folder) / "model.safetensors", {"format": "pt"})
        model, said = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
    if any(said.values()):
        sys.exit(f"not every tensor has its place: {said}")
    return model.eval()


@torch.no_grad()
def streams(model):
    """What generate appends to each prompt, and the smallest lead of a likeliest token; prompt i is
    tokens(6000 + i, 1 + 11 (i mod 4), vocab_size)."""
    made, lead = [None] * PROMPTS, float("inf")
    for length in range(4):
        rows = range(length, PROMPTS, 4)  # of one length: they go together
        prompts = [values.tokens(6000 + i, 1 + 11 * length, VOCAB) for i in rows]
        prompts = torch.from_numpy(np.stack(prompts))
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        for i, row in zip(rows, out.sequences):
            made[i] = row[prompts.shape[1] :].tolist()
        best = torch.stack(out.logits).topk(2).values
        lead = min(lead, (best[..., 0] - best[..., 1]).min().item())
    return made, lead


def training(model, theirs, ids):
    """Of predicting each of the ids from those before it: the loss and, by folio's name, the norm and
    the probe of each gradient."""
    loss = theirs(ids, labels=ids).loss
    loss.backward()
    gradients = {}
    for i, (name, parts) in enumerate(parameters(model)):
        parts = [part for part, _ in parts]
        gradient = torch.cat([theirs.get_parameter(part).grad for part in parts])
        gradients[name] = make_parity.excerpt(gradient, 3000 + i) | {"at": [], "values": []}
    return {"loss": loss.item(), "gradients": gradients}


def figures(name, own, seed):
    """With weights from the first seed for which f32's rounding chooses no token."""
    model = MODEL | own
    config = config_json(model)
    while True:
        specs = weights(model, seed)
        theirs = load(config, specs)
        made, lead = streams(theirs)
        different = [len(set(stream)) for stream in made]
        print(f"{name}, seed {seed}: lead {lead:.1e}, at least {min(different)} tokens in a stream")
        if lead >= SMALLEST_LEAD and min(different) >= FEWEST_TOKENS:
            break
        seed += 100
    ids = values.tensor(BATCH, torch.int64)
    with torch.no_grad():
        logits = theirs(ids).logits
    return {
        "name": name,
        "model": model,
        "config": config,
        "weights": specs,
        "batch": BATCH,
        "logits": make_parity.excerpt(logits, 2000),
        "streams": made,
        **training(model, theirs, ids),
    }


def main():
    torch.set_num_threads(1)
    cases = [figures(name, own, 1000 * (i + 1)) for i, (name, own) in enumerate(CASES.items())]
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("exports.json")
    made = {"transformers": transformers.__version__, "cases": cases}
    text = json.dumps(made, separators=(",", ":"))
    path.write_text(text.replace('{"name":"', '\n{"name":"').replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
