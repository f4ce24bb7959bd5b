// What a job is made of, as the page sees it: phases, names of tasks, and how far a job is.
import {between, number, word} from './format.js';

// Columns of the graph, in the order in which work flows.
const PHASES = [
  {title: 'Start', kinds: ['PRETRAIN_META', 'FIT_PRIOR']},
  {title: 'Teacher stages', kinds: ['INCUBATE_TEACHER']},
  {title: 'Teacher', kinds: ['ASSEMBLE_TEACHER', 'FINETUNE_TEACHER', 'SPLIT_TEACHER']},
  {title: 'Student modules', kinds: ['DISTILL_MODULE', 'SELECT_MODULE']},
  {title: 'Student', kinds: ['ASSEMBLE_STUDENT', 'FINETUNE_STUDENT', 'FEW_SHOT']},
  {title: 'Baselines', kinds: ['TRAIN_BASELINE']},
  {title: 'Evaluations', kinds: ['EVALUATE']},
];

export const TASK_FIELDS = ['id', 'state', 'spec.kind', 'spec.module_index', 'spec.subject', 'depends_on', 'attempts', 'results',
  'observations', 'reused_from', 'progress', 'failure_message', 'waiting_reason', 'start_time', 'finish_time', 'revision',
  'checkpoint_step'].join(',');

export const TRAINING = new Set(['PRETRAIN_META', 'INCUBATE_TEACHER', 'FINETUNE_TEACHER', 'DISTILL_MODULE', 'FINETUNE_STUDENT',
  'TRAIN_BASELINE', 'FEW_SHOT']);

export const kindOf = task => (task.spec?.kind || '').replace('TASK_KIND_', '');
export const stateOf = task => word(task.state, 'TASK_STATE_');
export const jobState = job => word(job.state, 'JOB_STATE_');
export const isOver = job => ['succeeded', 'failed', 'cancelled'].includes(jobState(job));
export const titleOf = job => job.spec?.display_name || job.id;

// Which module a task is about; undefined for those that are about a whole model.
export function moduleOf(task) {
  const kind = kindOf(task);
  const isHybrid = (task.spec?.subject || '').endsWith('_HYBRID');
  if (!['INCUBATE_TEACHER', 'DISTILL_MODULE', 'SELECT_MODULE'].includes(kind) && !isHybrid) return undefined;
  return task.spec.module_index || 0;
}

// [{title, tasks}], without empty ones; modules in order.
export function phasesOf(tasks) {
  const phases = PHASES.map(phase => ({title: phase.title, tasks: []}));
  for (const task of tasks) {
    const at = PHASES.findIndex(phase => phase.kinds.includes(kindOf(task)));
    phases[at < 0 ? phases.length - 1 : at].tasks.push(task);
  }
  for (const phase of phases) {
    if (phase.tasks.some(task => moduleOf(task) !== undefined) && phase.title !== 'Evaluations') {
      phase.tasks.sort((a, b) => (moduleOf(a) ?? -1) - (moduleOf(b) ?? -1));
    }
  }
  return phases.filter(phase => phase.tasks.length > 0);
}

export function workerOf(task) {
  return task.attempts?.length ? task.attempts[task.attempts.length - 1].worker : '';
}

// How many tasks are in which state.
export function tally(tasks) {
  const counts = {};
  for (const task of tasks) counts[stateOf(task)] = (counts[stateOf(task)] || 0) + 1;
  return counts;
}

const seconds = task => between(task.start_time, task.finish_time);

// Seconds that the job still needs if slots suffice: the longest way through what is left, by what
// tasks of the same kind took. {seconds, isLeast}: least when some kind has not been seen yet.
export function remaining(tasks) {
  const taken = {};
  for (const task of tasks) {
    if (stateOf(task) === 'succeeded' && !task.reused_from && task.start_time) (taken[kindOf(task)] ??= []).push(seconds(task));
  }
  let isLeast = false;
  const own = task => {
    if (['succeeded', 'failed', 'cancelled'].includes(stateOf(task))) return 0;
    const eta = number(task.progress?.eta_seconds);
    if (stateOf(task) === 'running' && eta >= 0) return eta;
    const known = taken[kindOf(task)];
    if (!known) isLeast = true;
    return known ? known.reduce((a, b) => a + b, 0) / known.length : 0;
  };
  const byId = new Map(tasks.map(task => [task.id, task]));
  const ways = new Map();
  const way = task => {
    if (!ways.has(task.id)) {
      ways.set(task.id, 0); // Plans have no circles; a broken one must not hang the page.
      const before = (task.depends_on || []).map(id => (byId.has(id) ? way(byId.get(id)) : 0));
      ways.set(task.id, Math.max(0, ...before) + own(task));
    }
    return ways.get(task.id);
  };
  return {seconds: Math.max(0, ...tasks.map(way)), isLeast};
}

// Colours of series, told apart by people who see fewer colours too; see app.css.
export const SERIES_COLOURS = 8;

// Evaluations of the report by label; hybrids as [{module, teacher, student}].
export function evaluations(report) {
  const hybrids = [];
  const whole = [];
  for (const model of report?.models || []) {
    const match = /^(teacher|student) hybrid (\d+)$/.exec(model.label);
    if (match) {
      (hybrids[match[2]] ??= {module: Number(match[2])})[match[1]] = model;
    } else {
      whole.push(model);
    }
  }
  return {hybrids: hybrids.filter(Boolean), whole};
}

export const accuracyOf = model => (model?.state === 'SUCCEEDED' && model.result ? number(model.result.accuracy) : NaN);
