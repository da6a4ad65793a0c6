"""Writes gpt2.json: what transformers makes of a small GPT-2, for folio to match (README.md)."""

import json
import sys
from pathlib import Path

import torch
import transformers

import make_parity
import values

SHAPE = {"vocab_size": 65, "n_positions": 224, "n_embd": 32, "n_layer": 2, "n_head": 2}
BATCH = {"shape": [3, 33], "seed": 1000, "vocab": SHAPE["vocab_size"]}
PROMPTS, NEW_TOKENS = 50, 200
# Of the likeliest token over the next: with a smaller one f32's rounding could choose.
SMALLEST_LEAD = 3e-5


def is_conv1d(name):
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def weight_spec(name, parameter, seed):
    """As folio holds it: matrices [out, in]. The scales make every token matter."""
    shape = list(parameter.shape)
    norm = ".ln_" in name and name.endswith("weight")
    return {
        "name": name,
        "shape": shape[::-1] if is_conv1d(name) else shape,
        "seed": seed,
        "scale": 0.5 if parameter.dim() == 2 else 0.125,
        "offset": 1.0 if norm else 0.0,
    }


def a_model():
    config = transformers.GPT2Config(
        **SHAPE, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=None, eos_token_id=None
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    specs = []
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(model.named_parameters(), start=1):
            specs.append(weight_spec(name, parameter, seed))
            tensor = values.tensor(specs[-1], torch.float32)
            parameter.copy_(tensor.T if is_conv1d(name) else tensor)
    return model, specs


def gradients(model):
    for i, (name, parameter) in enumerate(model.named_parameters()):
        grad = parameter.grad.T if is_conv1d(name) else parameter.grad
        yield name, make_parity.excerpt(grad.contiguous(), 3000 + i)


@torch.no_grad()
def greedy(model, prompt):
    """The tokens that generate appends, and the smallest lead of a likeliest token."""
    out = model.generate(
        prompt[None],
        attention_mask=torch.ones_like(prompt[None]),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.cat(out.logits).topk(2).values
    return out.sequences[0, len(prompt) :].tolist(), (best[:, 0] - best[:, 1]).min().item()


def streams(model):
    """Prompt i is tokens(6000 + i, 1 + i mod 24, vocab_size)."""
    made, lead = [], float("inf")
    for i in range(PROMPTS):
        prompt = torch.from_numpy(values.tokens(6000 + i, 1 + i % 24, SHAPE["vocab_size"]))
        tokens, least = greedy(model, prompt)
        made.append(tokens)
        lead = min(lead, least)
    if lead < SMALLEST_LEAD:
        sys.exit(f"a token leads by {lead} only: choose other weights")
    return made


def main():
    torch.set_num_threads(1)
    model, specs = a_model()
    ids = values.tensor(BATCH, torch.int64)
    result = model(ids, labels=ids)
    result.loss.backward()
    figures = {
        "transformers": transformers.__version__,
        "model": SHAPE,
        "weights": specs,
        "batch": BATCH,
        "loss": result.loss.item(),
        "logits": make_parity.excerpt(result.logits, 2000),
        "gradients": dict(gradients(model)),
        "streams": streams(model),
    }
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("gpt2.json")
    path.write_text(
        json.dumps(figures, separators=(",", ":")).replace(',"', ',\n"', 4).replace("],[", "],\n[")
        + "\n"
    )


if __name__ == "__main__":
    main()
