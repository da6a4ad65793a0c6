'use strict';
// Two models on the report's text, side by side.

function comparePanel(state) {
  const {report} = state, other = report.compare;
  if (!other) return;
  const panel =
      makePanel('compare', 'Compare', 'A second model on the text that the report was made of.');
  const mine = reportedLens(report),
        theirs = reportedLens({lens: other.lens, tokens: report.tokens});
  const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
  panel.append(facts([
    ['first', report.source], ['second', other.source],
    ['mean loss of the first', `${shortNumber(mean(mine.loss), 4)} nats`],
    ['mean loss of the second', `${shortNumber(mean(theirs.loss), 4)} nats`]
  ]));
  if (other.config.length)
    panel.append(scrollTable(
        'Options that differ', ['option', 'first', 'second'],
        other.config.map(
            (row) => element('tr', {}, ...row.map((text) => element('td', {}, text))))));
  lineChart(panel, {
    title: 'Loss on each token, of both',
    xLabel: 'position that predicts',
    yLabel: 'nats',
    height: 240,
    caption: 'Where the curves part, the models have learned different things.',
    series: [
      {name: 'first', points: mine.loss.map((nats, t) => [t, nats])},
      {name: 'second', points: theirs.loss.map((nats, t) => [t, nats])}
    ]
  });
  const two = element('div', {class: 'two'}), sides = [element('div'), element('div')];
  two.append(...sides);
  panel.append(two);
  [[mine, 'first'], [theirs, 'second']].forEach(([lens, name], i) => {
    heatMap(sides[i], {
      title: `Probability of the true next token: ${name}`,
      scale: 1,
      rowHeight: 15,
      width: 520,
      caption: 'Rows go through the model, columns are positions.',
      rowLabel: 'after',
      columnLabel: 'position',
      rows: lens.points.length,
      columns: lens.loss.length,
      rowNames: lens.points.map(pointName),
      values: Float32Array.from(lens.nextProbability.flatMap((row) => [...row]))
    });
  });
  const scores = [report.head_scores.scores, other.head_scores.scores];
  const heads = element('div', {class: 'two'});
  const pick =
      choice('Score', ['previous', 'same', 'first', 'induction'].map((k) => [k, k]), showHeads);
  pick.select.value = 'induction';
  panel.append(element('div', {class: 'controls'}, pick.root), heads);
  function showHeads(kind) {
    heads.replaceChildren();
    const scale = Math.max(0.25, ...scores.flat().map((s) => s[kind]));
    scores.forEach((all, i) => {
      const side = element('div');
      heads.append(side);
      headGrid(
          side, `Score ${kind}: ${i ? 'second' : 'first'}`, all.map((s) => s[kind]),
          Math.max(...all.map((s) => s.layer)) + 1, scale);
    });
  }
  showHeads('induction');
  const left = element('div'), right = element('div');
  panel.append(element('div', {class: 'two'}, left, right));
  if (other.attention_distance.length)
    headGrid(
        left, 'How far apart the heads look', other.attention_distance, state.config.n_layer, 1,
        'Half the sum of the differences of a head\'s probabilities, mean over the text\'s ' +
            'positions: 0 the same, 1 nowhere alike.');
  const items = other.parameters.map(
      ({name, distance}) =>
          ({label: name.replace('transformer.', '').replace('.weight', ''), value: distance}));
  if (items.some(({value}) => value > 0))
    (items.length > 60 ? layerChart : dotChart)(right, {
      title: 'How far apart the parameters are',
      valueName: 'distance / norm',
      items,
      caption: 'Norm of the difference over the norm of the first model\'s.'
    });
}

function headGrid(
    parent, title, values, layers, scale, caption = 'Rows are layers, columns heads.') {
  const columns = values.length / layers;
  heatMap(parent, {
    title,
    caption,
    scale,
    rows: layers,
    columns,
    rowLabel: 'layer',
    columnLabel: 'head',
    values: Float32Array.from(values),
    width: 420,
    rowHeight: 18,
    rowNames: Array.from({length: layers}, (_, l) => `layer ${l}`),
    columnNames: Array.from({length: columns}, (_, h) => String(h))
  });
}
