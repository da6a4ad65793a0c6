'use strict';
// The forward pass as a walk: each tensor with its formula, its numbers and the source that
// computes it.

// What a step does, by its name in a block, in the words of the model's own recipe.
function stepFormula(step, config) {
  const grouped = config.n_kv_head < config.n_head ?
      ` ${config.n_head / config.n_kv_head} heads of queries share one of keys and values.` :
      '';
  const norm = config.norm === 'rms' ? 'RMSNorm' : 'LayerNorm';
  const turned = [
    config.qk_norm !== 'off' ? 'each head normed (QK-norm)' : '',
    config.position === 'rotary' ? 'turned by its position (rotary)' : ''
  ].filter(Boolean).join(', then ');
  const gated = config.activation === 'swiglu';
  return {
    embedding: config.position === 'learned' ?
        [
          'x = wte[token] + wpe[position]',
          'A row of the token table plus one of the position table.'
        ] :
        [
          'x = wte[token]',
          'A row of the token table; ' +
              (config.position === 'rotary' ?
                   'positions come in later, as rotations of queries and keys.' :
                   'positions are told by the causal mask alone.')
        ],
    'attn.q': [`q = ${norm}(x) Wq`, `What each position looks for${turned ? `: ${turned}` : ''}.`],
    'attn.k': [
      `k = ${norm}(x) Wk`,
      `What each position can be found by${turned ? `: ${turned}` : ''}.${grouped}`
    ],
    'attn.v': [`v = ${norm}(x) Wv`, 'What each position hands on.' + grouped],
    'attn.scores': [
      'scores = q kᵀ / √D, −∞ ahead of the query' +
          (config.attention_window ? ` and ${config.attention_window} or more behind it` : ''),
      'How well each query fits each key that it may see.' +
          (config.attention_window ? ` A position sees a window of ${config.attention_window}.` :
                                     '')
    ],
    'attn.probabilities': ['p = softmax(scores)', 'Each row sums to 1: where a position looks.'],
    'attn.output':
        ['y = p v', 'Each head\'s average of the values that it looks at, side by side.'],
    residual: ['x = x + y Wo', 'What attention found is added to the residual stream.'],
    'mlp.hidden': gated ?
        [
          `h = silu(n Wgate) · (n Wup), n = ${norm}(x)`,
          'SwiGLU: one half of a wide layer gates the other.'
        ] :
        [
          `h = ${config.activation}(${norm}(x) Wfc)`,
          'A wide layer with a nonlinearity, position by position.'
        ],
    output: ['x = x + h Wproj', 'What the MLP found is added to the residual stream.'],
    ln_f: [`n = ${norm}(x)`, 'The final norm.'],
    logits: [
      `logits = n ${config.tie_weights ? 'wteᵀ' : 'Wheadᵀ'}` +
          (config.logit_softcap > 0 ?
               `, capped: ${config.logit_softcap} tanh(· / ${config.logit_softcap})` :
               ''),
      config.tie_weights ? 'A score for every token: the head\'s matrix is the token table.' :
                           'A score for every token, by a matrix of its own.'
    ],
  }[step.in_block];
}

// The lines of a function, those that compute the step marked.
function sourceListing(source) {
  const listing = element(
      'pre',
      {class: 'source', tabindex: '0', role: 'region', 'aria-label': `Source: ${source.file}`});
  source.text.replace(/\n$/, '').split('\n').forEach((text, i) => {
    const number = source.first_line + i;
    const computes = number >= source.begin && number < source.end;
    listing.append(element(
        'span', {class: computes ? 'line computes' : 'line'},
        element('span', {class: 'number', 'aria-hidden': 'true'}, String(number)), text || ' '));
  });
  return [
    element(
        'p', {class: 'muted'},
        `${source.file}, line ${source.begin}` +
            (source.end - source.begin > 1 ? ` to ${source.end - 1}` : '')),
    listing
  ];
}

