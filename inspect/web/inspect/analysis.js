'use strict';
// What is read off a run of the model: the logit lens, what each part adds to a logit, the losses.
// A run: {tokens, points: Map of {shape, data} by name, attention: [L, H, T, T], lens, parts}.

// The text read by the page's own model.
function computedRun(model, tokens, knownTokens, options = {}) {
  const points = new Map();
  const show = (name, shape, data) => {
    if (options.show) options.show(name, shape, data);
    points.set(name, {shape, data: data.slice()});
  };
  model.forward(tokens, {...options, show});
  const {n_layer: L, n_head: H} = model.config, T = tokens.length;
  const attention = new Float32Array(L * H * T * T);
  for (let layer = 0; layer < L; ++layer)
    attention.set(points.get(`h.${layer}.attn.probabilities`).data, layer * H * T * T);
  const run = {tokens, points, attention: {shape: [L, H, T, T], data: attention}};
  run.lens = lensOf(model, run, knownTokens);
  const targets = [...tokens.slice(1), run.lens.top[run.lens.points.length - 1][T - 1][0].id];
  run.parts = partsOf(model, run, targets);
  return run;
}

// The run that folio computed and put into the report.
function reportedRun(report) {
  const points = new Map();
  for (const [name, heat] of Object.entries(report.heats || {}))
    points.set(name, {shape: heat.shape, data: heatValues(heat)});
  const attention = arrayOf(report.attention), [L, H, T] = attention.shape;
  for (let layer = 0; layer < L; ++layer)
    points.set(`h.${layer}.attn.probabilities`, {
      shape: [H, T, T],
      data: attention.data.subarray(layer * H * T * T, (layer + 1) * H * T * T)
    });
  const {targets, parts, values, logits} = report.contributions;
  return {
    tokens: report.tokens,
    points,
    attention,
    lens: reportedLens(report),
    parts: {targets, parts, values: arrayOf(values).data, logits}
  };
}

// 8 bits an element: value = i8 / 127 scale; -128 is not finite.
function heatValues({i8, scale}) {
  const bytes = atob(i8), values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; ++i) {
    const signed = bytes.charCodeAt(i) << 24 >> 24;
    values[i] = signed === -128 ? -Infinity : signed / 127 * scale;
  }
  return values;
}

function reportedLens({lens, tokens}) {
  const T = tokens.length, top = arrayOf(lens.top).data, next = arrayOf(lens.next_probability).data;
  return {
    points: lens.points,
    top: lens.points.map(
        (_, p) => tokens.map(
            (_, t) =>
                Array.from({length: lens.most}, (_, i) => ({
                                                  id: lens.top_ids[p][t * lens.most + i],
                                                  probability: top[(p * T + t) * lens.most + i],
                                                })))),
    nextProbability: lens.points.map((_, p) => next.slice(p * (T - 1), (p + 1) * (T - 1))),
    nextRank: lens.next_rank,
    leaders: lens.leaders.map(({ids, probability}) => {
      const values = arrayOf(probability).data;
      return {
        ids,
        probability: lens.points.map((_, p) => values.slice(p * ids.length, (p + 1) * ids.length))
      };
    }),
    loss: lens.loss,
  };
}

// inspect/logit_lens.h in the page.
function lensOf(model, run, known) {
  const {tokens} = run, T = tokens.length, V = model.config.vocab_size;
  const names = ['embedding'];
  for (let layer = 0; layer < model.config.n_layer; ++layer)
    names.push(`h.${layer}.residual`, `h.${layer}.output`);
  const all = names.map((name) => {
    const logits = model.head(run.points.get(name).data);
    return tokens.map((_, t) => softmaxOf(logits.subarray(t * V, t * V + known)));
  });
  const top = all.map((rows) => rows.map((p) => likeliest(p, 5)));
  const last = run.points.get('logits').data;
  return {
    points: names,
    top,
    nextProbability:
        all.map((rows) => Float32Array.from({length: T - 1}, (_, t) => rows[t][tokens[t + 1]])),
    nextRank: all.map(
        (rows) => Array.from(
            {length: T - 1},
            (_, t) => rows[t].reduce((rank, p) => rank + (p > rows[t][tokens[t + 1]] ? 1 : 0), 0))),
    leaders: tokens.map((_, t) => {
      const ids = [...new Set(top.map((rows) => rows[t][0].id))].sort((a, b) => a - b);
      return {ids, probability: all.map((rows) => ids.map((id) => rows[t][id]))};
    }),
    loss: Array.from(
        {length: T - 1},
        (_, t) => -Math.log(softmaxOf(last.subarray(t * V, (t + 1) * V))[tokens[t + 1]])),
  };
}

