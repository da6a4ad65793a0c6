"""Writes inspect.json: what PyTorch shows inside two of parity.json's models as they read one text,
for folio's inspect to match (README.md)."""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import make_parity
import recipes
import values


def attention_of(model, block, x):
    """Attention's probabilities [H, T, T], from what goes into the layer: x [1, T, C]."""
    c, T = model.config, x.shape[1]
    qkv = block.attn.c_attn(x)
    if isinstance(model, recipes.Gpt):
        parts = qkv.split(block.attn.sizes, dim=2)
        q, k, _ = (p.view(1, T, -1, c.head_dim).transpose(1, 2) for p in parts)
        q = recipes.turned(block.attn.q_norm(q), c.rope_theta)
        k = recipes.turned(block.attn.k_norm(k), c.rope_theta)
        k = k.repeat_interleave(c.n_head // c.n_kv_head, dim=1)
        window = c.attention_window
    else:
        q, k, _ = (p.view(1, T, c.n_head, -1).transpose(1, 2) for p in qkv.split(c.n_embd, dim=2))
        window = T
    at = torch.arange(T)
    age = at[:, None] - at[None, :]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.masked_fill((age < 0) | (age >= window), -math.inf).softmax(-1)[0]


def head_of(model, x):
    logits = model.lm_head(model.transformer.ln_f(x))
    cap = getattr(model.config, "logit_softcap", 0)
    return cap * torch.tanh(logits / cap) if cap else logits


def figures(case):
    model = make_parity.model_of(case)
    specs = make_parity.weight_specs(model)
    with torch.no_grad():
        for spec, parameter in zip(specs, model.parameters()):
            parameter.copy_(values.tensor(spec, torch.float32))
    text = {"shape": [case["model"]["block_size"]], "seed": 1000, "vocab": 65}
    tokens = values.tensor(text, torch.int64)[None]
    seen = {}  # by the names of folio's points

    def keep(name):
        def hook(module, inputs, output=None):
            x = inputs[0] if output is None else output
            x.retain_grad()
            seen[name] = x

        return hook

    attention = []
    model.transformer.h[0].register_forward_pre_hook(keep("embedding"))
    for layer, block in enumerate(model.transformer.h):
        block.attn.register_forward_pre_hook(
            lambda _, x, block=block: attention.append(attention_of(model, block, x[0]))
        )
        block.ln_2.register_forward_pre_hook(keep(f"h.{layer}.residual"))
        block.register_forward_hook(keep(f"h.{layer}.output"))
    _, loss = model(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    gradients = {n: p.grad.flatten().tolist() for n, p in model.named_parameters()}
    streams = {n: x.grad[0].norm().item() for n, x in seen.items()}
    attention.clear()
    with torch.no_grad():
        for hooked in model.modules():  # no gradients to keep in this pass
            hooked._forward_hooks.clear()
        states = {}
        x = model.transformer.wte(tokens)
        if "wpe" in model.transformer:
            x = x + model.transformer.wpe.weight[: tokens.shape[1]]
        states["embedding"] = x
        for layer, block in enumerate(model.transformer.h):
            block._forward_pre_hooks.clear()
            block.ln_2._forward_pre_hooks.clear()
            middle = x + block.attn(block.ln_1(x))
            x = middle + block.mlp(block.ln_2(middle))
            states[f"h.{layer}.residual"], states[f"h.{layer}.output"] = middle, x
        lens = {n: head_of(model, s)[0].softmax(-1) for n, s in states.items()}
        losses = F.cross_entropy(head_of(model, x)[0, :-1], tokens[0, 1:], reduction="none")
    kept = {
        n: make_parity.excerpt(torch.tensor(g), 3000 + i)
        for i, (n, g) in enumerate(gradients.items())
    }
    return {
        **{k: case[k] for k in ("name", "model", "bias")},
        "gelu": case.get("gelu", "gelu_erf"),
        "weights": specs,
        "text": text,
        "attention": [p.detach().flatten().tolist() for p in attention],
        "lens_next": {
            n: [p[t, tokens[0, t + 1]].item() for t in range(tokens.shape[1] - 1)]
            for n, p in lens.items()
        },
        "lens_best": {n: p.argmax(-1).tolist() for n, p in lens.items()},
        "losses": losses.tolist(),
        "loss": loss.item(),
        "gradients": kept,
        "stream_gradients": streams,
    }


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, list):
        return [rounded(x) for x in value]
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


def main():
    torch.set_num_threads(1)
    cases = [c for c in make_parity.CASES if c["name"] in ("bias", "all_options")]
    result = {"torch": torch.__version__.split("+")[0], "cases": [figures(c) for c in cases]}
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("inspect.json")
    text = json.dumps(rounded(result), separators=(",", ":"))
    path.write_text(text.replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
