'use strict';
// What the panels share: the report, the run that is shown, and the position that is looked at.

class Inspector {
  constructor(report) {
    this.report = report;
    this.config = report.config;
    this.known = Math.min(
        report.config.vocab_size, report.live ? Object.keys(report.token_texts).length : Infinity);
    this.ids = new Map(Object.entries(report.token_texts).map(([id, text]) => [text, Number(id)]));
    if (report.live) {
      const weights = Object.fromEntries(
          Object.entries(report.weights).map(([name, json]) => [name, arrayOf(json)]));
      this.model = new GptModel(report.config, weights);
      this.run = computedRun(this.model, report.tokens, this.known);
    } else {
      this.model = null;
      this.run = reportedRun(report);
    }
    this.position = Math.max(0, this.run.tokens.length - 2);
    this.onRun = [];
    this.onPosition = [];
  }

  text(id) {
    return this.report.token_texts[id] ?? `token ${id}`;
  }

  // A token as people see it: visible, and in quotes nowhere.
  shown(id) {
    return visible(this.text(id));
  }

  get T() {
    return this.run.tokens.length;
  }

  // The ids of a text, character by character. Error for one that the vocabulary lacks.
  encode(text) {
    return Array.from(text, (character) => {
      const id = this.ids.get(character);
      if (id === undefined)
        throw new Error(`The model's vocabulary has no "${visible(character)}".`);
      return id;
    });
  }

  // Another text: every panel follows.
  read(tokens) {
    this.run = computedRun(this.model, tokens, this.known);
    this.position = Math.max(0, Math.min(this.position, tokens.length - 2));
    for (const follow of this.onRun) follow();
    this.look(this.position);
  }

  look(position) {
    this.position = position;
    for (const follow of this.onPosition) follow(position);
  }

  // "h.1.head.2" -> "layer 1, head 2".
  partName(part) {
    const [, layer, kind, head] = part.match(/^h\.(\d+)\.(\w+)\.?(\w+)?$/) || [];
    if (layer === undefined) return part === 'ln_f.bias' ? 'final norm, bias' : part;
    if (kind === 'head') return `layer ${layer}, head ${head}`;
    return kind === 'mlp' ? `layer ${layer}, MLP` : `layer ${layer}, attention's bias`;
  }
}

// A token as text in a line of prose.
function tokenText(state, id) {
  return element('bdi', {class: 'token-text'}, state.shown(id));
}

// The text as a row of buttons: pointing at one, or going to it with the arrow keys, looks at its
// position, in every view. `label` names the row; -> {root, shade(values)}: shade colours the
// tokens by values in [0, 1], null for none.
function tokenStrip(state, label) {
  const root = element('div', {class: 'strip', role: 'group', 'aria-label': label});
  let buttons = [], marked = 0;
  const press = (i, pressed) => {
    if (!buttons[i]) return;
    buttons[i].setAttribute('aria-pressed', String(pressed));
    buttons[i].tabIndex = pressed ? 0 : -1;
  };
  const mark = (position) => {
    press(marked, false);
    press(marked = position, true);
  };
  function build() {
    buttons = state.run.tokens.map(
        (id, i) => element(
            'button', {
              type: 'button',
              class: 'token',
              tabindex: '-1',
              'aria-pressed': 'false',
              'aria-label': `position ${i}: ${state.shown(id)}`,
              onpointerenter: () => state.look(i),
              onfocus: () => {
                if (state.position !== i) state.look(i);
              },
              onclick: () => state.look(i)
            },
            state.shown(id)));
    root.replaceChildren(...buttons);
    mark(state.position);
  }
  root.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -state.T, End: state.T}[event.key];
    if (!step) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(state.T - 1, state.position + step));
    buttons[to].focus();
  });
  state.onRun.push(build);
  state.onPosition.push(mark);
  build();
  function shade(values) {
    const colors = heatColors();
    buttons.forEach((button, i) => {
      const value = values ? values[i] : null;
      if (value === null || value === undefined || Number.isNaN(value)) {
        button.style.background = button.style.color = '';
        return;
      }
      const rgb = heatColor(value, 1, colors);
      button.style.background = `rgb(${rgb})`;
      button.style.color = readableOn(rgb);
    });
  }
  return {root, shade};
}

// Black or white, whichever contrasts more with a colour.
function readableOn([r, g, b]) {
  const linear = (v) => (v / 255) <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return light > 0.179 ? '#000000' : '#ffffff';
}

// A panel with its heading, a sentence, and its place among the links at the top.
function makePanel(id, title, sentence) {
  const panel = element(
      'section', {class: 'panel', id, 'aria-labelledby': `${id}-heading`},
      element('h2', {id: `${id}-heading`}, title), element('p', {class: 'muted'}, sentence));
  document.getElementById('panels').append(panel);
  document.getElementById('panel-links').append(element('a', {href: `#${id}`}, title));
  return panel;
}

// A labelled <select>: options [[value, text]].
function choice(label, options, onchange) {
  const select = element(
      'select', {onchange: () => onchange(select.value)},
      ...options.map(([value, text]) => element('option', {value}, text)));
  return {root: element('label', {}, label, select), select};
}

// A table that scrolls by itself where it is too wide: rows are <tr>.
function scrollTable(label, head, rows) {
  const columns = head.map((name) => element('th', {scope: 'col'}, name));
  return element(
      'div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label},
      element(
          'table', {}, element('thead', {}, element('tr', {}, ...columns)),
          element('tbody', {}, ...rows)));
}

function facts(pairs) {
  return element(
      'dl', {class: 'facts'},
      ...pairs.map(
          ([name, value]) =>
              element('div', {}, element('dt', {}, name), element('dd', {}, value))));
}

// Horizontal bars: items [{label, value}]; negative ones to the left.
function barChart(parent, {title, caption, items, valueName = 'value', width: most = 720}) {
  const width = fittedWidth(parent, most);
  const left = Math.min(230, 16 + 7.2 * Math.max(...items.map(({label}) => label.length), 4));
  const low = Math.min(0, ...items.map(({value}) => value));
  const high = Math.max(0, ...items.map(({value}) => value)) || (low < 0 ? 0 : 1);
  const x = (value) => left + 4 + (value - low) / (high - low) * (width - left - 70);
  return makeFigure(parent, {
    title,
    caption,
    width,
    height: items.length * 20 + 4,
    draw: (g) => items.forEach(({label, value}, i) => {
      const y = i * 20 + 2;
      g.append(
          svgElement('text', {x: left - 4, y: y + 13, 'text-anchor': 'end'}, label),
          svgElement('rect', {
            class: `bar-row${value < 0 ? ' negative' : ''}`,
            x: Math.min(x(0), x(value)),
            y: y + 2,
            height: 14,
            rx: 2,
            width: Math.max(0.5, Math.abs(x(value) - x(0)))
          }),
          svgElement(
              'text', {class: 'muted', x: Math.max(x(0), x(value)) + 5, y: y + 13},
              shortNumber(value)));
    }),
    table: {head: ['what', valueName], rows: items.map(({label, value}) => [label, value])},
  });
}
