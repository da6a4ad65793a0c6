'use strict';
// How the model came to be: what its run kept at each evaluation.

function overTrainingPanel(state) {
  const {report, config} = state, states = report.over_training;
  if (!states || states.length < 2) return;
  const panel = makePanel(
      'over-training', 'Over training',
      'What the run kept at each of its evaluations: what kinds of head there were, the loss by ' +
          'position, and how far the activations spread.');
  const kinds = ['previous', 'same', 'first', 'induction'], {n_layer: L, n_head: H} = config;
  const best = (s, k) => Math.max(0, ...s.scores.map((head) => head[k]));
  lineChart(panel, {
    title: 'The plainest head of each kind',
    xLabel: 'iteration',
    yLabel: 'score',
    height: 240,
    caption:
        'The largest score of any head on random tokens that come twice, over training. Where ' +
            'the curve of induction rises, heads have begun to look for what came after the ' +
            'same token before.',
    series: kinds.map((kind, k) => ({name: kind, points: states.map((s) => [s.iter, best(s, k)])}))
  });
  const slider = element('input', {
    type: 'range',
    min: '0',
    max: String(states.length - 1),
    value: String(states.length - 1),
    id: 'training-slider',
    oninput: () => show(Number(slider.value))
  });
  const grids = element('div', {class: 'four'}), charts = element('div', {class: 'two'});
  const heading = element('h3', {'aria-live': 'polite'});
  panel.append(
      element('div', {class: 'controls'}, element('label', {}, 'Evaluation', slider)), heading,
      grids, charts);
  const scale = Math.max(0.25, ...states.flatMap((s) => kinds.map((_, k) => best(s, k))));

  function show(at) {
    const now = states[at], last = states[states.length - 1];
    heading.textContent = `Iteration ${now.iter}`;
    slider.setAttribute('aria-valuetext', `iteration ${now.iter}`);
    grids.replaceChildren();
    if (now.scores.length === L * H)
      kinds.forEach((kind, k) => {
        const side = element('div');
        grids.append(side);
        headGrid(side, `${kind} at this evaluation`, now.scores.map((head) => head[k]), L, scale);
      });
    charts.replaceChildren();
    const left = element('div'), right = element('div');
    charts.append(left, right);
    const width = config.block_size / now.loss_by_position.length;
    const curve = (s) => s.loss_by_position.map((loss, i) => [Math.round((i + 0.5) * width), loss]);
    if (now.loss_by_position.length)
      lineChart(left, {
        title: 'Loss by position',
        xLabel: 'tokens of the text before',
        yLabel: 'nats',
        width: 520,
        height: 240,
        caption: 'On the validation split: what more context is worth.',
        series: [
          {name: `iteration ${now.iter}`, points: curve(now)},
          ...(now === last ? [] :
                             [{name: `iteration ${last.iter}`, points: curve(last), dash: '5 4'}])
        ]
      });
    const points = reportedLens(report).points.map(pointName);
    if (now.spread.length)
      barChart(right, {
        title: 'Spread of the residual stream',
        valueName: 'standard deviation',
        width: 520,
        caption:
            'How large what flows through the model is, after the embedding, each attention and ' +
                'each MLP.',
        items: now.spread.map((value, p) => ({label: points[p] || String(p), value}))
      });
  }
  show(states.length - 1);
}