function walkPanel(state) {
  const {report, config} = state;
  const panel = makePanel(
      'walk', 'Forward',
      'One pass through the model, tensor by tensor, in the order in which folio computes them.');
  let at = 0, head = 0;
  const steps = report.forward;
  const where = (step) => step.layer < 0 ? '' : `layer ${step.layer}: `;
  const picker = choice(
      'Step', steps.map((s, i) => [String(i), `${i + 1}. ${where(s)}${s.in_block}`]),
      (value) => go(Number(value)));
  const back = element('button', {type: 'button', onclick: () => go(at - 1)}, '← Back');
  const next = element('button', {type: 'button', onclick: () => go(at + 1)}, 'Next →');
  const body = element('div', {id: 'walk-step', 'aria-live': 'polite'});
  const stepper = element(
      'div', {
        class: 'controls',
        role: 'group',
        'aria-label': 'Steps; left and right arrows go from one to the next'
      },
      back, next, picker.root);
  stepper.addEventListener('keydown', (event) => {
    if (event.target === picker.select) return;
    if (event.key === 'ArrowRight') go(at + 1);
    if (event.key === 'ArrowLeft') go(at - 1);
  });
  panel.append(stepper, body);

  function go(to) {
    at = Math.max(0, Math.min(steps.length - 1, to));
    show();
  }

  // The step's tensor as it is now, if the page has it.
  const tensor = () => state.run.points.get(steps[at].point);

  // What of it is one matrix: a head, where there are several.
  function matrix({shape, data}) {
    if (shape.length < 3) return {rows: shape[0], columns: shape[1], values: data};
    const size = shape[1] * shape[2];
    return {
      rows: shape[1],
      columns: shape[2],
      values: data.subarray(head * size, (head + 1) * size)
    };
  }

  function picture(parent, step) {
    const found = tensor();
    if (!found) {
      parent.append(element(
          'p', {class: 'muted'},
          `${shortNumber(step.shape[0] * step.shape[1])} ` +
              'numbers are too many to show here: folio inspect --npz writes them.'));
      return;
    }
    const heads = found.shape.length === 3 ? found.shape[0] : 1;
    head = Math.min(head, heads - 1);
    if (heads > 1) {
      const pick =
          choice('Head', Array.from({length: heads}, (_, i) => [String(i), String(i)]), (value) => {
            head = Number(value);
            show();
          });
      pick.select.value = String(head);
      parent.append(element('div', {class: 'controls'}, pick.root));
    }
    const m = matrix(found), tokens = state.run.tokens.map((id) => state.shown(id));
    const isSquare = /scores|probabilities/.test(step.in_block);
    heatMap(parent, {
      title: `${step.point}${heads > 1 ? `, head ${head}` : ''}`,
      caption: `${where(step)}${stepFormula(step, config)[1]} Rows are positions.` +
          (isSquare ? ' Columns are the positions that they look at.' : ''),
      ...m,
      rowLabel: 'position',
      columnLabel: isSquare ? 'position seen' : 'channel',
      rowNames: tokens.map((token, i) => `${i} ${token}`.slice(0, 14)),
      columnNames: step.in_block === 'logits' && state.model ?
          Array.from({length: m.columns}, (_, id) => state.shown(id)) :
          undefined,
      onPick: (row) => {
        if (row !== state.position) state.look(row);
      },
    });
  }

  function show() {
    const step = steps[at], found = tensor();
    picker.select.value = String(at);
    back.disabled = at === 0;
    next.disabled = at === steps.length - 1;
    const [formula, words] = stepFormula(step, config);
    const T = state.T, scaledBy = (n) => n * T / report.tokens.length;
    const shape = found ? found.shape : step.shape;
    const elements = shape.reduce((product, n) => product * n, 1);
    const adds = /scores|attn.output/.test(step.in_block) ? scaledBy(scaledBy(step.multiply_adds)) :
                                                            scaledBy(step.multiply_adds);
    const left = element('div'), right = element('div');
    body.replaceChildren(
        element('h3', {}, `${at + 1} of ${steps.length}: ${where(step)}${step.in_block}`),
        element('p', {class: 'formula'}, formula), element('p', {}, words), facts([
          ['shape', `[${shape.join(', ')}]`], ['dtype', step.dtype],
          ['bytes', bytesText(elements * (step.bytes / step.shape.reduce((a, b) => a * b, 1)))],
          ['multiply-adds', adds ? shortNumber(adds) : 'none'],
          ...(found ?
                  rangeFacts(found.data) :
                  [['least', shortNumber(step.least)], ['greatest', shortNumber(step.greatest)]])
        ]),
        element('div', {class: 'two'}, left, right));
    picture(left, step);
    right.append(...sourceListing(report.sources[step.in_block]));
  }
  state.onRun.push(show);
  show();
}

function rangeFacts(data) {
  let least = Infinity, greatest = -Infinity, sum = 0, squares = 0, count = 0;
  for (const value of data) {
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
    sum += value;
    squares += value * value;
    ++count;
  }
  const mean = sum / count;
  return [
    ['least', shortNumber(least)], ['greatest', shortNumber(greatest)], ['mean', shortNumber(mean)],
    ['deviation', shortNumber(Math.sqrt(Math.max(0, squares / count - mean * mean)))]
  ];
}
