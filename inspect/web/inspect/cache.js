'use strict';
// The KV cache, step by step: what a step reads and writes, what it costs with and without, and
// what happens past block_size.

// Step by step from a prompt of `prompt` tokens to `end`: of each step the length of the text, the
// first token that the model sees, how many tokens it reads anew, and its costs in multiply-adds.
function cacheSteps(config, costs, pastBlock, prompt, end) {
  const steps = [];
  const window = config.attention_window || Infinity;
  const {
    matrix_multiply_adds_per_token: matrix,
    head_multiply_adds_per_step: head,
    multiply_adds_per_seen_position: pair
  } = costs;
  // The positions that tokens [from, to) of a window see, all together.
  const seen = (from, to) => {
    let sum = 0;
    for (let t = from; t < to; ++t) sum += Math.min(t + 1, window);
    return sum;
  };
  let start = 0, held = 0;
  for (let length = prompt; length <= end; ++length) {
    const now = windowStart(length, config.block_size, pastBlock);
    if (pastBlock === 'stop' && now > 0) break;
    if (now !== start) held = 0;  // every position has changed
    const from = held, to = length - now;
    steps.push({
      length,
      start: now,
      fresh: to - from,
      moved: now !== start && start + now > 0,
      withCache: (to - from) * matrix + head + pair * seen(from, to),
      without: to * matrix + head + pair * seen(0, to),
      sees: Math.min(to, window)
    });
    start = now;
    held = to;
  }
  return steps;
}

function cachePanel(state) {
  const {config, report} = state, costs = report.cache, {block_size: block} = config;
  const panel = makePanel(
      'cache', 'KV cache',
      'Keys and values of tokens that were read stay in the cache: a step reads one token, and ' +
          'looks at the rest there.');
  const endless = config.attention_window > 0 && config.position !== 'learned';
  const modes = [
    ['block', 'block: restart from the last half'],
    ['slide', 'slide: compute the last block_size again'], ['stop', 'stop: end the text']
  ];
  if (endless) modes.unshift(['window', 'window: a ring, nothing is computed again']);
  const words = {
    window:
        `A position sees the last ${config.attention_window}, so what leaves a ring of that many ` +
        'is never looked at again: the cache stays the same size however long the text becomes, ' +
            'and every number is that of one pass over the whole text.',
    block: `When the window of ${block} is full, the last ${
               Math.max(1, Math.floor(block / 2))} tokens are ` +
        'computed again at positions 0 and up; then the cache grows again.',
    slide:
        'With every token past the window each position moves by one, and with it every key and ' +
            'value: the whole window is computed again for each token, as nanoGPT does.',
    stop: `The text ends when the window of ${block} is full.`,
  };
  let mode = modes.some(([name]) => name === report.past_block) ? report.past_block : 'block',
      at = 0, steps = [];
  const picker = choice('past_block', modes, (value) => {
    mode = value;
    recompute();
  });
  picker.select.value = mode;
  const slider = element('input', {
    type: 'range',
    min: '0',
    value: '0',
    oninput: () => {
      at = Number(slider.value);
      show();
    }
  });
  const explained = element('p'), now = element('div', {'aria-live': 'polite'}),
        chart = element('div');
  panel.append(
      element('div', {class: 'controls'}, picker.root, element('label', {}, 'Step', slider)),
      explained, now, chart,
      element(
          'details', {}, element('summary', {}, 'The source that writes the cache'),
          ...sourceListing(report.sources.append), ...sourceListing(report.sources.cached)));

  function recompute() {
    explained.textContent = words[mode];
    const prompt = Math.min(state.T, block);
    steps = cacheSteps(config, costs, mode, prompt, Math.max(2.5 * block, prompt + 8) | 0);
    slider.max = String(steps.length - 1);
    at = Math.min(at, steps.length - 1);
    slider.value = String(at);
    chart.replaceChildren();
    lineChart(chart, {
      title: 'Multiply-adds of each step',
      logY: true,
      xLabel: 'tokens of the text',
      yLabel: 'multiply-adds',
      height: 240,
      caption: `past_block=${mode}; the first step reads the prompt.`,
      series: [
        {name: 'with the cache', points: steps.map((s) => [s.length, s.withCache])},
        {name: 'without', points: steps.map((s) => [s.length, s.without])}
      ]
    });
    show();
  }

  function show() {
    const step = steps[at], bytes = costs.cache_bytes_per_token;
    now.replaceChildren(element(
        'h3', {},
        at === 0 ? `Prefill: ${step.length} tokens` :
            step.fresh > 1 ? `Token ${step.length}: ${step.fresh} tokens are computed again` :
                             `Token ${step.length}: one token is read`));
    now.append(facts([
      ['reads the keys and values of', `${step.sees} positions, ${bytesText(step.sees * bytes)}`],
      ['writes', `${step.fresh}, ${bytesText(step.fresh * bytes)}`],
      ['multiply-adds', shortNumber(step.withCache)],
      [
        'without the cache',
        `${shortNumber(step.without)}, ${shortNumber(step.without / step.withCache)} times`
      ],
      ['cache holds', bytesText(Math.min(step.length - step.start, step.sees) * bytes)],
      ['weights read', bytesText(costs.weight_bytes)]
    ]));
    cells(now, step);
  }

  // The slots of the cache: those read, those written in this step.
  function cells(parent, step) {
    const ring = mode === 'window',
          slots = ring ? Math.min(config.attention_window, 128) : Math.min(block, 128);
    const width = fittedWidth(parent, 720), columns = Math.min(slots, width < 500 ? 32 : 64);
    const size = Math.min(26, width / columns), rows = Math.ceil(slots / columns),
          held = step.length - step.start;
    const kinds = Array.from({length: slots}, (_, slot) => {
      const scaled = ring ? slot : Math.floor(slot * block / slots);
      if (!ring) return scaled >= held ? 'empty' : scaled >= held - step.fresh ? 'written' : 'read';
      if (slot >= step.length) return 'empty';
      const newest = (step.length - 1) % slots;
      return (newest - slot + slots) % slots < step.fresh ? 'written' : 'read';
    });
    const colors = {read: 'var(--series-0)', written: 'var(--series-1)', empty: 'var(--code)'};
    makeFigure(parent, {
      title: ring ? `The ring of ${config.attention_window} positions` :
                    `The cache of ${block} positions`,
      caption: ring ? 'The newest key and value take the place of the oldest.' :
                      'Positions from 0.',
      width,
      height: rows * (size + 2) + 2,
      legend: [
        {label: 'read', color: colors.read}, {label: 'written in this step', color: colors.written},
        {label: 'empty', color: colors.empty}
      ],
      draw: (g) => kinds.forEach((kind, i) => {
        const cell = svgElement('rect', {
          x: (i % columns) * size + 0.5,
          y: Math.floor(i / columns) * (size + 2) + 0.5,
          width: size - 1,
          height: size - 1,
          class: 'grid',
          rx: 1
        });
        cell.style.fill = colors[kind];
        g.append(cell);
      }),
      table: {head: ['slot', 'what'], rows: kinds.map((kind, i) => [i, kind])}
    });
  }
  state.onRun.push(recompute);
  recompute();
}
