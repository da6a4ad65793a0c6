'use strict';
// One training step as it went back: the tape, the gradients, and how far the step moved each
// weight.

function backwardPanel(state) {
  const {backward, sources} = state.report;
  const panel = makePanel(
      'backward', 'Backward',
      'One training step on the text that the report was made of: the loss of predicting each ' +
          'token from those before it, its gradients, and what the optimiser then did.');
  const short = (name) => name.replace('transformer.', '').replace('.weight', '');
  panel.append(facts([
    ['loss', shortNumber(backward.loss, 5)],
    ['gradient norm', shortNumber(backward.gradient_norm, 4)],
    ['ops on the tape', String(backward.tape.length)], ['step', backward.step]
  ]));
  tapeList(panel, backward);
  const named = backward.parameters.map((p) => ({...p, short: short(p.name)}));
  const charts = element('div', {class: 'two'}), left = element('div'), right = element('div');
  charts.append(left, right);
  panel.append(charts);
  const draw = named.length > 60 ? layerChart : dotChart;
  draw(left, {
    title: 'Gradient norm of each parameter',
    valueName: 'gradient norm',
    caption: 'L2 norms, in powers of ten.',
    items: named.map((p) => ({label: p.short, value: p.gradient_norm}))
  });
  if (named.some(({update_norm: norm}) => norm > 0))
    draw(right, {
      title: 'Update to weight',
      valueName: 'update norm / weight norm',
      line: 1e-3,
      caption: 'How far the step moved each parameter, as a share of its norm. About 1e-3 is a ' +
          'usual place to be; biases and norms that start at 0 move further.',
      items: named.map((p) => ({label: p.short, value: p.update_norm / p.weight_norm}))
    });
  const shown = named.length > 60 ? named.filter(({shape}) => shape.length === 2) : named;
  gradientHistograms(panel, shown, backward.least_decade);
  const points =
      Object.entries(backward.points)
          .filter(([name]) => /embedding|residual|output$|ln_f/.test(name) && !/attn/.test(name));
  lineChart(panel, {
    title: 'Gradient along the residual stream',
    logY: true,
    height: 220,
    xLabel: 'point on the way',
    yLabel: 'norm',
    caption: 'Norm of the loss\'s gradient by the residual stream, from the embedding ' +
        '(left) to the final norm (right). Backward goes from right to left.',
    series: [{name: 'norm of d loss / d x', points: points.map(([, norm], i) => [i, norm])}]
  });
  panel.append(element(
      'details', {}, element('summary', {}, 'The source that walks the tape'),
      ...sourceListing(sources.backward)));
}

// The tape, folded by part of the model; the newest op first, as backward goes.
function tapeList(panel, {tape}) {
  const parts = [];
  for (const op of tape) {
    if (!parts.length || parts[parts.length - 1].name !== op.part)
      parts.push({name: op.part, ops: []});
    parts[parts.length - 1].ops.push(op);
  }
  const names = new Map(
      tape.map((op) => [op.order, op.point || `${op.name} #${op.order - tape[0].order + 1}`]));
  const inputs = (op) => op.inputs
                             .map(
                                 (order) => order === 0 ? 'parameter' :
                                     order < 0          ? 'constant' :
                                                          names.get(order) || '?')
                             .join(', ');
  const row = (op) => element(
      'tr', {}, element('td', {class: 'number'}, String(op.order - tape[0].order + 1)),
      element('td', {class: 'mono'}, op.point ? `watch ${op.point}` : op.name),
      element('td', {class: 'mono'}, `[${op.shape.join(', ')}]`), element('td', {}, inputs(op)));
  const list = element('div', {class: 'tape'});
  for (const {name, ops} of [...parts].reverse())
    list.append(element(
        'details', {}, element('summary', {}, `${name}: ${ops.length} ops`),
        scrollTable(`Ops of ${name}`, ['#', 'op', 'result', 'of'], [...ops].reverse().map(row))));
  panel.append(
      element('h3', {}, 'The tape'),
      element(
          'p', {class: 'muted'},
          'Every op that the forward pass recorded, in the order in which backward undoes them: ' +
              'the last first. "watch" is where a tensor of the walk was shown.'),
      list);
}

