"""What folio is measured against: nanoGPT's recipe in PyTorch. Prints one JSON object. A config with
norm = "rms" is trained as transformers' Llama of that shape.

pytorch_baseline.py train CONFIG    ms per training step
pytorch_baseline.py run CONFIG      a whole run: evaluations and checkpoints included
pytorch_baseline.py sample CONFIG   tokens per second, every step over the whole window again
"""

import argparse
import json
import math
import resource
import statistics
import sys
import time
import tomllib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
import model as reference

DEFAULTS = {  # nanoGPT's, for keys that a config leaves out
    "vocab_size": 65,  # of Shakespeare's characters
    "eval_interval": 2000,
    "eval_iters": 200,
    "always_save_checkpoint": True,
    "gradient_accumulation_steps": 1,
    "batch_size": 12,
    "block_size": 1024,
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "dropout": 0.0,
    "bias": False,
    "learning_rate": 6e-4,
    "max_iters": 600000,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "grad_clip": 1.0,
    "decay_lr": True,
    "warmup_iters": 2000,
    "lr_decay_iters": 600000,
    "min_lr": 6e-5,
    "seed": 1337,
}


class Llama(torch.nn.Module):
    """transformers' Llama, called and counted as the reference model."""

    def __init__(self, config):
        super().__init__()
        import transformers

        self.model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=config["vocab_size"],
                hidden_size=config["n_embd"],
                intermediate_size=config["ffn_hidden"],
                num_hidden_layers=config["n_layer"],
                num_attention_heads=config["n_head"],
                num_key_value_heads=config["n_kv_head"],
                max_position_embeddings=config["block_size"],
                tie_word_embeddings=config["tie_weights"],
                rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
                use_cache=False,
            )
        )

    def forward(self, x, y):
        logits = self.model(x).logits
        return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())


def model_of(config):
    if config.get("norm") == "rms":
        return Llama(config)
    names = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "dropout", "bias")
    return reference.Gpt(reference.Config(**{n: config[n] for n in names}))


class Trainer:
    """nanoGPT's model, optimiser and batches, as a config asks for them."""

    def __init__(self, config, dtype, compile_model, tokens, device="cpu"):
        self.config, self.tokens, self.device = config, tokens, device
        torch.manual_seed(config["seed"])
        self.model = model_of(config).to(device)
        self.optimizer = reference.adamw(
            self.model,
            config["learning_rate"],
            (config["beta1"], config["beta2"]),
            config["weight_decay"],
            **({"fused": True} if device != "cpu" else {}),
        )
        self.forward = torch.compile(self.model) if compile_model else self.model
        bf16 = dtype == "bfloat16"
        self.precision = torch.autocast(device, dtype=torch.bfloat16) if bf16 else nullcontext()

    def batch(self, split):
        tokens, T = self.tokens[split], self.config["block_size"]
        starts = torch.randint(len(tokens) - T, (self.config["batch_size"],)).tolist()
        rows = torch.from_numpy(np.stack([tokens[i : i + T + 1] for i in starts]).astype(np.int64))
        x, y = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        if self.device == "cpu":
            return x, y
        return tuple(t.pin_memory().to(self.device, non_blocking=True) for t in (x, y))

    def loss(self, split):
        with self.precision:
            return self.forward(*self.batch(split))[1]

    def step(self):
        """One iteration: forward, backward, clip, AdamW. Returns the loss."""
        micro_batches = self.config["gradient_accumulation_steps"]
        for _ in range(micro_batches):
            loss = self.loss("train") / micro_batches
            loss.backward()
        if self.config["grad_clip"]:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config["grad_clip"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item() * micro_batches

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        means = {
            split: statistics.fmean(
                self.loss(split).item() for _ in range(self.config["eval_iters"])
            )
            for split in ("train", "val")
        }
        self.model.train()
        return means

    def set_learning_rate(self, iteration):
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, iteration)


