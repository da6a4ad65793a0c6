'use strict';
// A figure: an SVG with title, legend and caption, saved as SVG or CSV, and the numbers behind it
// as a table for those who do not see it.

const SVG = 'http://www.w3.org/2000/svg';

function svgElement(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The width of a drawing below `parent`: as much as there is, at most `most`, so that its letters
// are as large on a phone as elsewhere.
function fittedWidth(parent, most) {
  return parent.clientWidth > 0 ? Math.max(260, Math.min(most, parent.clientWidth)) : most;
}

// Makes a figure below `parent`.
//   title, caption  texts
//   width, height   of the drawing, in its own units, below title and legend
//   legend          [{label, color}], color a CSS colour, may be var(--series-0)
//   draw(svg)       fills the <g> that it is given
//   table           {head: [text], rows: [[text or number]]} or a function that makes it
//   keys(event)     optional: arrow keys on the drawing; it answers with what to read aloud
// -> {root, plot, svg, drawing, read(text), redraw(), top}
function makeFigure(parent, options) {
  const {title, caption, width, height, legend = [], draw, table, keys} = options;
  const rows = legendRows(legend, width);
  const top = 22 + rows.length * 18;
  const svg = svgElement('svg', {viewBox: `0 0 ${width} ${height + top}`, role: 'img'});
  svg.setAttribute('aria-label', `${title}. ${caption || ''}`);
  svg.append(svgElement('text', {x: 0, y: 14, class: 'title'}, title));
  drawLegend(svg, rows);
  const drawing = svgElement('g', {transform: `translate(0 ${top})`});
  svg.append(drawing);
  const plot = element('div', {class: 'plot'}, svg);
  const reading = element('p', {class: 'reading', 'aria-live': 'polite'});
  const read = (text) => { reading.textContent = text; };
  if (keys) {
    plot.tabIndex = 0;
    plot.setAttribute('role', 'group');
    plot.setAttribute('aria-label', `${title}: arrow keys read its values`);
    plot.addEventListener('keydown', (event) => {
      if (!event.key.startsWith('Arrow')) return;
      event.preventDefault();
      read(keys(event));
    });
  }
  plot.style.maxWidth = `${Math.round(1.1 * width)}px`;
  const root = element('figure', {}, plot, reading);
  const figure = {root, plot, svg, drawing, top, width, height: height + top, read,
                  title, legend, table, cells: null};
  figure.redraw = () => {
    drawing.replaceChildren();
    draw(drawing, figure);
  };
  root.append(figureTools(figure), element('figcaption', {}, caption || ''), tableDetails(figure));
  parent.append(root);
  figure.redraw();
  return figure;
}

// Entries by rows that fit into `width`, each with its x.
function legendRows(legend, width) {
  const rows = [];
  let x = Infinity;
  for (const entry of legend) {
    const wide = 26 + 7 * entry.label.length;
    if (x + wide > width) { rows.push([]); x = 0; }
    rows[rows.length - 1].push({...entry, x});
    x += wide;
  }
  return rows;
}

function drawLegend(svg, rows) {
  rows.forEach((entries, row) => entries.forEach(({label, color, x}) => {
    const y = 26 + row * 18;
    const swatch = svgElement('rect', {x, y, width: 12, height: 10, rx: 2});
    swatch.style.fill = color;
    svg.append(swatch, svgElement('text', {x: x + 17, y: y + 9.5}, label));
  }));
}

function tableOf(figure) {
  return typeof figure.table === 'function' ? figure.table() : figure.table;
}

// The table is made when it is opened: behind a large picture it has thousands of rows.
function tableDetails(figure) {
  const details = element('details', {}, element('summary', {}, `Table: ${figure.title}`));
  details.addEventListener('toggle', () => {
    details.querySelector('.scroll')?.remove();
    if (!details.open) return;
    const {head, rows} = tableOf(figure);
    const shown = rows.slice(0, 2000);
    const cell = (value) => typeof value === 'number' ?
      element('td', {class: 'number'}, shortNumber(value, 4)) : element('td', {}, String(value));
    details.append(element('div', {class: 'scroll', tabindex: '0', role: 'region',
                                   'aria-label': `Table: ${figure.title}`},
      element('table', {},
        element('thead', {}, element('tr', {},
          ...head.map((h) => element('th', {scope: 'col'}, h)))),
        element('tbody', {}, ...shown.map((row) => element('tr', {}, ...row.map(cell))))),
      shown.length < rows.length ?
        element('p', {class: 'muted'}, `${rows.length - shown.length} more rows are in the CSV.`) :
        ''));
  });
  return details;
}

function figureTools(figure) {
  const name = figure.title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
  return element('div', {class: 'tools'},
    element('button', {type: 'button', 'aria-label': `Save as SVG: ${figure.title}`,
      onclick: () => saveFile(`${name}.svg`, 'image/svg+xml', svgText(figure))}, 'Save as SVG'),
    element('button', {type: 'button', 'aria-label': `Save as CSV: ${figure.title}`,
      onclick: () => saveFile(`${name}.csv`, 'text/csv', csvText(tableOf(figure)))},
      'Save as CSV'));
}

function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], {type}));
  const link = element('a', {href: url, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// A cell that a spreadsheet would take for a formula is text with an apostrophe before it.
function csvText({head, rows}) {
  const quoted = (value) => {
    if (typeof value === 'number') return String(value);
    const text = /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value);
    return `"${text.replace(/"/g, '""')}"`;
  };
  return [head, ...rows].map((row) => row.map(quoted).join(',')).join('\r\n') + '\r\n';
}

// The drawing with its looks written into it, so that it is the same outside of the page.
function svgText(figure) {
  const copy = figure.svg.cloneNode(true);
  const from = [figure.svg, ...figure.svg.querySelectorAll('*')];
  [copy, ...copy.querySelectorAll('*')].forEach((node, i) => {
    const style = getComputedStyle(from[i]);
    for (const key of ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'font', 'paint-order'])
      if (style.getPropertyValue(key)) node.style.setProperty(key, style.getPropertyValue(key));
    node.removeAttribute('class');
  });
  copy.setAttribute('width', figure.width);
  copy.setAttribute('height', figure.height);
  const paper = getComputedStyle(document.body).backgroundColor;
  const back = svgElement('rect', {width: figure.width, height: figure.height, fill: paper});
  copy.prepend(back);
  if (figure.cells) back.after(svgCells(figure.cells));
  copy.prepend(svgElement('title', {}, figure.title));
  return '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(copy);
}

// A canvas's cells (heat_map.js) as rectangles; very many as a picture.
function svgCells({x, y, width, height, rows, columns, color, canvas}) {
  if (rows * columns > 20000)
    return svgElement('image', {x, y, width, height, preserveAspectRatio: 'none',
                                style: 'image-rendering: pixelated', href: canvas.toDataURL()});
  const group = svgElement('g', {'shape-rendering': 'crispEdges'});
  const w = width / columns, h = height / rows;
  for (let row = 0; row < rows; ++row)
    for (let column = 0; column < columns; ++column)
      group.append(svgElement('rect', {x: x + column * w, y: y + row * h, width: w, height: h,
                                       fill: color(row, column)}));
  return group;
}