function likeliest(p, most) {
  return Array.from(p, (probability, id) => ({id, probability}))
      .sort((a, b) => b.probability - a.probability || a.id - b.id)
      .slice(0, most);
}

// inspect/contributions.h in the page: what each part adds to the logit of targets[t].
function partsOf(model, run, targets) {
  const {n_layer: L, n_embd: C, n_head: H, head_dim: D} = model.config;
  const T = run.tokens.length, w = model.weights;
  const head = w[model.config.tie_weights ? 'transformer.wte.weight' : 'lm_head.weight'].data;
  const directions = logitDirections(model, run, targets, head);
  const parts = [], values = [];
  const add = (name, value) => {
    parts.push(name);
    for (let t = 0; t < T; ++t) values.push(value(t));
  };
  const along = (data, t) => {
    let sum = 0;
    for (let c = 0; c < C; ++c) sum += directions[t * C + c] * data[t * C + c];
    return sum;
  };
  add('embedding', (t) => along(run.points.get('embedding').data, t));
  for (let layer = 0; layer < L; ++layer) {
    const y = run.points.get(`h.${layer}.attn.output`).data;
    const name = `transformer.h.${layer}.attn.c_proj`, proj = w[`${name}.weight`].data;
    const u = new Float64Array(T * H * D);  // directions times c_proj
    for (let t = 0; t < T; ++t)
      for (let c = 0; c < C; ++c)
        for (let i = 0, d = directions[t * C + c]; i < H * D; ++i)
          u[t * H * D + i] += d * proj[c * H * D + i];
    for (let h = 0; h < H; ++h)
      add(`h.${layer}.head.${h}`, (t) => {
        let sum = 0;
        for (let i = (t * H + h) * D, end = i + D; i < end; ++i) sum += u[i] * y[i];
        return sum;
      });
    const bias = w[`${name}.bias`];
    if (bias)
      add(`h.${layer}.attn.bias`, (t) => {
        let sum = 0;
        for (let c = 0; c < C; ++c) sum += directions[t * C + c] * bias.data[c];
        return sum;
      });
    const before = run.points.get(`h.${layer}.residual`).data;
    const after = run.points.get(`h.${layer}.output`).data;
    add(`h.${layer}.mlp`, (t) => along(after, t) - along(before, t));
  }
  const bias = w['transformer.ln_f.bias'];
  const withHead = (data, t, of) => {
    let sum = 0;
    for (let c = 0; c < C; ++c) sum += head[targets[t] * C + c] * data[of * C + c];
    return sum;
  };
  if (bias) add('ln_f.bias', (t) => withHead(bias.data, t, 0));
  const ends = run.points.get('ln_f').data;
  return {
    targets,
    parts,
    values: Float32Array.from(values),
    logits: targets.map((_, t) => withHead(ends, t, t))
  };
}

// For each position what the target's logit is a dot product of the residual stream with.
function logitDirections(model, run, targets, head) {
  const {n_layer: L, n_embd: C, norm, norm_eps: eps} = model.config;
  const x = run.points.get(`h.${L - 1}.output`).data, w = model.weights['transformer.ln_f.weight'];
  const directions = new Float64Array(x.length);
  targets.forEach((target, t) => {
    let mean = 0, squares = 0, meanDirection = 0;
    if (norm === 'layer')
      for (let c = 0; c < C; ++c) {
        mean += x[t * C + c] / C;
        meanDirection += w.data[c] * head[target * C + c] / C;
      }
    for (let c = 0; c < C; ++c) squares += (x[t * C + c] - mean) ** 2 / C;
    for (let c = 0; c < C; ++c)
      directions[t * C + c] =
          (w.data[c] * head[target * C + c] - meanDirection) / Math.sqrt(squares + eps);
  });
  return directions;
}
