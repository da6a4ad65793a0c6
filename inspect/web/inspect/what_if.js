'use strict';
// Switching off heads and MLPs, or putting in an activation of another text: the page computes the
// next-token probabilities again.

function whatIfPanel(state) {
  const {n_layer: L, n_head: H, head_dim: D, n_embd: C} = state.config;
  const panel = makePanel(
      'what-if', 'What if',
      'Switch off heads or MLPs, or put in what the model had at some point of another text, ' +
          'and see what it would say next.');
  if (!state.model) {
    panel.append(notLive());
    return;
  }
  const off = new Set();  // "h.0.head.1", "h.0.mlp"
  const grid = element(
      'div', {class: 'switches', role: 'group', 'aria-label': 'Switches of heads and MLPs'});
  grid.style.gridTemplateColumns = `4rem repeat(${H + 1}, minmax(2.6rem, 5rem))`;
  const switches = [];
  for (let layer = 0; layer < L; ++layer) {
    grid.append(element('span', {class: 'muted'}, `layer ${layer}`));
    for (const [part, text] of
             [...Array.from({length: H}, (_, h) => [`h.${layer}.head.${h}`, `head ${h}`]),
              [`h.${layer}.mlp`, 'MLP']]) {
      const button = element(
          'button', {
            type: 'button',
            'aria-pressed': 'false',
            'aria-label': `switch off ${state.partName(part)}`,
            onclick: () => toggle(part, button)
          },
          text);
      switches.push(button);
      grid.append(button);
    }
  }
  const reset = element(
      'button', {
        type: 'button',
        onclick: () => {
          off.clear();
          switches.forEach((button) => button.setAttribute('aria-pressed', 'false'));
          patchText.value = '';
          compute();
        }
      },
      'As it was');
  const patchText = element('input', {type: 'text', size: '28', oninput: () => compute()});
  const pointOptions = [['embedding', 'embedding']];
  for (let layer = 0; layer < L; ++layer)
    pointOptions.push(
        [`h.${layer}.residual`, `layer ${layer}, after attention`],
        [`h.${layer}.output`, `layer ${layer}, after MLP`]);
  const patchPoint = choice('at', pointOptions, () => compute());
  const problem = element('p', {class: 'muted', role: 'status'});
  const result = element('div');
  panel.append(
      grid, element('div', {class: 'controls'}, reset),
      element('h3', {}, 'Put in from another text'),
      element(
          'p', {class: 'muted'},
          'At the position looked at, the residual stream at the chosen point becomes what it ' +
              'is there in another text (activation patching).'),
      element(
          'div', {class: 'controls'}, element('label', {}, 'Other text', patchText),
          patchPoint.root),
      problem, result);

  function toggle(part, button) {
    if (!off.delete(part)) off.add(part);
    button.setAttribute('aria-pressed', String(off.has(part)));
    compute();
  }

  // What changes the tensors as they are computed.
  function edits(patch) {
    return (point, shape, data) => {
      const [, layer] = point.match(/^h\.(\d+)\.attn\.output$/) || [];
      for (let h = 0; layer !== undefined && h < H; ++h)
        if (off.has(`h.${layer}.head.${h}`))
          for (let t = 0; t < shape[0]; ++t) data.fill(0, (t * H + h) * D, (t * H + h + 1) * D);
      const at = state.position;
      if (patch && point === patchPoint.select.value && at < patch.shape[0])
        data.set(patch.data.subarray(at * C, (at + 1) * C), at * C);
    };
  }

  function patchOf(text) {
    if (!text) return null;
    let found = null;
    state.model.forward(state.encode(text).slice(0, state.config.block_size), {
      show: (point, shape, data) => {
        if (point === patchPoint.select.value) found = {shape, data: data.slice()};
      }
    });
    return found;
  }

  function compute() {
    let patch = null;
    problem.textContent = '';
    try {
      patch = patchOf(patchText.value);
    } catch (error) {
      problem.textContent = error.message;
    }
    const V = state.config.vocab_size, at = state.T - 1;
    const rowOf = (all, t) => softmaxOf(all.subarray(t * V, t * V + state.known));
    const own = state.run.points.get('logits').data;
    const logits = !off.size && !patch ?
        own :
        state.model.forward(
            state.run.tokens, {show: edits(patch), mlpOff: (layer) => off.has(`h.${layer}.mlp`)});
    showResult(rowOf(own, at), rowOf(logits, at), meanLoss(logits, V) - mean(state.run.lens.loss));
  }

  const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
  function meanLoss(logits, V) {
    const {tokens} = state.run;
    return mean(state.run.lens.loss.map(
        (_, t) => -Math.log(softmaxOf(logits.subarray(t * V, (t + 1) * V))[tokens[t + 1]])));
  }

  function showResult(before, after, lossChange) {
    result.replaceChildren();
    const ids =
        [...new Set([...likeliest(before, 6), ...likeliest(after, 6)].map(({id}) => id))].sort(
            (a, b) => before[b] - before[a]);
    result.append(facts([
      ['switched off', off.size ? [...off].map((p) => state.partName(p)).join('; ') : 'nothing'],
      ['mean loss', `${lossChange >= 0 ? '+' : ''}${lossChange.toFixed(4)} nats`]
    ]));
    const width = fittedWidth(result, 520), left = 70, x = (p) => left + p * (width - left - 60);
    makeFigure(result, {
      title: 'What comes after the text',
      width,
      height: ids.length * 34 + 4,
      caption: 'Probability of the next token, as the model is and as it would be.',
      legend: [
        {label: 'as it is', color: 'var(--series-0)'}, {label: 'what if', color: 'var(--series-1)'}
      ],
      draw: (g) => ids.forEach((id, i) => {
        const y = i * 34 + 4;
        g.append(
            svgElement('text', {x: left - 6, y: y + 17, 'text-anchor': 'end'}, state.shown(id)));
        [[before, 0], [after, 1]].forEach(([p, k]) => {
          const bar = svgElement(
              'rect',
              {x: left, y: y + k * 14, height: 12, rx: 2, width: Math.max(0.5, x(p[id]) - left)});
          bar.style.fill = `var(--series-${k})`;
          g.append(
              bar,
              svgElement(
                  'text', {class: 'muted', x: x(p[id]) + 5, y: y + k * 14 + 10},
                  percentText(p[id])));
        });
      }),
      table: {
        head: ['token', 'as it is', 'what if'],
        rows: ids.map((id) => [state.shown(id), before[id], after[id]])
      },
    });
  }
  state.onRun.push(compute);
  state.onPosition.push(() => {
    if (patchText.value) compute();
  });
  compute();
}

function notLive() {
  return element(
      'p', {},
      'This report holds numbers, not the model: a report of a character model (of up to 4 ' +
          'million parameters, or with --live=on) carries its weights, and computes here.');
}
