'use strict';
// The model, in plain loops: what nn/gpt.cc, nn/block.cc, nn/attention.cc and nn/mlp.cc compute,
// with a KV cache. Matrices are rows of Float32Array; sums are kept in double.

// erf to double precision, by its series and, where that is 1, by 1.
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); ++n) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const ACTIVATIONS = {
  gelu_erf: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) ** 2,
  sigmoid,
  silu: (x) => x * sigmoid(x),
  tanh: Math.tanh,
  exp: Math.exp,
  square: (x) => x * x,
};

// y [n, out] = x [n, in] W^T + b, with W [out, in].
function linear(x, n, {shape: [out, width], data: w}, bias) {
  const y = new Float32Array(n * out);
  for (let row = 0; row < n; ++row)
    for (let o = 0; o < out; ++o) {
      let sum = 0;
      for (let i = 0, a = row * width, b = o * width; i < width; ++i) sum += x[a + i] * w[b + i];
      y[row * out + o] = sum + (bias ? bias.data[o] : 0);
    }
  return y;
}

// Rows of `width` numbers, each brought to a deviation of 1: "layer" takes the mean away first.
function normed(x, width, kind, eps, weight, bias) {
  const y = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    let mean = 0, squares = 0;
    if (kind === 'layer')
      for (let i = 0; i < width; ++i) mean += x[at + i] / width;
    for (let i = 0; i < width; ++i) squares += (x[at + i] - mean) ** 2 / width;
    const scale = 1 / Math.sqrt(squares + eps);
    for (let i = 0; i < width; ++i)
      y[at + i] =
          (x[at + i] - mean) * scale * (weight ? weight.data[i] : 1) + (bias ? bias.data[i] : 0);
  }
  return y;
}

function softmaxOf(logits) {
  let largest = -Infinity, sum = 0;
  for (const logit of logits) largest = Math.max(largest, logit);
  const p = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  for (const value of p) sum += value;
  return p.map((value) => value / sum);
}

class GptModel {
  // config: the fields of nn/gpt_config.h, zeros replaced; weights: by name {shape, data}.
  constructor(config, weights) {
    this.config = config;
    this.weights = weights;
  }

  // Keys and values of the positions read so far: of each layer an array of rows [K D].
  makeCache() {
    return {length: 0, layers: Array.from({length: this.config.n_layer}, () => ({k: [], v: []}))};
  }

  // Reads tokens after those of the cache. Options, each may be left out:
  //   cache                    what came before; the new positions are added to it
  //   show(point, shape, data) is shown every tensor by its name in nn/context.h, and may change it
  //   mlpOff(layer)            whether a block's MLP adds nothing
  // -> logits [n, V]
  forward(tokens, {cache = this.makeCache(), show = () => {}, mlpOff = () => false} = {}) {
    const {n_layer, n_embd: C} = this.config, n = tokens.length;
    const x = this.embed(tokens, cache.length);
    show('embedding', [n, C], x);
    for (let layer = 0; layer < n_layer; ++layer) {
      const name = `transformer.h.${layer}`;
      const showHere = (point, shape, data) => show(`h.${layer}.${point}`, shape, data);
      const y = this.attend(this.norm(x, `${name}.ln_1`), layer, cache, showHere);
      for (let i = 0; i < x.length; ++i) x[i] += y[i];
      showHere('residual', [n, C], x);
      if (!mlpOff(layer)) {
        const z = this.feedForward(this.norm(x, `${name}.ln_2`), n, `${name}.mlp`, showHere);
        for (let i = 0; i < x.length; ++i) x[i] += z[i];
      }
      showHere('output', [n, C], x);
    }
    cache.length += n;
    return this.head(x, show);
  }

  // Final norm and head: x [n, C] -> logits [n, V].
  head(x, show = () => {}) {
    const {n_embd: C, vocab_size: V, logit_softcap: cap, tie_weights: tied} = this.config;
    const n = x.length / C, y = this.norm(x, 'transformer.ln_f');
    show('ln_f', [n, C], y);
    const logits = linear(y, n, this.weights[tied ? 'transformer.wte.weight' : 'lm_head.weight']);
    if (cap > 0)
      logits.forEach((logit, i) => {
        logits[i] = cap * Math.tanh(logit / cap);
      });
    show('logits', [n, V], logits);
    return logits;
  }

  embed(tokens, first) {
    const {n_embd: C, position} = this.config, wte = this.weights['transformer.wte.weight'].data;
    const wpe = position === 'learned' ? this.weights['transformer.wpe.weight'].data : null;
    const x = new Float32Array(tokens.length * C);
    tokens.forEach((token, t) => {
      for (let c = 0; c < C; ++c)
        x[t * C + c] = wte[token * C + c] + (wpe ? wpe[(first + t) * C + c] : 0);
    });
    return x;
  }

