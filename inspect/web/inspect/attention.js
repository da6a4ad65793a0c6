'use strict';
// Every head of every layer, what each looks at, and what kind of head it is.

function attentionPanel(state) {
  const {config, report} = state, {n_layer: L, n_head: H} = config;
  const panel = makePanel(
      'attention', 'Attention',
      'Where each head of each layer looks. Point at a token to see where it looks, in every ' +
      'view.' +
          (config.n_kv_head < H ?
               ` ${H / config.n_kv_head} heads of queries share one of keys and values.` :
               '') +
          (config.attention_window ? ` A position sees the last ${config.attention_window}.` : ''));
  let layer = 0, head = 0, map = null;
  const strip = tokenStrip(state, 'Text, shaded by where the chosen head looks');
  const grid = element('div', {class: 'heads', role: 'group', 'aria-label': 'Heads by layer'});
  grid.style.gridTemplateColumns = `3.2rem repeat(${H}, minmax(40px, ${H > 8 ? 60 : 76}px))`;
  const large = element('div'), named = element('h3'),
        sentence = element('p', {'aria-live': 'polite'});
  const probabilities = () => state.run.attention.data;
  const offset = (l, h) => (l * H + h) * state.T * state.T;
  const buttons = [];
  for (let l = 0; l < L; ++l) {
    grid.append(element('span', {class: 'layer-name'}, `layer ${l}`));
    for (let h = 0; h < H; ++h) {
      const kind = report.head_scores.scores[l * H + h].kind;
      const mark = element('span', {class: 'row-mark'});
      const canvas = element('canvas', {'aria-hidden': 'true'});
      const button = element(
          'button', {
            type: 'button',
            title: `layer ${l}, head ${h}: ${kind}`,
            'aria-label': `layer ${l}, head ${h}, kind ${kind}`,
            onclick: () => choose(l, h)
          },
          canvas, mark);
      buttons.push({button, canvas, mark});
      grid.append(button);
    }
  }
  const right = element('div', {}, named, sentence, large);
  panel.append(strip.root, element('div', {class: 'views'}, grid, right));
  headScores(panel, state, (l, h) => choose(l, h));

  function paint() {
    const T = state.T;
    buttons.forEach(
        ({canvas}, i) => paintMatrix(
            canvas, {values: probabilities(), rows: T, columns: T, offset: i * T * T, scale: 1}));
  }

  function choose(l, h) {
    [layer, head] = [l, h];
    buttons.forEach(({button}, i) => button.setAttribute('aria-pressed', String(i === l * H + h)));
    named.textContent = `Layer ${l}, head ${h}`;
    large.replaceChildren();
    const T = state.T,
          names = state.run.tokens.map((id, i) => `${i} ${state.shown(id)}`.slice(0, 14));
    map = heatMap(large, {
      title: `Attention of layer ${l}, head ${h}`,
      caption: 'Each row is a position, each column one that it may look at; a row sums to 1. ' +
          'Nothing is seen ahead: the causal mask.',
      rows: T,
      columns: T,
      rowLabel: 'position',
      columnLabel: 'position seen',
      rowNames: names,
      values: probabilities().subarray(offset(l, h), offset(l, h) + T * T),
      scale: 1,
      width: 620,
      onPick: (row) => {
        if (row !== state.position) state.look(row);
      }
    });
    follow(state.position);
  }

  function follow(position) {
    const T = state.T, from = offset(layer, head) + position * T;
    const row = probabilities().subarray(from, from + T);
    strip.shade(Array.from(row, (p, i) => i <= position ? p : null));
    const height = buttons[0].button.clientHeight;
    for (const {mark} of buttons)
      mark.style.transform = `translateY(${(position + 0.5) / T * height - 1}px)`;
    let most = 0;
    row.forEach((p, i) => {
      if (p > row[most]) most = i;
    });
    if (map.markedRow() !== position) map.mark(position, most);
    sentence.replaceChildren(
        `Position ${position}, `, tokenText(state, state.run.tokens[position]),
        `, looks most at position ${most}, `, tokenText(state, state.run.tokens[most]),
        `, with ${percentText(row[most])}.`);
  }

  state.onRun.push(() => {
    paint();
    choose(layer, head);
  });
  state.onPosition.push(follow);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
  paint();
  const best =
      report.head_scores.scores.map((s) => Math.max(s.previous, s.same, s.first, s.induction));
  const plainest = best.indexOf(Math.max(...best));
  choose(Math.floor(plainest / H), plainest % H);
}

// The scores on the probe: of each kind a layer by head picture in which a cell chooses its head.
function headScores(panel, state, choose) {
  const {half, plain_score: plain, scores} = state.report.head_scores;
  const kinds = ['previous', 'same', 'first', 'induction'];
  panel.append(element('h3', {}, 'What kind of head'));
  panel.append(element(
      'p', {class: 'muted'},
      `Measured on random tokens that come twice (${half} ` +
          `and the same ${
              half}): how much the second half looks at the token before (previous), at ` +
          'itself in the first half (same), at the text\'s first token (first), and at what ' +
          'came after it ' +
          `in the first half (induction). A head is named by its largest score if that is ${
              plain} or more.`));
  const {n_layer: L, n_head: H} = state.config, grid = element('div', {class: 'four'});
  const scale = Math.max(0.25, ...scores.flatMap((s) => kinds.map((kind) => s[kind])));
  panel.append(grid);
  for (const kind of kinds) {
    const cell = element('div');
    grid.append(cell);
    heatMap(cell, {
      title: `Score: ${kind}`,
      rows: L,
      columns: H,
      rowLabel: 'layer',
      columnLabel: 'head',
      scale,
      values: Float32Array.from(scores, (s) => s[kind]),
      width: 260,
      rowHeight: 18,
      rowNames: Array.from({length: L}, (_, l) => `layer ${l}`),
      columnNames: Array.from({length: H}, (_, h) => String(h)),
      onPick: choose,
    });
  }
  panel.append(facts([...kinds, 'none'].map((kind) => {
    const heads = scores.filter((s) => s.kind === kind).map((s) => `${s.layer}.${s.head}`);
    return [
      kind,
      heads.length === 0     ? 'no head' :
          heads.length <= 12 ? heads.join(', ') :
                               `${heads.length} heads`
    ];
  })));
}
