'use strict';
// Curves over a common axis.

// Round steps: about `count` of them from low to high.
function niceTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

// Powers of ten from 10^low to 10^high and, if those are few, 2 and 5 times them.
function powerTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(low); power <= high; ++power)
    for (const n of high - low < 3 ? [1, 2, 5] : [1])
      if (Math.log10(n) + power >= low && Math.log10(n) + power <= high)
        ticks.push(n * 10 ** power);
  return ticks;
}

// Below `parent`:
//   title, caption, xLabel, yLabel
//   series   [{name, points: [[x, y], ...] by rising x, color, dash}]; a y of null leaves a gap
//   marks    [{x, y, label}]: points of interest; lines: [{y, label}]: levels across the chart
//   logY     the y axis in powers of ten; width, height: of the chart at most
// Left and right arrows read the values at each x. -> the figure
function lineChart(parent, options) {
  const {title, caption, xLabel = '', yLabel = '', series, marks = [], lines = [], logY = false,
         height = 300} = options;
  const width = fittedWidth(parent, options.width || 720);
  const frame = {left: 66, right: width - 18, top: 8, bottom: height - 38};
  const scaled = (y) => logY ? Math.log10(y) : y;
  const usable = (y) => y !== null && Number.isFinite(y) && (!logY || y > 0);
  const points = series.flatMap((s) => s.points).filter(([, y]) => usable(y));
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const ys = [...points.map(([, y]) => scaled(y)), ...lines.map(({y}) => scaled(y))];
  const range = (values) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low > high) return [0, 1];
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  };
  const [xLow, xHigh] = range(xs);
  let [yLow, yHigh] = range(ys);
  const margin = 0.04 * (yHigh - yLow);
  yLow -= margin;
  yHigh += margin;
  const px = (x) => frame.left + (x - xLow) / (xHigh - xLow) * (frame.right - frame.left);
  const py = (y) => frame.bottom - (scaled(y) - yLow) / (yHigh - yLow) * (frame.bottom - frame.top);
  const colors = series.map((s, i) => s.color || `var(--series-${i % 6})`);
  let at = -1;

  function drawAxes(g) {
    for (const value of logY ? powerTicks(yLow, yHigh) : niceTicks(yLow, yHigh, 5)) {
      g.append(svgElement('line', {class: 'grid', x1: frame.left, x2: frame.right, y1: py(value),
                                   y2: py(value)}),
               svgElement('text', {class: 'muted', x: frame.left - 6, y: py(value) + 4,
                                   'text-anchor': 'end'}, shortNumber(value)));
    }
    for (const tick of niceTicks(xLow, xHigh, Math.max(3, width / 110)))
      g.append(svgElement('text', {class: 'muted', x: px(tick), y: frame.bottom + 16,
                                   'text-anchor': 'middle'}, shortNumber(tick)));
    g.append(svgElement('path', {class: 'axis',
      d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}`}));
    g.append(svgElement('text', {class: 'muted', x: (frame.left + frame.right) / 2, y: height - 4,
                                 'text-anchor': 'middle'}, xLabel));
    g.append(svgElement('text', {class: 'muted', 'text-anchor': 'middle',
      transform: `translate(12 ${(frame.top + frame.bottom) / 2}) rotate(-90)`}, yLabel));
  }

  function drawCurve(g, {points: curve, dash}, color) {
    let d = '', pen = 'M';
    for (const [x, y] of curve) {
      if (!usable(y)) { pen = 'M'; continue; }
      d += `${pen}${px(x).toFixed(1)} ${py(y).toFixed(1)}`;
      pen = 'L';
    }
    const path = svgElement('path', {class: 'curve', d});
    path.style.stroke = color;
    if (dash) path.style.strokeDasharray = dash;
    g.append(path);
    if (curve.length === 1 && usable(curve[0][1])) {
      const dot = svgElement('circle', {cx: px(curve[0][0]), cy: py(curve[0][1]), r: 3});
      dot.style.fill = color;
      g.append(dot);
    }
  }

  function draw(g) {
    drawAxes(g);
    for (const {y, label} of lines) {
      g.append(svgElement('line', {class: 'cursor', x1: frame.left, x2: frame.right, y1: py(y),
                                   y2: py(y)}),
               svgElement('text', {class: 'muted', x: frame.right, y: py(y) - 4,
                                   'text-anchor': 'end'}, label));
    }
    series.forEach((s, i) => drawCurve(g, s, colors[i]));
    for (const {x, y, label} of marks) {
      const right = px(x) > (frame.left + frame.right) / 2;
      g.append(svgElement('circle', {class: 'cell-mark', cx: px(x), cy: py(y), r: 5}),
               svgElement('text', {x: px(x) + (right ? -9 : 9), y: py(y) - 7,
                                   'text-anchor': right ? 'end' : 'start'}, label));
    }
    if (at >= 0)
      g.append(svgElement('line', {class: 'cursor', x1: px(xs[at]), x2: px(xs[at]), y1: frame.top,
                                   y2: frame.bottom}));
  }

  // Each series' last value at or before xs[at].
  function readAt(index) {
    at = Math.max(0, Math.min(xs.length - 1, index));
    figure.redraw();
    const values = series.map((s) => {
      const before = s.points.filter(([x, y]) => x <= xs[at] && usable(y));
      return before.length ? `${s.name} ${shortNumber(before[before.length - 1][1], 4)}` : '';
    });
    return `${xLabel} ${shortNumber(xs[at], 6)}: ${values.filter(Boolean).join(', ')}`;
  }

  const figure = makeFigure(parent, {
    title, caption, width, height, draw,
    legend: series.map((s, i) => ({label: s.name, color: colors[i]})),
    keys: (event) => readAt(at + (event.key === 'ArrowLeft' || event.key === 'ArrowDown' ? -1 : 1)),
    table: () => ({
      head: [xLabel || 'x', ...series.map((s) => s.name)],
      rows: xs.map((x) => [x, ...series.map((s) => {
        const found = s.points.find(([px2]) => px2 === x);
        return found && found[1] !== null ? found[1] : '';
      })]),
    }),
  });
  figure.plot.addEventListener('pointermove', (event) => {
    if (!xs.length) return;
    const box = figure.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width;
    let nearest = 0;
    xs.forEach((value, i) => {
      if (Math.abs(px(value) - x) < Math.abs(px(xs[nearest]) - x)) nearest = i;
    });
    figure.read(readAt(nearest));
  });
  figure.plot.addEventListener('pointerleave', () => { at = -1; figure.redraw(); });
  return figure;
}
