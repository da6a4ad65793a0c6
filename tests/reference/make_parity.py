"""Writes parity.json: what PyTorch makes of some models, for folio to match (README.md)."""

import json
import sys
from pathlib import Path

import torch

import model as reference
import recipes
import values

STEPS, BATCHES = 20, 2
# grad_clip lies between the smallest and the largest norm, so that some steps clip and some do not.
OPTIMIZER = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-8,
    "weight_decay": 0.1,
    "grad_clip": 1.5,
}
SMALL = {"vocab_size": 65, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32}
# The shape of configs/train_shakespeare_char_cpu.toml.
CHAR_CPU = {"vocab_size": 65, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}
# Every option of the model beside nanoGPT's; the names are those of folio's GptConfig.
RECIPE = {
    "vocab_size": 65,
    "block_size": 16,
    "n_layer": 2,
    "n_head": 4,
    "n_embd": 32,
    "rope_theta": 100.0,
    "norm_eps": 1e-6,
    "ffn_hidden": 48,
    "head_dim": 12,
    "n_kv_head": 2,
    "attention_window": 6,
    "logit_softcap": 4.0,
}
RECIPE_NAMES = {
    "position": "rotary",
    "norm": "rms",
    "qk_norm": "rms_learned",
    "activation": "swiglu",
    "tie_weights": False,
}
CASES = [
    {"name": "no_bias", "model": SMALL, "batch_size": 4, "bias": False, "gelu": "gelu_erf"},
    {"name": "bias", "model": SMALL, "batch_size": 4, "bias": True, "gelu": "gelu_erf"},
    {"name": "bias_gelu_tanh", "model": SMALL, "batch_size": 4, "bias": True, "gelu": "gelu_tanh"},
    {"name": "char_cpu", "model": CHAR_CPU, "batch_size": 12, "bias": False, "gelu": "gelu_erf"},
    {"name": "all_options", "model": {**RECIPE, **RECIPE_NAMES}, "batch_size": 4, "bias": False},
]
POSITIONS = 64  # of each gradient and of the logits that are written


def weight_specs(model):
    """How to make each parameter: matrices, LayerNorm weights around 1, biases. The scales leave
    gradients of every layer large enough to compare."""
    specs = []
    for seed, (name, parameter) in enumerate(model.named_parameters(), start=1):
        norm = (".ln_" in name or "_norm." in name) and name.endswith("weight")
        specs.append(
            {
                "name": name,
                "shape": list(parameter.shape),
                "seed": seed,
                "scale": 0.125,
                "offset": 1.0 if norm else 0.0,
            }
        )
    return specs


def batch_specs(case):
    """`BATCHES` batches, taken in turn: so few that the losses fall within 20 steps."""
    shape = [case["batch_size"], case["model"]["block_size"]]
    return [
        {
            name: {"shape": shape, "seed": seed + 2 * i, "vocab": case["model"]["vocab_size"]}
            for seed, name in ((1000, "tokens"), (1001, "targets"))
        }
        for i in range(BATCHES)
    ]


def excerpt(tensor, seed):
    """A tensor's figures: its L2 norm, its dot product with values(seed), which every element
    weighs in, and the elements at up to POSITIONS places."""
    flat = tensor.detach().flatten()
    n = flat.numel()
    at = range(n) if n <= POSITIONS else sorted({int(w) % n for w in values.words(seed, POSITIONS)})
    probe = torch.from_numpy(values.values(seed, n))
    return {
        "norm": flat.double().norm().item(),
        "probe_seed": seed,
        "probe": (flat.double() @ probe).item(),
        "at": list(at),
        "values": flat[list(at)].tolist(),
    }


def model_of(case):
    if case["name"] == "all_options":
        return recipes.Gpt(recipes.Config(**{name: case["model"][name] for name in RECIPE}))
    gelu = "tanh" if case["gelu"] == "gelu_tanh" else "none"
    return reference.Gpt(reference.Config(**case["model"], bias=case["bias"], gelu=gelu))


def run(case, dtype, optimizer=OPTIMIZER, make_optimizer=reference.adamw, precision=torch.float32):
    """Twenty steps in `precision`, or with PyTorch's autocast to bfloat16."""
    model = model_of(case).to(precision)
    specs = weight_specs(model)
    with torch.no_grad():
        for spec, parameter in zip(specs, model.parameters()):
            parameter.copy_(values.tensor(spec, precision))
    updates = make_optimizer(
        model,
        optimizer["learning_rate"],
        (optimizer["beta1"], optimizer["beta2"]),
        optimizer["weight_decay"],
        eps=optimizer["eps"],
    )
    pairs = batch_specs(case)
    batches = [[values.tensor(spec, torch.int64) for spec in pair.values()] for pair in pairs]
    result = {**case, "batches": pairs, "weights": specs, "losses": [], "grad_norms": []}
    for step in range(STEPS):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits, loss = model(*batches[step % BATCHES])
        loss.backward()
        if step == 0:
            result["logits"] = excerpt(logits, 2000)
            result["gradients"] = {
                name: excerpt(p.grad, 3000 + i)
                for i, (name, p) in enumerate(model.named_parameters())
            }
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer["grad_clip"])
        updates.step()
        updates.zero_grad()
        result["losses"].append(loss.item())
        result["grad_norms"].append(norm.item())
    return result


def figures(case):
    """In float32, and the small models in bfloat16 too, which a CPU without it takes long over."""
    result = run(case, torch.float32)
    if case["model"] == SMALL:
        result["bfloat16_losses"] = run(case, torch.bfloat16)["losses"]
    return result


def main():
    torch.set_num_threads(1)
    parity = {
        "torch": torch.__version__.split("+")[0],
        "optimizer": OPTIMIZER,
        "cases": [figures(case) for case in CASES],
    }
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("parity.json")
    path.write_text(
        json.dumps(parity, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n"
    )


if __name__ == "__main__":
    main()
