'use strict';
// The report of a run: commands/train/report_page.cc says what is in its data.

function showReport() {
  const facts = pageData('facts'), curves = pageData('curves'), samples = pageData('samples');
  const {state, written} = pageData('now');
  const byId = (id) => document.getElementById(id);
  const evaluations = rowsOf(curves.evaluations), steps = rowsOf(curves.steps);
  const axes = axesOf([...evaluations, ...steps], facts.tokens_per_iteration);
  const tokensPerSecond = (row) => row.ms ? 1e3 * facts.tokens_per_iteration / row.ms : null;
  const best = curves.best, last = evaluations[evaluations.length - 1];

  byId('title').textContent = plainText(facts.out_dir);
  byId('state').append(element('span', {class: `badge ${state.split(' ')[0]}`}, state),
    ` as of ${written}, on dataset ${plainText(facts.dataset)}`);

  function cards() {
    const recent = steps.slice(-20).map(tokensPerSecond).filter((speed) => speed !== null)
      .sort((a, b) => a - b);
    const speed = recent[Math.floor(recent.length / 2)];
    const epochs = curves.last_iter * facts.tokens_per_iteration / facts.train_tokens;
    const list = [
      ['iteration', curves.last_iter.toLocaleString('en'),
        `of ${facts.max_iters.toLocaleString('en')}`],
      ['best val loss', best ? best.val_loss.toFixed(4) : 'none yet',
        best ? `at ${best.iter.toLocaleString('en')}` : ''],
      ['last evaluation', last && last.val_loss !== null ? last.val_loss.toFixed(4) : 'none yet',
        last && last.train_loss !== null ? `train ${last.train_loss.toFixed(4)}` : ''],
      ['epochs', epochs.toFixed(2), `of ${shortNumber(facts.train_tokens)} tokens`],
      ['time', durationText(curves.seconds), ''],
      ['parameters', shortNumber(facts.parameters), ''],
    ];
    if (speed) list.push(['tokens/s', shortNumber(speed), facts.peak_flops ?
      `${(100 * speed * facts.flops_per_token / facts.peak_flops).toFixed(0)} % of peak` : '']);
    byId('cards').append(...list.map(([name, value, more]) => element('div', {},
      element('dt', {}, name), element('dd', {}, `${value} `, element('small', {}, more)))));
  }

  function loss(axis, from) {
    const parent = byId('loss');
    parent.replaceChildren();
    const bestRow = best && evaluations.find((row) => row.iter === best.iter);
    const of = (column) => (row) => row[column];
    const mark = bestRow && pointsOf([bestRow], axis, of('val_loss'))[0];
    const least = from * evaluations.reduce((most, row) => Math.max(most, axis.of(row) || 0), 0);
    lineChart(parent, {
      title: 'Loss of both splits',
      caption: 'Mean cross-entropy in nats a token: of random batches of each split at every ' +
        'evaluation, and of the batches of the steps that were logged.',
      xLabel: axis.label, yLabel: 'loss', width: 1100,
      height: parent.clientWidth < 600 ? 300 : 360,
      series: [
        {name: 'steps', points: pointsOf(steps, axis, of('step_loss'), from), 
          color: 'color-mix(in srgb, var(--muted) 50%, transparent)'},
        {name: 'train', points: pointsOf(evaluations, axis, of('train_loss'), from),
          color: 'var(--series-0)'},
        {name: 'val', points: pointsOf(evaluations, axis, of('val_loss'), from),
          color: 'var(--series-1)'},
      ].filter((series) => series.points.length),
      marks: mark && mark[0] >= least ?
        [{x: mark[0], y: mark[1], label: `best ${best.val_loss.toFixed(4)}`}] : [],
    });
  }

  function small(id, options, axis) {
    const parent = byId(id);
    parent.replaceChildren();
    if (!options.series.some((series) => series.points.length)) return;
    lineChart(parent, {xLabel: axis.label, width: 560, height: 240, ...options});
  }

  function stepByStep(axis, from) {
    const curve = (name, of) => ({name, points: pointsOf(steps, axis, of, from)});
    const option = (name) => [...facts.options.given, ...facts.options.others]
      .find(([key]) => key === name)?.[1];
    const clip = Number(option('grad_clip'));
    small('lr', {title: 'Learning rate', series: [curve('learning rate', (row) => row.lr)]}, axis);
    small('norm', {
      title: 'Gradient norm', caption: 'L2 over all parameters, before it is clipped.',
      series: [curve('gradient norm', (row) => row.grad_norm)],
      lines: clip > 0 ? [{y: clip, label: `clipped to ${clip}`}] : [],
    }, axis);
    const positive = (column) => (row) => row[column] > 0 ? row[column] : null;
    small('ratio', {
      title: 'Update-to-weight ratio', logY: true,
      caption: 'Of the change of each matrix in one step, of the matrix: far below 10⁻³ it learns ' +
        'slowly, far above it may diverge.',
      series: [curve('median', positive('update_ratio')),
        curve('least', positive('update_ratio_least')), curve('most', positive('update_ratio_most'))],
      lines: [{y: 1e-3, label: '10⁻³'}],
    }, axis);
    const share = (row) => row.ms ?
      100 * tokensPerSecond(row) * facts.flops_per_token / facts.peak_flops : null;
    const shares = steps.map(share).filter((x) => x !== null).sort((a, b) => a - b);
    small('speed', {
      title: 'Tokens a second',
      caption: facts.peak_flops && shares.length ?
        `Half of the steps reach ${shares[Math.floor(shares.length / 2)].toFixed(0)} % of the ` +
        'machine’s measured multiply-add peak, or more.' : '',
      series: [curve('tokens/s', tokensPerSecond)],
    }, axis);
  }

  function showSamples() {
    byId('samples-panel').hidden = samples.length === 0;
    if (!samples.length) return;
    const slider = byId('sample-at');
    slider.max = samples.length - 1;
    slider.value = slider.max;
    const show = () => {
      const {iter, text} = samples[Number(slider.value)];
      const row = evaluations.find((one) => one.iter === iter);
      const name = `iteration ${iter}` + (row ? `, val loss ${row.val_loss.toFixed(4)}` : '');
      byId('sample-name').textContent = name;
      slider.setAttribute('aria-valuetext', name);
      byId('sample').textContent = plainText(text.replace(/^\n+/, ''));
    };
    slider.addEventListener('input', show);
    show();
  }

  function tables() {
    const head = ['option', 'value', 'default', 'given in'];
    fillTable(byId('given'), head, facts.options.given);
    fillTable(byId('others'), head.slice(0, 2), facts.options.others.map((row) => row.slice(0, 2)));
    const {name, device, threads, dtype} = facts.machine;
    fillTable(byId('machine'), [], [['device', `${device}: ${name}`], ['threads', threads],
      ['dtype', dtype], [facts.peak_unit ? `peak of ${facts.peak_unit}` : 'peak', facts.peak_flops ?
        `${shortNumber(facts.peak_flops)}FLOP/s, measured` : 'not measured'],
      ['tokens per iteration', facts.tokens_per_iteration]]);
  }

  // Not while somebody reads a table or a value.
  function reload() {
    const box = byId('reload');
    byId('reload-label').hidden = state !== 'running';
    if (state !== 'running') return;
    box.checked = chosen().get('reload') !== 'off';
    box.addEventListener('change', () => choose('reload', box.checked ? 'on' : 'off'));
    setInterval(() => {
      const busy = document.querySelector('details[open]') ||
        (document.activeElement && document.activeElement !== document.body);
      if (box.checked && !document.hidden && !busy) location.reload();
    }, 15000);
  }

  function draw() {
    const axis = axes[byId('axis').value], from = Number(byId('from').value);
    loss(axis, from);
    stepByStep(axis, from);
  }
  fillChoices(axes, draw);
  cards();
  showSamples();
  tables();
  drawAtEachWidth(draw);
  reload();
}

showReport();
