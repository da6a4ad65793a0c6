'use strict';
// The page: what the model is, its text, and the panels.

// What the model is, in the field's words.
function recipeWords(c) {
  const words = [
    `${c.n_layer} layers`, `${c.n_head} heads of ${c.head_dim}`, `${c.n_embd} channels`,
    `${c.vocab_size} tokens`, `context ${c.block_size}`
  ];
  words.push({
    learned: 'learned positions',
    rotary: `rotary positions, base ${c.rope_theta}`,
    none: 'no positions'
  }[c.position]);
  words.push(c.norm === 'rms' ? 'RMSNorm' : 'LayerNorm');
  if (c.qk_norm !== 'off') words.push(c.qk_norm === 'rms' ? 'QK-norm' : 'QK-norm with weights');
  words.push(
      c.activation === 'swiglu' ? `SwiGLU of ${c.ffn_hidden}` :
                                  `${c.activation} of ${c.ffn_hidden}`);
  if (c.n_kv_head < c.n_head)
    words.push(`grouped queries: ${c.n_kv_head} heads of keys and values`);
  if (c.attention_window) words.push(`window ${c.attention_window}`);
  if (c.logit_softcap > 0) words.push(`logits capped at ${c.logit_softcap}`);
  words.push(c.tie_weights ? 'tied head' : 'untied head', c.bias ? 'biases' : 'no biases');
  return words;
}

// For a live page a field for another text.
function textEntry(state) {
  if (!state.model) return;
  const field = element('textarea', {class: 'text', id: 'text-field', spellcheck: 'false'});
  field.value = state.report.text;
  const problem = element('p', {role: 'status', class: 'muted'});
  let waiting = 0;
  field.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      try {
        const tokens = state.encode(field.value);
        if (tokens.length < 2) throw new Error('Type two characters or more.');
        if (tokens.length > state.config.block_size)
          problem.textContent =
              `The model reads ${state.config.block_size} at once: the last ones are shown.`;
        else
          problem.textContent = '';
        state.read(tokens.slice(-state.config.block_size));
      } catch (error) {
        problem.textContent = error.message;
      }
    }, 150);
  });
  document.getElementById('text-entry')
      .append(
          element(
              'label',
              {for: 'text-field'
              },
              'Type another text: every panel follows but those of the report itself (Backward, ' +
                  'Compare, Over training).'),
          field, problem);
}

// Between the page's own logits and folio's, of the report's text.
function pageDifference(state) {
  const folio = arrayOf(state.report.logits).data, own = state.run.points.get('logits').data;
  let largest = 0;
  folio.forEach((logit, i) => {
    largest = Math.max(largest, Math.abs(logit - own[i]));
  });
  return largest;
}

function startReport() {
  const state = new Inspector(pageData('report'));
  const {report} = state;
  document.getElementById('report-source').textContent = visible(report.source).replace(/·/g, ' ');
  document.getElementById('recipe').append(
      ...recipeWords(report.config).map((w) => element('span', {}, w)));
  let note = `the fused ops that train and sample differ from it by at most ${
                 shortNumber(report.fused_difference, 2)} ` +
      'in a logit.';
  if (state.model) {
    state.pageDifference = pageDifference(state);
    note += ` This page's own model differs from folio's by at most ${
        shortNumber(state.pageDifference, 2)}.`;
  }
  document.getElementById('fused-note').textContent = note;
  textEntry(state);
  document.getElementById('text-strip').append(tokenStrip(state, 'The text as tokens').root);
  document.getElementById('text-note').textContent = state.model ?
      'Point at a token, or go to one with the arrow keys: every view follows.' :
      `${state.T} tokens. Point at one, or go to it with the arrow keys: every view follows.`;
  for (const panel
           of [walkPanel, attentionPanel, lensPanel, whatIfPanel, backwardPanel, cachePanel,
               playPanel, comparePanel, overTrainingPanel])
    panel(state);
  askQuestions(state);
  window.folio = state;  // for those who look around in the console
}
startReport();
