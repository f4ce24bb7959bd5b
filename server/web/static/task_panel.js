// One task: where it stands, why it waits, its curve, its attempts, what it made, and its log as it is
// written.
import {getJson, getText, Stream} from './api.js';
import {badge, empty, h, link, table, throttled} from './dom.js';
import {between, bytes, clock, count, digits, duration, number, percent, shortDigest, word} from './format.js';
import {MEASURES, seriesOf, termSeries} from './job_curves.js';
import {kindOf, stateOf, TRAINING, workerOf} from './model.js';
import {plot} from './plot.js';
import {explained} from './queue_view.js';

// Of a log; older text is dropped from the page.
const MOST_LOG = 200000;

const ATTEMPT_COLUMNS = [
  {title: 'Attempt', cell: attempt => attempt.number},
  {title: 'State', cell: attempt => badge(word(attempt.state, ''))},
  {title: 'Worker', cell: attempt => attempt.worker},
  {title: 'Started', phone: false, cell: attempt => clock(attempt.start_time)},
  {title: 'Took', number: true, cell: attempt => duration(between(attempt.start_time, attempt.finish_time))},
  {title: 'Memory', number: true, phone: false, cell: attempt => (attempt.stats ? bytes(attempt.stats.peak_memory_bytes) : '–')},
  {title: 'What happened', cell: attempt => attempt.message || (attempt.bundle ? 'ran in a bundle' : '–')},
];

const REF_COLUMNS = [
  {title: 'Name', cell: ref => ref.name},
  {title: 'Digest', cell: ref => link(`#/artifacts/${ref.digest}`, h('code', null, shortDigest(ref.digest)))},
  {title: 'Size', number: true, cell: ref => bytes(ref.size_bytes)},
];