// Of a deep model: a curve for each kind of matrix over the layers; the table has every parameter.
function layerChart(parent, {title, caption, items, valueName, line}) {
  const kinds = new Map();
  for (const {label, value} of items) {
    const [, layer, kind] = label.match(/^h\.(\d+)\.((?:attn|mlp)\.c_\w+)$/) || [];
    if (layer === undefined) continue;
    if (!kinds.has(kind)) kinds.set(kind, []);
    kinds.get(kind).push([Number(layer), value]);
  }
  const figure = lineChart(parent, {
    title,
    caption: `${caption} Matrices by layer; the table has every parameter.`,
    logY: true,
    width: 520,
    height: 260,
    xLabel: 'layer',
    yLabel: valueName,
    series: [...kinds].map(([name, points]) => ({name, points})),
    lines: line ? [{y: line, label: '1e-3'}] : []
  });
  figure.table = {
    head: ['parameter', valueName],
    rows: items.map(({label, value}) => [label, value])
  };
}

// A dot for each item on an axis of powers of ten.
function dotChart(parent, {title, caption, items, valueName, line}) {
  const width = fittedWidth(parent, 520), left = 140, row = items.length > 60 ? 12 : 16;
  const logs = items.map(({value}) => value > 0 ? Math.log10(value) : null);
  const known = logs.filter((x) => x !== null && Number.isFinite(x));
  if (line) known.push(Math.log10(line));
  const low = Math.floor(Math.min(...known)), high = Math.ceil(Math.max(...known, low + 1));
  const x = (log) => left + (log - low) / (high - low) * (width - left - 16);
  const height = items.length * row + 24;
  makeFigure(parent, {
    title,
    caption,
    width,
    height,
    draw: (g) => {
      for (let tick = low; tick <= high; ++tick)
        g.append(
            svgElement('line', {class: 'grid', x1: x(tick), x2: x(tick), y1: 0, y2: height - 20}),
            svgElement(
                'text', {class: 'muted', x: x(tick), y: height - 5, 'text-anchor': 'middle'},
                `1e${tick}`));
      if (line)
        g.append(svgElement('line', {
          class: 'cursor',
          x1: x(Math.log10(line)),
          x2: x(Math.log10(line)),
          y1: 0,
          y2: height - 20
        }));
      items.forEach(({label, value}, i) => {
        const y = (i + 0.5) * row;
        const text = svgElement('text', {x: left - 8, y: y + 4, 'text-anchor': 'end'}, label);
        if (row < 16) text.style.fontSize = '10px';
        g.append(text);
        if (logs[i] === null || !Number.isFinite(logs[i])) return;
        const dot = svgElement('circle', {cx: x(logs[i]), cy: y, r: row < 16 ? 3 : 4});
        dot.style.fill = 'var(--series-0)';
        g.append(svgElement('line', {class: 'grid', x1: left, x2: x(logs[i]), y1: y, y2: y}), dot);
      });
    },
    table: {head: ['parameter', valueName], rows: items.map(({label, value}) => [label, value])}
  });
}

function gradientHistograms(panel, parameters, leastDecade) {
  const bins = parameters[0].histogram.length;
  const shares = parameters.flatMap(({histogram}) => {
    const sum = histogram.reduce((a, b) => a + b, 0) || 1;
    return histogram.map((count) => count / sum);
  });
  heatMap(panel, {
    title: 'Magnitudes of the gradients',
    columnLabel: 'half decade',
    rowLabel: 'parameter',
    caption:
        'For each parameter the share of its elements whose gradient has that magnitude (powers ' +
            'of ten). Elements of gradient 0, such as rows of tokens that do not occur, are ' +
            'left out.',
    rows: parameters.length,
    columns: bins,
    values: Float32Array.from(shares),
    width: 720,
    rowNames: parameters.map((p) => p.short.slice(0, 18)),
    rowHeight: 15,
    columnNames: Array.from({length: bins}, (_, i) => i % 2 ? '' : `${leastDecade + i / 2}`),
  });
}
