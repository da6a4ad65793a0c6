'use strict';
// What the report of a run and the comparison of several share: rows, axes, charts, tables.

// A text with its own lines and spaces, and nothing in it that shows nothing or turns its direction.
function plainText(text) {
  return [...text].map((c) => c === '\n' || c === ' ' ? c : visible(c)).join('');
}

function durationText(seconds) {
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${Math.round(seconds) % 60} s`;
  return `${Number(seconds.toPrecision(2))} s`;
}

// Columns as rows: [{iter, val_loss, ...}], null where a value is missing.
function rowsOf(table) {
  const columns = Object.entries(table).map(([name, json]) => [name, arrayOf(json).data]);
  return Array.from(columns[0][1], (_, i) => Object.fromEntries(
    columns.map(([name, data]) => [name, Number.isNaN(data[i]) ? null : data[i]])));
}

// What curves can be drawn over: {label, of(row)}, by name.
function axesOf(rows, tokensPerIteration) {
  const axes = {
    iterations: {label: 'iteration', of: (row) => row.iter},
    tokens: {label: 'tokens', of: (row) => row.iter * tokensPerIteration},
  };
  const longest = rows.reduce((most, row) => Math.max(most, row.seconds || 0), 0);
  if (longest > 0) {  // logs of an older folio do not have it
    const [unit, seconds] = longest > 7200 ? ['hours', 3600] : longest > 300 ? ['minutes', 60] :
      ['seconds', 1];
    axes.time = {label: unit, of: (row) => row.seconds === null ? null : row.seconds / seconds};
  }
  return axes;
}

// [[x, y]] of the rows that have both, from the share `from` of the longest x on.
function pointsOf(rows, axis, of, from = 0) {
  const points = rows.map((row) => [axis.of(row), of(row)])
    .filter(([x, y]) => x !== null && y !== null && y !== undefined);
  const least = from * points.reduce((most, [x]) => Math.max(most, x), 0);
  return points.filter(([x]) => x >= least);
}

function rowOfCells(cells) {
  return element('tr', {}, ...cells.map((cell, i) =>
    element(i ? 'td' : 'th', i ? {} : {scope: 'row'}, plainText(String(cell)))));
}

function fillTable(table, head, rows) {
  table.replaceChildren();
  if (head.length)
    table.append(element('thead', {}, element('tr', {},
      ...head.map((name) => element('th', {scope: 'col'}, plainText(name))))));
  table.append(element('tbody', {}, ...rows.map(rowOfCells)));
}

// What is chosen on the page stays chosen when it is loaded again: #axis=tokens&from=0.1
function chosen() {
  return new URLSearchParams(location.hash.slice(1));
}
function choose(name, value) {
  const all = chosen();
  all.set(name, value);
  history.replaceState(null, '', `#${all}`);
}

// Fills the choice `name` with options {value: text}, the first chosen at first.
function fillChoice(name, options, redraw) {
  const select = document.getElementById(name);
  for (const [value, text] of Object.entries(options))
    select.append(element('option', {value}, text));
  const before = chosen().get(name);
  select.value = before in options ? before : select.options[0].value;
  select.addEventListener('change', () => { choose(name, select.value); redraw(); });
}

// Over what the curves are drawn, and from which share of it on.
function fillChoices(axes, redraw) {
  fillChoice('axis', Object.fromEntries(Object.keys(axes).map((name) => [name, name])), redraw);
  fillChoice('from', {'0.0': 'the start', '0.02': '2 % on', '0.1': '10 % on', '0.25': '25 % on',
                      '0.5': 'the middle on'}, redraw);
}

// Draws now, and again when the page gets another width.
function drawAtEachWidth(draw) {
  let width = document.body.clientWidth, waiting = 0;
  draw();
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (document.body.clientWidth === width) return;
      width = document.body.clientWidth;
      draw();
    }, 150);
  });
}
