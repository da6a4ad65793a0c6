'use strict';
// Sampling in the page: the text of `folio sample` for the same options and seed.

function playPanel(state) {
  const panel = makePanel(
      'play', 'Play',
      'Let the model go on with a text, here in the page. The same start, options and seed give ' +
          'the text of folio sample, token by token.');
  if (!state.model) {
    panel.append(notLive());
    return;
  }
  const number = (label, value, attributes) => {
    const input = element(
        'input', {type: 'number', value: String(value), style: 'width: 6.5rem', ...attributes});
    return {root: element('label', {}, label, input), input};
  };
  const start = element('textarea', {class: 'text', rows: '2', id: 'play-start'});
  start.value = state.report.text;
  const temperature = number('temperature', 0.8, {min: '0', step: '0.05'});
  const topK = number('top_k', 200, {min: '0', step: '1'});
  const topP = number('top_p', 1, {min: '0.01', max: '1', step: '0.01'});
  const seed = number('seed', 1337, {min: '0', step: '1'});
  const count = number('max_new_tokens', 200, {min: '1', step: '1'});
  const output = element('pre', {
    class: 'played',
    id: 'play-output',
    tabindex: '0',
    role: 'region',
    'aria-label': 'Sampled text'
  });
  const status = element('p', {class: 'muted', role: 'status'});
  const last = element('div');
  let running = 0;  // counts samples: a new one ends the one before
  const go = element(
      'button', {type: 'button', class: 'primary', id: 'play-go', onclick: () => sample()},
      'Sample');
  const stop = element(
      'button', {
        type: 'button',
        onclick: () => {
          ++running;
        }
      },
      'Stop');
  const command =
      element('pre', {tabindex: '0', role: 'region', 'aria-label': 'The same in a terminal'});
  panel.append(
      element(
          'label',
          {for: 'play-start'
          },
          'Start'),
      start,
      element(
          'div', {class: 'controls'},
          ...[temperature, topK, topP, seed, count].map(({root}) => root)),
      element('div', {class: 'controls'}, go, stop), status, output, last,
      element('p', {class: 'muted'}, 'The same in a terminal:'), command);

  function options() {
    const read = ({input}) => Number(input.value);
    return {
      temperature: read(temperature),
      topK: read(topK),
      topP: read(topP),
      seed: BigInt(Math.max(0, Math.trunc(read(seed)))),
      count: read(count)
    };
  }

  function showCommand(o) {
    const quoted = `'${start.value.replace(/'/g, `'\\''`)}'`;
    command.textContent =
        `folio sample --num_samples=1 --temperature=${o.temperature} --top_k=${o.topK} ` +
        `--top_p=${o.topP} --seed=${o.seed} --max_new_tokens=${o.count} --start=${quoted}`;
  }

  async function sample() {
    const mine = ++running, o = options();
    showCommand(o);
    let tokens;
    try {
      tokens = state.encode(start.value);
      if (!tokens.length) throw new Error('Give a text of one character or more to start from.');
    } catch (error) {
      status.textContent = error.message;
      return;
    }
    const sampler = new TextSampler(
        state.model, tokens, o, {known: state.known, pastBlock: state.report.past_block});
    const added = document.createTextNode('');
    output.replaceChildren(element('span', {class: 'prompt'}, start.value), added);
    output.dataset.done = 'false';
    const begun = performance.now();
    for (let drawn = 0; drawn < o.count && mine === running;) {
      const frame = performance.now();
      let text = '';
      for (; drawn < o.count && performance.now() - frame < 12; ++drawn)
        text += state.text(sampler.next());
      added.appendData(text);
      status.textContent =
          `${drawn} tokens, ${shortNumber(1000 * drawn / (performance.now() - begun))} a second`;
      await new Promise((resolve) => setTimeout(resolve));
    }
    output.dataset.done = 'true';
    showLast(sampler, o);
  }

  // What the last token was drawn from.
  function showLast(sampler, o) {
    last.replaceChildren();
    const shares = o.temperature === 0 ? likeliest(softmaxOf(sampler.last), 10) :
                                         likelyCandidates(sampler.last, o);
    barChart(last, {
      title: 'What the last token was drawn from',
      valueName: 'probability',
      width: 520,
      caption: 'After temperature, top_k and top_p; the ten likeliest.',
      items: shares.map(({id, probability}) => ({label: state.shown(id), value: probability}))
    });
  }
  showCommand(options());
}

function likelyCandidates(logits, options) {
  const candidates = candidatesOf(logits, options);
  const sum = candidates.reduce((total, {weight}) => total + Number(weight), 0);
  return candidates.map(({id, weight}) => ({id, probability: Number(weight) / sum}))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, 10);
}
