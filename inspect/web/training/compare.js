'use strict';
// Several runs over each other: commands/train/compared_run.cc says what is in the page's data.

function showComparison() {
  const byId = (id) => document.getElementById(id);
  const runs = pageData('runs').map((run) => ({
    ...run, name: plainText(run.name),
    evaluations: rowsOf(run.curves.evaluations), steps: rowsOf(run.curves.steps),
  }));
  // Tokens are each run's own; the axis is there where every run tells.
  const axesByRun = runs.map((run) =>
    axesOf([...run.evaluations, ...run.steps], run.tokens_per_iteration));
  const longest = axesOf(runs.flatMap((run) => [...run.evaluations, ...run.steps]), 1);
  const axes = {...longest};
  if (!runs.every((run) => run.tokens_per_iteration > 0)) delete axes.tokens;
  const axisOf = (index) => byId('axis').value === 'tokens' ? axesByRun[index].tokens :
    axes[byId('axis').value];

  function chart(id, title, caption, rows, column, most) {
    const parent = byId(id), from = Number(byId('from').value);
    parent.replaceChildren();
    lineChart(parent, {
      title, caption, xLabel: axes[byId('axis').value].label, yLabel: 'loss',
      width: most, height: most > 600 ? 340 : 250,
      series: runs.map((run, i) => ({
        name: run.name, points: pointsOf(run[rows], axisOf(i), (row) => row[column], from),
        dash: i >= 6 ? '6 3' : undefined,
      })),
      marks: id !== 'val' ? [] : runs.flatMap((run, i) => {
        const best = run.curves.best &&
          run.evaluations.filter((row) => row.iter === run.curves.best.iter);
        return best ? pointsOf(best, axisOf(i), (row) => row.val_loss)
          .map(([x, y]) => ({x, y, label: y.toFixed(4)})) : [];
      }),
    });
  }

  function draw() {
    chart('val', 'Validation loss', 'At every evaluation; the best of each run is marked.',
          'evaluations', 'val_loss', 1100);
    chart('train', 'Training loss', 'At every evaluation.', 'evaluations', 'train_loss', 560);
    chart('steps', 'Loss of the steps', 'Of the batches that were trained on.', 'steps',
          'step_loss', 560);
  }
  const names = runs.map((run) => run.name), differing = pageData('differing-rows');
  fillTable(byId('results'), ['result', ...names], pageData('result-rows'));
  byId('none-differ').hidden = differing.length > 0;
  if (differing.length) fillTable(byId('differing'), ['option', ...names], differing);
  fillChoices(axes, draw);
  drawAtEachWidth(draw);
}

showComparison();