def learning_rate(config, iteration):
    """Linear warm-up, then a cosine from learning_rate down to min_lr."""
    top, bottom, warm_up, end = (
        config[k] for k in ("learning_rate", "min_lr", "warmup_iters", "lr_decay_iters")
    )
    if not config["decay_lr"]:
        return top
    if iteration < warm_up:
        return top * (iteration + 1) / (warm_up + 1)
    done = min(1.0, (iteration - warm_up) / (end - warm_up))
    return bottom + 0.5 * (1 + math.cos(math.pi * done)) * (top - bottom)


def train(arguments, config):
    tokens = np.random.default_rng(1).integers(0, config["vocab_size"], 1_000_000).astype(np.uint16)
    trainer = Trainer(
        config, arguments.dtype, arguments.compile, {"train": tokens}, arguments.device
    )
    milliseconds = []
    for _ in range(arguments.warmup + arguments.iters):
        start = time.perf_counter()
        trainer.step()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    median = statistics.median(milliseconds[arguments.warmup :])
    tokens_per_step = (
        config["gradient_accumulation_steps"] * config["batch_size"] * config["block_size"]
    )
    return {
        "median_ms": median,
        "min_ms": min(milliseconds[arguments.warmup :]),
        "tokens_per_second": 1e3 * tokens_per_step / median,
    }


def run(arguments, config):
    data, out = Path(arguments.data), Path(arguments.out_dir)
    tokens = {
        split: np.memmap(data / f"{split}.bin", dtype=np.uint16, mode="r")
        for split in ("train", "val")
    }
    trainer = Trainer(config, arguments.dtype, arguments.compile, tokens)
    best, saves, start = math.inf, 0, time.perf_counter()
    for iteration in range(config["max_iters"] + 1):
        trainer.set_learning_rate(iteration)
        if iteration % config["eval_interval"] == 0:
            losses = trainer.evaluate()
            print(
                f"step {iteration}: train {losses['train']:.4f}, val {losses['val']:.4f}",
                flush=True,
            )
            if losses["val"] < best or config["always_save_checkpoint"]:
                best = min(best, losses["val"])
                if iteration > 0:
                    torch.save(
                        {
                            "model": trainer.model.state_dict(),
                            "optimizer": trainer.optimizer.state_dict(),
                            "iter_num": iteration,
                            "best_val_loss": best,
                            "config": config,
                        },
                        out / "ckpt.pt",
                    )
                    saves += 1
        loss = trainer.step()
        print(f"iter {iteration}: loss {loss:.4f}")
    return {"seconds": time.perf_counter() - start, "best_val_loss": best, "saves": saves}


def sample(arguments, config):
    torch.manual_seed(config["seed"])
    names = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "bias")
    model = reference.Gpt(reference.Config(**{n: config[n] for n in names})).eval()
    if arguments.compile:
        model.forward = torch.compile(model.forward)
    bf16 = arguments.dtype == "bfloat16"
    prompt = torch.randint(config["vocab_size"], (1, arguments.prompt))
    with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
        model.generate(prompt, 3, top_k=200)
        start = time.perf_counter()
        model.generate(prompt, arguments.iters, top_k=200)
    seconds = time.perf_counter() - start
    return {
        "tokens_per_second": arguments.iters / seconds,
        "ms_per_token": 1e3 * seconds / arguments.iters,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["train", "run", "sample"])
    parser.add_argument("config", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="train: where")
    parser.add_argument("--batch_size", type=int, help="instead of the config's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--iters", type=int, default=20, help="train: steps, sample: tokens")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=1, help="sample: tokens to start from")
    parser.add_argument("--max_iters", type=int, help="run: instead of the config's")
    parser.add_argument("--data", help="run: the folder of train.bin and val.bin")
    parser.add_argument("--out_dir", help="run: where checkpoints go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = DEFAULTS | tomllib.loads(arguments.config.read_text())
    for key in ("max_iters", "batch_size"):
        if getattr(arguments, key) is not None:
            config[key] = getattr(arguments, key)
    result = {"train": train, "run": run, "sample": sample}[arguments.what](arguments, config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                **result,
                "peak_rss_bytes": peak,
                "threads": torch.get_num_threads(),
                "dtype": arguments.dtype,
                "compiled": arguments.compile,
                "torch": torch.__version__,
                "device": arguments.device,
            }
        )
    )


if __name__ == "__main__":
    main()
