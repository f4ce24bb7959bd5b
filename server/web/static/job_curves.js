// Training curves of a job: loss and accuracy of each module, beside each other by phase, and what a
// curve is made of. Curves of tasks that are over are read once, those of running tasks go on as steps come.
import {getJson} from './api.js';
import {empty, h} from './dom.js';
import {number} from './format.js';
import {kindOf, moduleOf, SERIES_COLOURS, stateOf, TRAINING} from './model.js';
import {plot} from './plot.js';

const MOST_POINTS = 300;
const POLL = 4000;
// Curves in one picture.
const MOST_CURVES = 16;

const GROUPS = [
  {title: 'Meta model', kinds: ['PRETRAIN_META']},
  {title: 'Teacher stages', kinds: ['INCUBATE_TEACHER']},
  {title: 'Teacher, end to end', kinds: ['FINETUNE_TEACHER']},
  {title: 'Student modules', kinds: ['DISTILL_MODULE']},
  {title: 'Student, end to end', kinds: ['FINETUNE_STUDENT']},
  {title: 'Baselines', kinds: ['TRAIN_BASELINE']},
  {title: 'Few-shot', kinds: ['FEW_SHOT']},
];

export const MEASURES = {
  loss: {title: 'Loss', of: point => number(point.loss)},
  cross_entropy: {title: 'Cross entropy', of: point => number(point.cross_entropy)},
  distillation: {title: 'Distillation term', of: point => number(point.distillation)},
  accuracy: {title: 'Accuracy', of: point => number(point.accuracy)},
  teacher_accuracy: {title: 'Accuracy of the teacher', of: point => number(point.teacher_accuracy)},
  learning_rate: {title: 'Learning rate', of: point => number(point.learning_rate)},
  images_per_second: {title: 'Images a second', of: point => number(point.images_per_second)},
};

// The curves of a job, read as they are needed.
export class Curves {
  constructor(job, onChange) {
    this.job = job;
    this.onChange = onChange;
    this.known = new Map(); // By task: {points, isFinal, attempt}.
    this.abort = new AbortController();
    this.busy = false;
  }

  close() {
    this.abort.abort();
    clearTimeout(this.timer);
  }

  // Reads what is missing of these tasks, now and, for those that run, again and again.
  async follow(tasks) {
    this.tasks = tasks;
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      for (const task of tasks) await this.read(task);
    } catch {
      // The stream of events tells whether the server is there; the next round tries again.
    }
    this.busy = false;
    // Others were asked for meanwhile.
    if (this.tasks !== tasks && !this.abort.signal.aborted) return this.follow(this.tasks);
    if (!this.abort.signal.aborted && this.tasks.some(task => stateOf(task) === 'running')) {
      this.timer = setTimeout(() => this.later(), POLL);
    }
  }

  later() {
    if (document.hidden) {
      this.timer = setTimeout(() => this.later(), POLL);
    } else {
      this.follow(this.tasks);
    }
  }

  async read(task) {
    const state = stateOf(task);
    const isOver = ['succeeded', 'failed', 'cancelled'].includes(state);
    if (!TRAINING.has(kindOf(task)) || !task.start_time || (!isOver && state !== 'running') || task.reused_from) return;
    const attempt = task.attempts?.length || 0;
    let curve = this.known.get(task.id);
    if (curve?.isFinal) return;
    // A new attempt may go back to an earlier checkpoint; a final curve, or one of many points, is read anew.
    const isNew = !curve || curve.attempt !== attempt || isOver || curve.points.length > 2 * MOST_POINTS;
    if (isNew) curve = {points: curve?.points || [], attempt};
    const last = isNew ? undefined : curve.points[curve.points.length - 1]?.step;
    const answer = await getJson(['jobs', this.job, 'tasks', task.id, 'series'], {max_points: MOST_POINTS, after_step: last}, this.abort.signal);
    const points = answer.series?.points || [];
    curve.points = last === undefined ? points : [...curve.points, ...points];
    curve.isFinal = isOver && !answer.running;
    this.known.set(task.id, curve);
    if (points.length) this.onChange();
  }

  pointsOf(task) {
    return this.known.get(task.id)?.points || [];
  }
}

function nameOf(task) {
  return moduleOf(task) === undefined ? task.id : task.id.replace('incubate-teacher-', 'stage ').replace('distill-module-', 'module ');
}

export function seriesOf(curves, tasks, measure) {
  return tasks.slice(0, MOST_CURVES).map((task, i) => ({
    name: nameOf(task),
    colour: (moduleOf(task) ?? i) % SERIES_COLOURS,
    points: curves.pointsOf(task).map(point => [number(point.step), MEASURES[measure].of(point)]),
  }));
}

// Shares of a loss that networks and regularisers add, by name, of one task.
export function termSeries(points) {
  const names = [...new Set(points.flatMap(point => (point.terms || []).map(term => term.name)))];
  return names.map((name, colour) => ({
    name: name.replaceAll('_', ' '),
    colour: colour % SERIES_COLOURS,
    points: points.map(point => {
      const term = point.terms.find(one => one.name === name);
      return [number(point.step), term ? number(term.value) * number(term.weight) : NaN];
    }),
  }));
}

// `choice`: {measure, log}; change() is called after one was made.
export function curvesPart(tasks, curves, choice, change) {
  const groups = GROUPS.map(group => ({...group, tasks: tasks.filter(task => group.kinds.includes(kindOf(task)) && curves.pointsOf(task).length)}))
    .filter(group => group.tasks.length);
  const picture = group => {
    const series = seriesOf(curves, group.tasks, choice.measure).filter(one => one.points.some(point => Number.isFinite(point[1])));
    return series.length > 0 && h('section', {key: group.title},
      plot({title: `${MEASURES[choice.measure].title}: ${group.title}`, x: 'step', y: MEASURES[choice.measure].title.toLowerCase(), log: choice.log}, series),
      group.tasks.length > MOST_CURVES && h('p', null, `The first ${MOST_CURVES} of ${group.tasks.length}; the page of a task has its own.`));
  };
  return [
    h('form', {class: 'filters', onsubmit: event => event.preventDefault()},
      h('label', null, 'Show', h('select', {onchange: event => change({measure: event.target.value})},
        Object.entries(MEASURES).map(([name, {title}]) => h('option', {value: name, key: name}, title)))),
      h('label', {class: 'check'}, h('input', {type: 'checkbox', onchange: event => change({log: event.target.checked})}), 'logarithmic')),
    groups.length ? h('div', {class: 'plots'}, groups.map(picture)) : empty('No task has trained yet.'),
  ];
}
