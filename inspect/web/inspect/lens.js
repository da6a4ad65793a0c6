'use strict';
// What the model would say at each point on its way, and what each part adds to the answer.

function pointName(point) {
  const [, layer, kind] = point.match(/^h\.(\d+)\.(\w+)$/) || [];
  if (layer === undefined) return point;
  return kind === 'residual' ? `${layer}: attention` : `${layer}: MLP`;
}

function lensPanel(state) {
  const panel = makePanel(
      'lens', 'Logit lens',
      'The residual stream, read by the final norm and the head before it is finished: what the ' +
          'model would say after the embedding, after each attention and after each MLP.');
  const strip = tokenStrip(state, 'Text, shaded by the loss on each token');
  const map = element('div'), here = element('div'), loss = element('div');
  panel.append(
      element(
          'p', {class: 'muted'},
          'The deeper a token\'s colour, the harder it was to predict (loss in nats, full ' +
              'colour from 6).'),
      strip.root, map, here, loss);

  function showRun() {
    const {lens, tokens} = state.run, T = tokens.length;
    strip.shade([null, ...lens.loss.map((nats) => Math.min(1, nats / 6))]);
    map.replaceChildren();
    heatMap(map, {
      title: 'Probability of the true next token',
      scale: 1,
      caption: 'Rows go up through the model: which layer finds the answer. Columns are positions.',
      rows: lens.points.length,
      columns: T - 1,
      rowHeight: 15,
      rowLabel: 'after',
      columnLabel: 'position',
      rowNames: lens.points.map(pointName),
      columnNames: T <= 64 ? tokens.slice(0, -1).map((id) => state.shown(id).slice(0, 2)) :
                             undefined,
      values: Float32Array.from(lens.nextProbability.flatMap((row) => [...row])),
      onPick: (_, column) => {
        if (column !== state.position) state.look(column);
      },
    });
    loss.replaceChildren();
    const mean = lens.loss.reduce((sum, nats) => sum + nats, 0) / lens.loss.length;
    lineChart(loss, {
      title: 'Loss on each token',
      xLabel: 'position that predicts',
      yLabel: 'nats',
      height: 220,
      caption:
          `Mean ${shortNumber(mean, 4)} nats: a perplexity of ${shortNumber(Math.exp(mean))}. ` +
          `Guessing evenly among ${state.config.vocab_size} tokens costs ` +
          `${shortNumber(Math.log(state.config.vocab_size))}.`,
      series: [{name: 'loss', points: lens.loss.map((nats, t) => [t, nats])}],
      lines: [{y: mean, label: 'mean'}],
    });
  }

  function showPosition(position) {
    const {lens, tokens, parts} = state.run, next = tokens[position + 1];
    const title =
        element('h3', {}, `At position ${position}, after `, tokenText(state, tokens[position]));
    here.replaceChildren(
        title,
        element(
            'p', {}, next === undefined ? 'The text ends here.' : 'What comes next in the text is ',
            next === undefined ? '' : tokenText(state, next)));
    const two = element('div', {class: 'two'}), left = element('div'), right = element('div');
    two.append(left, right);
    here.append(two);
    lensTable(left, state, position);
    const {ids, probability} = lens.leaders[position];
    lineChart(left, {
      title: 'Tokens that lead somewhere',
      height: 240,
      width: 520,
      xLabel: 'point on the way',
      yLabel: 'probability',
      caption: 'Every token that is the likeliest at some point.',
      series: ids.map(
          (id, i) => ({name: state.shown(id), points: probability.map((row, p) => [p, row[i]])})),
    });
    partBars(right, state, position);
    if (state.model) partsOfAnyToken(right, state, position);
  }

  state.onRun.push(showRun);
  let waiting = 0;  // a pointer on its way asks often: tables and charts follow once it rests
  state.onPosition.push(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => showPosition(state.position), 60);
  });
  showRun();
  showPosition(state.position);
}

function lensTable(parent, state, position) {
  const {lens, tokens} = state.run, hasNext = position + 1 < tokens.length;
  const rows = lens.points.map((point, p) => {
    const best = lens.top[p][position][0];
    return element(
        'tr', {}, element('th', {scope: 'row', class: 'plain'}, pointName(point)),
        element('td', {}, tokenText(state, best.id), ` ${percentText(best.probability)}`),
        element(
            'td', {class: 'number'}, hasNext ? percentText(lens.nextProbability[p][position]) : ''),
        element('td', {class: 'number'}, hasNext ? String(lens.nextRank[p][position] + 1) : ''));
  });
  parent.append(scrollTable(
      'Likeliest token after each part', ['after', 'likeliest', 'true next', 'its rank'], rows));
}

// What each part adds to the logit of the position's target: those that add most.
function partBars(parent, state, position, parts = state.run.parts) {
  const {targets, parts: names, values, logits} = parts, T = state.T;
  const all =
      names.map((name, i) => ({label: state.partName(name), value: values[i * T + position]}));
  const items = [...all].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 16);
  const rest =
      all.reduce((sum, {value}) => sum + value, 0) - items.reduce((sum, {value}) => sum + value, 0);
  if (all.length > items.length) items.push({label: 'all others', value: rest});
  barChart(parent, {
    title: `What adds to the logit of ${state.shown(targets[position])}`,
    valueName: 'logit',
    caption: `The parts sum to its logit, ${shortNumber(logits[position], 4)}` +
        `${
                 state.config.logit_softcap > 0 ? ' before the soft cap' :
                                                  ''}; the final norm's scale is ` +
        'held as it is at this position.',
    items,
    width: 520
  });
}

// The same of any other token, which the page's own model can work out.
function partsOfAnyToken(parent, state, position) {
  const options = Array.from({length: state.known}, (_, id) => [String(id), state.shown(id)]);
  const below = element('div');
  const other = choice('Of another token', [['', 'choose'], ...options], (value) => {
    below.replaceChildren();
    if (value === '') return;
    const targets = state.run.tokens.map(() => Number(value));
    partBars(below, state, position, partsOf(state.model, state.run, targets));
  });
  parent.append(element('div', {class: 'controls'}, other.root), below);
}
