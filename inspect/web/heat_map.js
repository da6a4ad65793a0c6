'use strict';
// A matrix as colours: a canvas of one pixel an element, stretched, below an SVG with the labels.

// The page's colours for low, high and negative as [r, g, b], in the current colour scheme.
function heatColors() {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => {
    const text = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  };
  return {low: rgb('--heat-low'), high: rgb('--heat-high'), negative: rgb('--heat-negative')};
}

// value -> [r, g, b]: `scale` is the magnitude that has the full colour.
function heatColor(value, scale, {low, high, negative}) {
  const share = Math.min(1, Math.abs(value) / (scale || 1));
  const to = value < 0 ? negative : high;
  return low.map((from, i) => Math.round(from + (to[i] - from) * share));
}

function largestMagnitude(values) {
  let largest = 0;
  for (const value of values)
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  return largest;
}

// Paints values[offset + row * stride + column] onto a canvas, a pixel an element.
function paintMatrix(canvas, {values, rows, columns, offset = 0, stride = columns, scale}) {
  canvas.width = columns;
  canvas.height = rows;
  const colors = heatColors();
  const context = canvas.getContext('2d');
  const image = context.createImageData(columns, rows);
  for (let row = 0; row < rows; ++row)
    for (let column = 0; column < columns; ++column) {
      const value = values[offset + row * stride + column];
      const rgb = Number.isFinite(value) ? heatColor(value, scale, colors) : colors.low;
      image.data.set([...rgb, 255], 4 * (row * columns + column));
    }
  context.putImageData(image, 0, 0);
}

// Below `parent`:
//   title, caption, rowLabel, columnLabel: what rows and columns are
//   values: numbers, row by row, of `rows` x `columns`; rowNames, columnNames: optional texts
//   scale: the magnitude of the full colour, by default the largest; rowHeight: of a row
//   onPick(row, column): called when a cell is pointed at or reached by arrow keys
// -> the figure, with mark(row, column), which shows a cell, and markedRow()
function heatMap(parent, options) {
  const {title, caption, values, rows, columns, rowLabel = 'row', columnLabel = 'column',
         rowNames, columnNames, onPick, rowHeight} = options;
  const width = fittedWidth(parent, options.width || 720);
  const scale = options.scale || largestMagnitude(values);
  const longest = rowNames ? Math.max(...rowNames.map((name) => name.length), 1) : 4;
  const left = Math.min(150, 22 + 7.4 * longest);
  const cell = Math.min(columns <= 8 ? 64 : 22, (width - left - 4) / columns);
  const frame = {left, top: columnNames ? 20 : 4, width: cell * columns,
                 height: rows * (rowHeight ||
                                 Math.max(Math.min(cell, 22), Math.min(8, 240 / rows)))};
  let at = [-1, -1], marker = null;
  const name = (names, i) => names ? names[i] : String(i);
  const canvas = element('canvas', {'aria-hidden': 'true'});

  function draw(g) {
    const h = frame.height / rows, everyRow = Math.ceil(12 / h), everyColumn = Math.ceil(9 / cell);
    for (let row = 0; row < rows; row += everyRow)
      g.append(svgElement('text', {class: 'muted', x: left - 5, y: frame.top + (row + 0.5) * h + 4,
                                   'text-anchor': 'end'}, name(rowNames, row)));
    if (columnNames)
      for (let column = 0; column < columns; column += everyColumn)
        g.append(svgElement('text', {class: 'muted', x: left + (column + 0.5) * cell, y: 14,
                                     'text-anchor': 'middle'}, name(columnNames, column)));
    g.append(svgElement('rect', {class: 'grid', x: left, y: frame.top, width: frame.width,
                                 height: frame.height}));
    g.append(svgElement('text', {class: 'muted', x: left, y: frame.top + frame.height + 15},
      `${rows} × ${columns}, full colour at ${shortNumber(scale)}`));
    marker = svgElement('rect', {class: 'cell-mark', width: cell, height: h, visibility: 'hidden'});
    g.append(marker);
  }

  function mark(row, column) {
    at = [Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column))];
    marker.setAttribute('x', left + at[1] * cell);
    marker.setAttribute('y', frame.top + at[0] * frame.height / rows);
    marker.setAttribute('visibility', 'visible');
    return `${rowLabel} ${name(rowNames, at[0])}, ${columnLabel} ${name(columnNames, at[1])}: ` +
      shortNumber(values[at[0] * columns + at[1]], 4);
  }

  const figure = makeFigure(parent, {
    title, caption, width, height: frame.top + frame.height + 22, draw,
    keys: (event) => {
      const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
                    ArrowRight: [0, 1]}[event.key];
      const text = mark(at[0] + step[0], at[1] + step[1]);
      if (onPick) onPick(at[0], at[1]);
      return text;
    },
    table: () => ({
      head: [rowLabel, ...Array.from({length: columns}, (_, c) => name(columnNames, c))],
      rows: Array.from({length: rows}, (_, r) => [
        name(rowNames, r), ...Array.from(values.slice(r * columns, (r + 1) * columns))]),
    }),
  });
  const place = (length, of) => `${100 * length / of}%`;
  canvas.style.left = place(frame.left, width);
  canvas.style.top = place(figure.top + frame.top, figure.height);
  canvas.style.width = place(frame.width, width);
  canvas.style.height = place(frame.height, figure.height);
  figure.plot.prepend(canvas);
  figure.cells = {x: frame.left, y: figure.top + frame.top, width: frame.width,
                  height: frame.height, rows, columns, canvas,
                  color: (r, c) =>
                    `rgb(${heatColor(values[r * columns + c], scale, heatColors())})`};
  figure.mark = mark;
  figure.markedRow = () => at[0];
  const repaint = () => paintMatrix(canvas, {values, rows, columns, scale});
  repaint();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  figure.plot.addEventListener('pointermove', (event) => {
    const box = figure.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width - frame.left;
    const y = (event.clientY - box.top) / box.height * figure.height - figure.top - frame.top;
    if (x < 0 || y < 0 || x >= frame.width || y >= frame.height) return;
    figure.read(mark(Math.floor(y / frame.height * rows), Math.floor(x / cell)));
    if (onPick) onPick(at[0], at[1]);
  });
  return figure;
}
