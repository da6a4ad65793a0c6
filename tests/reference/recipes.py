"""GPT with every option that folio's models have beside nanoGPT's, in PyTorch, with folio's parameter
names: rotary positions, RMSNorm, QK-norm with weights, SwiGLU, heads of their own width that share
keys, a window, a head of its own and a softcap of the logits."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    """The fields of folio's GptConfig that this model reads."""

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    rope_theta: float
    norm_eps: float
    ffn_hidden: int
    head_dim: int
    n_kv_head: int
    attention_window: int
    logit_softcap: float


def turned(x, theta):
    """Llama's rotary positions: x [B, H, T, D]."""
    T, D = x.shape[-2:]
    speeds = theta ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    angles = torch.arange(T, dtype=torch.float64)[:, None] * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.sizes = [n * config.head_dim for n in (config.n_head, *2 * [config.n_kv_head])]
        self.c_attn = nn.Linear(config.n_embd, sum(self.sizes), bias=False)
        self.q_norm = nn.RMSNorm(config.head_dim, eps=config.norm_eps)
        self.k_norm = nn.RMSNorm(config.head_dim, eps=config.norm_eps)
        self.c_proj = nn.Linear(self.sizes[0], config.n_embd, bias=False)

    def forward(self, x):  # [B, T, C] -> [B, T, C]
        B, T, _ = x.shape
        parts = self.c_attn(x).split(self.sizes, dim=2)
        q, k, v = (p.view(B, T, -1, self.config.head_dim).transpose(1, 2) for p in parts)
        q = turned(self.q_norm(q), self.config.rope_theta)
        k = turned(self.k_norm(k), self.config.rope_theta)
        at = torch.arange(T)
        age = at[:, None] - at[None, :]
        seen = (age >= 0) & (age < self.config.attention_window)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, -1))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 2 * config.ffn_hidden, bias=False)
        self.c_proj = nn.Linear(config.ffn_hidden, config.n_embd, bias=False)

    def forward(self, x):
        gate, up = self.c_fc(x).chunk(2, -1)
        return self.c_proj(F.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.RMSNorm(config.n_embd, eps=config.norm_eps)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.RMSNorm(config.n_embd, eps=config.norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.vocab_size, config.n_embd),
                "h": nn.ModuleList(Block(config) for _ in range(config.n_layer)),
                "ln_f": nn.RMSNorm(config.n_embd, eps=config.norm_eps),
            }
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, tokens, targets):
        """tokens, targets [B, T] -> logits, loss"""
        x = self.transformer.wte(tokens)
        for block in self.transformer.h:
            x = block(x)
        cap = self.config.logit_softcap
        logits = cap * torch.tanh(self.lm_head(self.transformer.ln_f(x)) / cap)
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
