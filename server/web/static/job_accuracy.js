// What the models of a job can do: each module's hybrid beside that of its teacher stage, and the
// whole models.
import {badge, bar, empty, h, table} from './dom.js';
import {count, number, percent, word} from './format.js';
import {accuracyOf, evaluations} from './model.js';
import {plot} from './plot.js';

function cell(model) {
  if (!model) return '–';
  if (model.state !== 'SUCCEEDED') return badge(word(model.state, ''));
  return percent(accuracyOf(model), 2);
}

function gap(hybrid) {
  const difference = accuracyOf(hybrid.student) - accuracyOf(hybrid.teacher);
  if (!Number.isFinite(difference)) return '–';
  return h('span', {class: difference < 0 ? 'worse' : difference > 0 ? 'better' : null}, `${difference > 0 ? '+' : ''}${(100 * difference).toFixed(2)} pp`);
}

const verdictOf = (report, module) => (report.verdicts || []).find(verdict => verdict.module_index === module);

function verdict(report, module) {
  const found = verdictOf(report, module);
  if (!found) return '–';
  return `${found.accepted ? 'accepted' : 'beyond the gap'}, candidate ${found.chosen + 1} of ${found.candidates.length}`;
}

function curve(hybrids, who, colour) {
  return {name: `${who} hybrid`, colour, dots: true, points: hybrids.map(hybrid => [hybrid.module, accuracyOf(hybrid[who])])};
}

function hybridsPart(report, hybrids) {
  const columns = [
    {title: 'Module', cell: hybrid => hybrid.module},
    {title: 'Teacher hybrid', number: true, cell: hybrid => cell(hybrid.teacher)},
    {title: 'Student hybrid', number: true, cell: hybrid => cell(hybrid.student)},
    {title: 'Student against teacher', number: true, cell: gap},
  ];
  if (report.verdicts?.length) columns.push({title: 'Quality gate', cell: hybrid => verdict(report, hybrid.module)});
  return h('section', null,
    h('h2', null, 'Modules'),
    h('p', null, 'A hybrid is the meta model with one module put in. A student module is as good as its teacher stage when their hybrids are.'),
    hybrids.some(hybrid => Number.isFinite(accuracyOf(hybrid.teacher)) || Number.isFinite(accuracyOf(hybrid.student))) &&
      plot({title: 'Accuracy of hybrids', x: 'module', y: 'accuracy', yFormat: value => percent(value, 1), xFormat: value => String(value),
        xTicks: hybrids.length < 20 ? hybrids.map(hybrid => hybrid.module) : undefined}, [curve(hybrids, 'teacher', 0), curve(hybrids, 'student', 1)]),
    table('Accuracy of hybrids by module', columns, hybrids, hybrid => hybrid.module));
}

function wholePart(whole) {
  const measured = model => model.state === 'SUCCEEDED' && model.result;
  const sets = [...new Set(whole.filter(measured).flatMap(model => (model.result.out_of_distribution || []).map(set => set.name)))];
  const columns = [
    {title: 'Model', cell: model => model.label},
    {title: 'Accuracy', number: true, cell: model => [cell(model), measured(model) && bar(percent(accuracyOf(model), 2), [{share: accuracyOf(model), word: 'running'}])]},
    {title: 'Under corruptions', number: true, cell: model => (measured(model) && model.result.corruptions?.length
      ? percent(model.result.corruption_accuracy_mean, 2) : '–')},
    ...sets.map(name => ({title: name, number: true, cell: model => (measured(model)
      ? percent((model.result.out_of_distribution || []).find(set => set.name === name)?.accuracy, 2) : '–')})),
    {title: 'Loss', number: true, phone: false, cell: model => (measured(model) ? number(model.result.loss).toFixed(3) : '–')},
    {title: 'Parameters', number: true, phone: false, cell: model => (measured(model) ? count(model.result.parameters) : '–')},
  ];
  return h('section', null, h('h2', null, 'Whole models'), table('Accuracy of whole models', columns, whole, model => model.label));
}

function episodesPart(episodes) {
  const columns = [
    {title: 'Episode', cell: one => one.name},
    {title: 'Classes', number: true, cell: one => one.ways},
    {title: 'Images a class', number: true, cell: one => one.shots},
    {title: 'Accuracy', number: true, cell: one => (one.accuracy === undefined ? badge(word(one.state, '')) : percent(one.accuracy, 2))},
    {title: 'Chance', number: true, cell: one => percent(1 / one.ways, 2)},
  ];
  return h('section', null, h('h2', null, 'Few-shot'), table('Few-shot episodes', columns, episodes, one => one.name));
}

export function accuracyPart(report) {
  if (!report) return empty('Loading…');
  const {hybrids, whole} = evaluations(report);
  return [
    hybrids.length > 0 && hybridsPart(report, hybrids),
    whole.length > 0 && wholePart(whole),
    report.few_shot?.length > 0 && episodesPart(report.few_shot),
    hybrids.length + whole.length === 0 && empty('This job evaluates nothing.'),
  ];
}
