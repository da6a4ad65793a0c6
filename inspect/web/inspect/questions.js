'use strict';
// Predict, then reveal: beside each panel one question about this very model, which the panel
// answers.

// panel: its id; ask(state) -> {question, options: [text], reveal}, or null. reveal() works the
// answer out once it is asked for: {answer: index of the option, because: text}.
const QUESTIONS = [
  {panel: 'walk', ask: walkQuestion},
  {panel: 'attention', ask: attentionQuestion},
  {panel: 'lens', ask: lensQuestion},
  {panel: 'what-if', ask: whatIfQuestion},
  {panel: 'backward', ask: backwardQuestion},
  {panel: 'cache', ask: cacheQuestion},
  {panel: 'play', ask: playQuestion},
];

function askQuestions(state) {
  for (const {panel, ask} of QUESTIONS) {
    const asked = ask(state);
    if (asked) document.getElementById(panel).append(questionBox(panel, asked));
  }
}

function questionBox(panel, {question, options, reveal}) {
  const said = element('p', {class: 'answer', role: 'status'});
  const box = element(
      'div', {class: 'question'}, element('h3', {}, 'Predict, then reveal'),
      element('p', {}, question));
  const choices =
      element('div', {class: 'controls', role: 'group', 'aria-label': `Answers: ${question}`});
  options.forEach(
      (text, i) => choices.append(element(
          'button', {
            type: 'button',
            onclick: () => {
              const {answer, because} = reveal();
              said.textContent = `${i === answer ? 'Yes' : 'No'}: ${options[answer]}. ${because}`;
            }
          },
          text)));
  box.append(choices, said);
  return box;
}

function walkQuestion({report}) {
  const sums = new Map();
  const group = (name) => /^attn\.(scores|output)$/.test(name) ? 'attention between positions' :
      /^attn|^residual/.test(name)                             ? 'the matrices of attention' :
      /^mlp|^output/.test(name)                                ? 'the matrices of the MLPs' :
      name === 'logits'                                        ? 'the head' :
                                                                 '';
  for (const {in_block: name, multiply_adds: adds} of report.forward)
    if (group(name)) sums.set(group(name), (sums.get(group(name)) || 0) + adds);
  const options = [...sums.keys()], all = [...sums.values()],
        total = all.reduce((a, b) => a + b, 0);
  const answer = all.indexOf(Math.max(...all));
  return {
    question: 'What takes most of the multiply-adds of a forward pass over this text?',
    options,
    reveal: () => ({
      answer,
      because: options.map((o, i) => `${o}: ${percentText(all[i] / total)}`).join(', ') + '.'
    })
  };
}

function attentionQuestion({report}) {
  const kinds = ['previous', 'same', 'first', 'induction', 'none'];
  const counts =
      kinds.map((kind) => report.head_scores.scores.filter((s) => s.kind === kind).length);
  const answer = counts.indexOf(Math.max(...counts));
  return {
    question: `Of this model's ${
                  report.head_scores.scores.length} heads, which kind is the most frequent on ` +
        'random tokens that come twice?',
    options: kinds,
    reveal: () =>
        ({answer, because: kinds.map((kind, i) => `${kind}: ${counts[i]}`).join(', ') + '.'})
  };
}

function lensQuestion({report}) {
  const lens = reportedLens(report), last = lens.points.length - 1, T = report.tokens.length;
  // The first point at which the final answer leads, position by position; which layer is it most
  // often.
  const found = Array.from({length: report.config.n_layer + 1}, () => 0);
  for (let t = 0; t < T; ++t) {
    const answer = lens.top[last][t][0].id;
    const first = lens.points.findIndex((_, p) => lens.top[p][t][0].id === answer);
    ++found[first === 0 ? 0 : Math.floor((first - 1) / 2) + 1];
  }
  const options =
      ['the embedding', ...Array.from({length: report.config.n_layer}, (_, i) => `layer ${i}`)];
  return {
    question:
        'After what does the model\'s final answer lead for the first time, at most positions ' +
            'of the report\'s text?',
    options,
    reveal: () => ({
      answer: found.indexOf(Math.max(...found)),
      because: options.map((o, i) => `${o}: ${found[i]}`).join(', ') + ' positions.'
    })
  };
}

function whatIfQuestion(state) {
  if (!state.model) return null;
  const V = state.config.vocab_size,
        mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const layers = Array.from({length: state.config.n_layer}, (_, i) => i);
  const lossWithout = (off) => {
    const {tokens} = state.run;
    const logits = state.model.forward(tokens, {mlpOff: (layer) => layer === off});
    return mean(tokens.slice(1).map(
        (next, t) => -Math.log(softmaxOf(logits.subarray(t * V, (t + 1) * V))[next])));
  };
  const reveal = () => {
    const own = mean(state.run.lens.loss), changes = layers.map((off) => lossWithout(off) - own);
    return {
      answer: changes.indexOf(Math.max(...changes)),
      because:
          changes.map((change, i) => `layer ${i}: ${change < 0 ? '' : '+'}${change.toFixed(2)}`)
              .join(', ') +
          ' nats.'
    };
  };
  return {
    question: 'Without which MLP does the loss on this text rise most?',
    options: layers.map((i) => `layer ${i}`),
    reveal
  };
}

function backwardQuestion({report}) {
  const {parameters} = report.backward;
  const part = (name) => /wte|wpe|lm_head/.test(name) ? 'embeddings and head' :
      /attn/.test(name)                               ? 'attention' :
      /mlp/.test(name)                                ? 'MLPs' :
                                                        'norms';
  const options = ['embeddings and head', 'attention', 'MLPs', 'norms'];
  const norms = options.map(
      (o) =>
          Math.hypot(...parameters.filter((p) => part(p.name) === o).map((p) => p.gradient_norm)));
  return {
    question: 'Which parameters have the largest gradient, all together?',
    options,
    reveal: () => ({
      answer: norms.indexOf(Math.max(...norms)),
      because: options.map((o, i) => `${o}: norm ${shortNumber(norms[i])}`).join(', ') + '.'
    })
  };
}

function cacheQuestion({config, report}) {
  const at = config.block_size;
  const step = cacheSteps(config, report.cache, 'stop', at - 1, at).pop();
  const factor = step.without / step.withCache,
        options = [2, 10, 30, 100, 300, 1000].map((n) => `about ${n} times`);
  const distances = [2, 10, 30, 100, 300, 1000].map((n) => Math.abs(Math.log(factor / n)));
  return {
    question:
        `How many more multiply-adds does the token after ${at} others take without the cache?`,
    options,
    reveal: () => ({
      answer: distances.indexOf(Math.min(...distances)),
      because: `${shortNumber(step.without)} against ${shortNumber(step.withCache)}: ${
          shortNumber(factor)} times.`
    })
  };
}

function playQuestion(state) {
  if (!state.model) return null;
  const reveal = () => {
    const V = state.config.vocab_size, t = state.T - 1;
    const p = softmaxOf(state.run.points.get('logits').data.subarray(t * V, t * V + state.known));
    const weighed = p.map((x) => x ** (1 / 0.5)),
          cooled = Math.max(...weighed) / weighed.reduce((a, b) => a + b, 0);
    const ratio = cooled / Math.max(...p);
    return {
      answer: ratio < 0.75 ? 0 :
          ratio < 1.05     ? 1 :
                             2,
      because: `${percentText(Math.max(...p))} at temperature 1, ${percentText(cooled)} at 0.5.`
    };
  };
  return {
    question: 'At temperature 0.5 instead of 1, the likeliest token after the text becomes:',
    options: ['half as likely', 'about as likely', 'more likely'],
    reveal
  };
}