function facts(task) {
  const progress = stateOf(task) === 'running' ? task.progress || {} : {};
  const shown = [
    ['Worker', workerOf(task)],
    ['Does', progress.phase],
    ['Step', number(progress.total_steps) > 0 && `${count(progress.step)} of ${count(progress.total_steps)}`],
    ['Loss', number(progress.step) > 0 && digits(progress.loss)],
    ['Images a second', number(progress.images_per_second) > 0 && digits(progress.images_per_second)],
    ['Waits for data', number(progress.data_wait_ratio) > 0 && percent(progress.data_wait_ratio)],
    ['Time left', number(progress.eta_seconds) >= 0 && number(progress.total_steps) > 0 && duration(number(progress.eta_seconds))],
    ['Started', task.start_time && clock(task.start_time)],
    ['Took', task.finish_time && duration(between(task.start_time, task.finish_time))],
    ['Newest checkpoint', number(task.checkpoint_step) > 0 && `step ${count(task.checkpoint_step)}`],
    ['Reused from', task.reused_from && task.reused_from.replace(/^projects\/[^/]+\/jobs\//, '').replace('/tasks/', '/')],
    ['Waits because', task.waiting_reason],
    ['Error', task.failure_message],
  ].filter(([, value]) => value);
  return h('dl', {class: 'facts'}, shown.map(([name, value]) => h('div', {key: name}, h('dt', null, name), h('dd', null, value))));
}

// A log that is shown while it is written.
class Log {
  constructor(job, task, onChange) {
    this.job = job;
    this.task = task;
    this.onChange = throttled(onChange, 300);
    this.text = '';
    this.decoder = new TextDecoder();
    this.offset = 0;
  }

  // Reads a finished attempt's log, or follows a running one's.
  async open(task) {
    this.close();
    this.text = '';
    if (stateOf(task) !== 'running') {
      try {
        this.text = (await getText(['jobs', this.job, 'tasks', this.task, 'log'])).slice(-MOST_LOG);
      } catch (error) {
        this.text = error.message;
      }
      return this.onChange();
    }
    this.stream = new Stream(['jobs', this.job, 'tasks', this.task, 'log', 'events'], {}, '', {log: piece => this.add(piece)});
  }

  add(piece) {
    const bytesOf = Uint8Array.from(atob(piece.data), c => c.charCodeAt(0));
    // A connection that was made anew starts from the beginning.
    const start = number(piece.offset);
    if (start + bytesOf.length <= this.offset) return;
    this.text = (this.text + this.decoder.decode(bytesOf.subarray(Math.max(0, this.offset - start)), {stream: true})).slice(-MOST_LOG);
    this.offset = start + bytesOf.length;
    this.onChange();
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }
}

// What is known of one task. `onChange` is called when tree() gives something else than before;
// update(news) is called with what the stream of events tells, close() when another task is shown.
export class TaskPanel {
  constructor(job, task, curves, onChange) {
    this.job = job;
    this.task = task;
    this.curves = curves;
    this.onChange = onChange;
    this.explanation = null;
    this.log = new Log(job, task.id, onChange);
    this.isLogOpen = false;
    this.refresh = throttled(() => this.load(), 1500);
    this.load();
  }

  close() {
    this.closed = true;
    this.refresh.cancel();
    this.log.close();
  }

  update(task) {
    const changed = task.state !== this.task.state;
    this.task = {...this.task, ...task};
    if (changed) {
      this.refresh();
      if (this.isLogOpen) this.log.open(this.task);
    }
    this.onChange();
  }

  // What the stream of events does not tell: attempts, outputs, why it waits.
  async load() {
    try {
      const task = await getJson(['jobs', this.job, 'tasks', this.task.id]);
      this.task = task;
      this.explanation = stateOf(task) === 'queued' || stateOf(task) === 'blocked'
        ? await getJson(['jobs', this.job, 'tasks', task.id, 'explain']) : null;
    } catch (error) {
      if (!this.task.attempts) this.failure = error.message;
    }
    if (!this.closed) this.onChange();
  }

  curve() {
    if (!TRAINING.has(kindOf(this.task))) return null;
    const points = this.curves.pointsOf(this.task);
    if (points.length === 0) return null;
    const of = measures => measures.map((measure, colour) => ({...seriesOf(this.curves, [this.task], measure)[0],
      name: MEASURES[measure].title, colour})).filter(one => one.points.some(point => Number.isFinite(point[1])));
    const terms = termSeries(points);
    const options = {x: 'step', y: 'loss'};
    const accuracies = of(['accuracy', 'teacher_accuracy']);
    return h('div', {class: 'plots'}, plot({...options, title: 'Loss'}, of(['loss', 'cross_entropy', 'distillation'])),
      accuracies.length > 0 && plot({x: 'step', y: 'accuracy', title: 'Accuracy on training images'}, accuracies),
      terms.length > 0 && plot({...options, title: 'Weighted terms of the network'}, terms));
  }

  logPart() {
    if (!this.task.start_time) return null;
    const toggle = event => {
      if (event.target.open === this.isLogOpen) return;
      this.isLogOpen = event.target.open;
      if (this.isLogOpen) this.log.open(this.task); else this.log.close();
    };
    return h('details', {ontoggle: toggle}, h('summary', null, 'Log of the newest attempt'),
      h('pre', {class: 'log', tabindex: '0', 'aria-label': 'log'}, this.log.text || '…'));
  }

  tree() {
    const {task} = this;
    return h('section', {class: 'panel', 'aria-label': `Task ${task.id}`, key: task.id},
      h('p', {class: 'close'}, link(`#/jobs/${this.job}`, 'close')),
      h('h2', {tabindex: '-1'}, task.id, ' ', badge(stateOf(task))),
      this.failure && h('p', {class: 'error'}, this.failure),
      facts(task),
      this.explanation && explained(this.explanation),
      this.curve(),
      task.attempts?.length > 0 && table('Attempts', ATTEMPT_COLUMNS, task.attempts, attempt => attempt.number),
      task.results?.length > 0 && table('What it made', REF_COLUMNS, [...task.results, ...(task.observations || [])], ref => ref.name + ref.digest),
      task.depends_on?.length > 0 && h('p', null, 'Needs ', task.depends_on.map((name, i) => [i > 0 && ', ', link(`#/jobs/${this.job}/tasks/${name}`, name)])),
      !task.attempts && empty('Loading…'),
      this.logPart());
  }
}