  norm(x, name) {
    const {n_embd: C, norm, norm_eps: eps} = this.config;
    return normed(x, C, norm, eps, this.weights[`${name}.weight`], this.weights[`${name}.bias`]);
  }

  affine(x, n, name) {
    return linear(x, n, this.weights[`${name}.weight`], this.weights[`${name}.bias`]);
  }

  // A position's row of heads [heads D]: normed and turned by the position, as the recipe says.
  prepared(row, heads, at, normName) {
    const {head_dim: D, qk_norm, norm_eps: eps, position, rope_theta: theta} = this.config;
    if (qk_norm !== 'off') row = normed(row, D, 'rms', eps, this.weights[`${normName}.weight`]);
    if (position !== 'rotary') return row;
    const half = D / 2;
    for (let head = 0; head < heads; ++head)
      for (let i = 0; i < half; ++i) {
        const angle = at * theta ** (-2 * i / D), a = head * D + i, b = a + half;
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        [row[a], row[b]] = [row[a] * cos - row[b] * sin, row[b] * cos + row[a] * sin];
      }
    return row;
  }

  // softmax(q k^T / sqrt(D), of what a position sees) v, head by head, then c_proj.
  attend(x, layer, cache, show) {
    const {n_head: H, n_kv_head: K, head_dim: D, n_embd: C, attention_window: window} = this.config;
    const n = x.length / C, name = `transformer.h.${layer}.attn`, columns = (H + 2 * K) * D;
    const qkv = this.affine(x, n, `${name}.c_attn`), {k, v} = cache.layers[layer];
    const past = cache.length, queries = [];
    for (let t = 0; t < n; ++t) {
      const part = (from, heads) =>
          qkv.slice(t * columns + from * D, t * columns + (from + heads) * D);
      queries.push(this.prepared(part(0, H), H, past + t, `${name}.q_norm`));
      k[past + t] = this.prepared(part(H, K), K, past + t, `${name}.k_norm`);
      v[past + t] = part(H + K, K);
    }
    show('attn.q', [H, n, D], byHead(queries, H, D));
    show('attn.k', [K, n, D], byHead(k.slice(past), K, D));
    show('attn.v', [K, n, D], byHead(v.slice(past), K, D));
    const T = past + n, scores = new Float32Array(H * n * T).fill(-Infinity);
    for (let head = 0; head < H; ++head) {
      const from = head * D, shared = Math.floor(head * K / H) * D;
      for (let t = 0; t < n; ++t) {
        const first = window > 0 ? Math.max(0, past + t - window + 1) : 0;
        for (let key = first; key <= past + t; ++key) {
          let sum = 0;
          for (let i = 0; i < D; ++i) sum += queries[t][from + i] * k[key][shared + i];
          scores[(head * n + t) * T + key] = sum / Math.sqrt(D);
        }
      }
    }
    show('attn.scores', [H, n, T], scores);
    const p = new Float32Array(scores.length);
    for (let at = 0; at < p.length; at += T) p.set(softmaxOf(scores.subarray(at, at + T)), at);
    show('attn.probabilities', [H, n, T], p);
    const y = new Float32Array(n * H * D);
    for (let head = 0; head < H; ++head) {
      const shared = Math.floor(head * K / H) * D;
      for (let t = 0; t < n; ++t)
        for (let key = 0; key < T; ++key) {
          const weight = p[(head * n + t) * T + key];
          if (weight === 0) continue;
          for (let i = 0; i < D; ++i) y[(t * H + head) * D + i] += weight * v[key][shared + i];
        }
    }
    show('attn.output', [n, H * D], y);
    return this.affine(y, n, `${name}.c_proj`);
  }

  feedForward(x, n, name, show) {
    const {activation, ffn_hidden: F} = this.config;
    const inner = this.affine(x, n, `${name}.c_fc`);
    let hidden = inner;
    if (activation === 'swiglu') {
      hidden = new Float32Array(n * F);
      for (let t = 0; t < n; ++t)
        for (let i = 0; i < F; ++i)
          hidden[t * F + i] = ACTIVATIONS.silu(inner[2 * t * F + i]) * inner[(2 * t + 1) * F + i];
    } else {
      hidden.forEach((value, i) => {
        hidden[i] = ACTIVATIONS[activation](value);
      });
    }
    show('mlp.hidden', [n, F], hidden);
    return this.affine(hidden, n, `${name}.c_proj`);
  }
}

// Rows [heads D] of each position -> [heads, positions, D] in one array.
function byHead(rows, heads, D) {
  const all = new Float32Array(rows.length * heads * D);
  rows.forEach((row, t) => {
    for (let head = 0; head < heads; ++head)
      all.set(row.subarray(head * D, (head + 1) * D), (head * rows.length + t) * D);
  });
  return all;
}
