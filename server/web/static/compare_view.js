// Several jobs side by side: what their models can do, what they cost, and how their specs differ.
import {getJson} from './api.js';
import {badge, empty, h, link, table} from './dom.js';
import {between, bytes, count, duration, number, percent} from './format.js';
import {accuracyOf, evaluations, isOver, jobState, titleOf} from './model.js';
import {plot} from './plot.js';

const REFRESH = 15000;
// More differences than that are folded.
const MOST_OPEN = 25;

// {"a.b.0.c": value} of everything in a message.
function flatten(value, path, found) {
  if (value !== null && typeof value === 'object') {
    for (const [name, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${name}` : name, found);
  } else if (path) {
    found[path] = String(value);
  }
  return found;
}

function differences(reports) {
  const specs = reports.map(report => flatten(report.job.spec, '', {}));
  const paths = [...new Set(specs.flatMap(Object.keys))].filter(path => path !== 'display_name');
  return paths.filter(path => specs.some(spec => spec[path] !== specs[0][path])).map(path => ({path, values: specs.map(spec => spec[path] ?? '–')}));
}

const sumOf = (report, field) => report.phases.filter(phase => !/teacher preparation|the rest/.test(phase.label))
  .reduce((sum, phase) => sum + number(phase[field]), 0);

function costs(reports) {
  return [
    {what: 'State', of: report => badge(jobState(report.job))},
    {what: 'Took', of: report => (isOver(report.job) ? duration(between(report.job.create_time, report.job.finish_time)) : 'runs')},
    {what: 'CPU time', of: report => duration(sumOf(report, 'cpu_seconds'))},
    {what: 'Saved by reuse', of: report => duration(sumOf(report, 'saved_cpu_seconds'))},
    {what: 'Images seen', of: report => count(sumOf(report, 'images_seen'))},
    {what: 'Peak memory', of: report => bytes(Math.max(0, ...report.phases.map(phase => number(phase.peak_memory_bytes))))},
    {what: 'Attempts (lost)', of: report => `${sumOf(report, 'attempts')} (${sumOf(report, 'attempts_lost')})`},
  ].map(row => ({...row, cells: reports.map(row.of)}));
}

function models(reports) {
  const labels = [...new Set(reports.flatMap(report => report.models.map(model => model.label)))];
  return labels.map(what => {
    const found = reports.map(report => report.models.find(model => model.label === what));
    const best = Math.max(...found.map(model => accuracyOf(model) || 0));
    return {what, cells: found.map((model, i) => {
      const accuracy = accuracyOf(model);
      if (!Number.isFinite(accuracy)) return '–';
      const more = 100 * (accuracy - accuracyOf(found[0]));
      return [accuracy === best ? h('strong', null, percent(accuracy, 2)) : percent(accuracy, 2),
        i > 0 && Number.isFinite(more) && h('small', {class: more < 0 ? 'worse' : more > 0 ? 'better' : null}, ` ${more > 0 ? '+' : ''}${more.toFixed(2)}`)];
    })};
  });
}

export function openCompare({render, fail}, ids) {
  const abort = new AbortController();
  let timer = 0;

  function draw(reports) {
    // Elements are in one place only, so each table has its own.
    const columns = what => [{title: what, cell: row => row.what},
      ...reports.map((report, i) => ({title: link(`#/jobs/${report.job.id}`, titleOf(report.job)), number: true, cell: row => row.cells[i]}))];
    const gaps = reports.map((report, colour) => ({name: `${titleOf(report.job)} (${report.job.id})`, colour, dots: true,
      points: evaluations(report).hybrids.map(hybrid => [hybrid.module, accuracyOf(hybrid.student) - accuracyOf(hybrid.teacher)])}));
    const changed = differences(reports);
    render(
      h('h1', null, `Comparison of ${reports.length} jobs`),
      h('p', null, 'Differences in accuracy are to the first job, in percentage points; the best of a row is bold.'),
      table('Accuracy by model', columns('Model'), models(reports), row => row.what),
      gaps.some(one => one.points.length) && plot({title: 'Student hybrids against teacher hybrids', x: 'module', y: 'difference in accuracy',
        yFormat: value => percent(value, 1), xFormat: value => String(value)}, gaps),
      h('h2', null, 'Cost'),
      table('Cost', columns('Cost'), costs(reports), row => row.what),
      h('h2', null, 'How they were asked for'),
      changed.length === 0 ? empty('Their specs are the same.') : h('details', {open: changed.length <= MOST_OPEN},
        h('summary', null, `${changed.length} fields of their specs differ`),
        table('Differences of the specs', [{title: 'Field', cell: row => h('code', null, row.path)},
          ...reports.map((report, i) => ({title: titleOf(report.job), cell: row => h('span', {class: 'value'}, row.values[i])}))], changed,
        row => row.path)));
  }

  async function load() {
    try {
      const reports = await Promise.all(ids.map(id => getJson(['jobs', id, 'report'], {}, abort.signal)));
      draw(reports);
      if (reports.some(report => !isOver(report.job))) timer = setTimeout(load, REFRESH);
    } catch (error) {
      if (!abort.signal.aborted) fail(error, () => abort.signal.aborted || load());
    }
  }

  render(h('h1', null, 'Comparison'), empty('Loading…'));
  load();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}
