// One job as its graph of tasks: a column for each phase, a card for each task, lines for what needs
// what. Lines follow the cards: they are drawn from where the browser put those.
import {bar, h, s} from './dom.js';
import {between, digits, duration, number} from './format.js';
import {kindOf, moduleOf, phasesOf, stateOf, workerOf} from './model.js';

const SIGN = {succeeded: '✓', running: '▶', queued: '…', blocked: '·', failed: '✕', cancelled: '–'};
// Beyond this many tasks in a column they are shown as small boxes.
const MOST_CARDS = 24;

// "distill-module-2" in a column of modules is "module 2".
function titleOf(task) {
  const module = moduleOf(task);
  const name = task.id.replaceAll('-', ' ');
  if (kindOf(task) === 'EVALUATE') return name.replace('evaluate ', '');
  if (module === undefined) return name;
  return name.replace('incubate teacher', 'stage').replace('distill module', 'module');
}

// What a card says below its title.
function details(task) {
  const state = stateOf(task);
  if (state === 'running') {
    const progress = task.progress || {};
    const total = number(progress.total_steps);
    const step = number(progress.step);
    const eta = number(progress.eta_seconds);
    return [
      h('small', null, workerOf(task)),
      total > 0 && bar(`step ${step} of ${total}`, [{share: Math.min(1, step / total), word: 'running'}]),
      h('small', null, [total > 0 && `step ${step}/${total}`, !Number.isNaN(number(progress.loss)) && step > 0 && `loss ${digits(progress.loss)}`,
        eta >= 0 && total > 0 && `${duration(eta)} left`, total > 0 ? null : progress.phase].filter(Boolean).join(' · ')),
    ];
  }
  if (state === 'succeeded') {
    return h('small', null, task.reused_from ? 'reused' : `${duration(between(task.start_time, task.finish_time))} · ${workerOf(task)}`);
  }
  if (state === 'failed') return h('small', {class: 'error'}, task.failure_message);
  const tries = task.attempts?.length || 0;
  return h('small', null, task.waiting_reason || state, tries > 0 && state === 'queued' && ` · after ${tries} attempts`);
}

function card(job, task, isChosen, isSmall) {
  const state = stateOf(task);
  return h('a', {
    key: task.id, class: `card ${state}${isSmall ? ' small' : ''}${kindOf(task) === 'EVALUATE' ? ' evaluate' : ''}`, href: `#/jobs/${job.id}/tasks/${task.id}`, 'data-task': task.id,
    'data-needs': (task.depends_on || []).join(' '), 'aria-current': isChosen ? 'true' : null,
    'aria-label': isSmall ? `${titleOf(task)}: ${state}` : null, title: `${task.id}: ${state}`,
  },
  h('span', {class: 'sign', 'aria-hidden': 'true'}, SIGN[state]),
  isSmall ? null : [h('b', null, titleOf(task)), h('span', {class: 'quiet'}, state), details(task)]);
}

// Counts by state in words, for the head of a column.
function summary(tasks) {
  const done = tasks.filter(task => stateOf(task) === 'succeeded').length;
  return `${done}/${tasks.length}`;
}

// Draws lines between cards, and marks those of the task that has the focus or the pointer.
function lines(graph) {
  const picture = graph.querySelector('svg.lines');
  const box = graph.getBoundingClientRect();
  const byName = new Map([...graph.querySelectorAll('.card')].map(node => [node.dataset.task, node]));
  const places = new Map([...byName].map(([name, node]) => [name, node.getBoundingClientRect()]));
  const marked = graph.querySelector('.card:hover, .card:focus-visible')?.dataset.task || graph.querySelector('.card[aria-current]')?.dataset.task;
  const paths = [];
  for (const node of byName.values()) {
    const to = places.get(node.dataset.task);
    for (const name of node.dataset.needs.split(' ')) {
      const from = places.get(name);
      if (!from) continue;
      const isNear = marked === name || marked === node.dataset.task;
      // Evaluations need so much, and boxes are so many, that their lines would hide the others.
      if (!isNear && (node.matches('.evaluate, .small') || byName.get(name).matches('.small'))) continue;
      const [x1, y1] = [from.right - box.left, (from.top + from.bottom) / 2 - box.top];
      const [x2, y2] = [to.left - box.left, (to.top + to.bottom) / 2 - box.top];
      const isBelow = Math.abs(from.left - to.left) < 4;
      const middle = from.left + from.width / 2 - box.left;
      const path = isBelow ? `M${middle} ${from.bottom - box.top}L${middle} ${to.top - box.top}`
        : `M${x1} ${y1}C${x1 + 22} ${y1} ${x2 - 22} ${y2} ${x2} ${y2}`;
      paths.push(s('path', {d: path, class: isNear ? 'near' : null}));
    }
  }
  picture.setAttribute('width', graph.scrollWidth);
  picture.setAttribute('height', graph.scrollHeight);
  picture.replaceChildren(...paths);
}

// Moves the focus between cards with the arrow keys: down and up in a column, left and right between them.
function onKey(event) {
  const steps = {ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0]}[event.key];
  const card = event.target.closest('.card');
  if (!steps || !card) return;
  event.preventDefault();
  const columns = [...event.currentTarget.querySelectorAll('.phase')].map(column => [...column.querySelectorAll('.card')]);
  const x = columns.findIndex(column => column.includes(card));
  const y = columns[x].indexOf(card);
  const column = columns[x + steps[0]] || columns[x];
  column[Math.min(column.length - 1, Math.max(0, y + steps[1]))].focus();
}

// The graph as an element; call arrange() on it once it is in the page.
export function graph(job, tasks, chosen) {
  const redraw = event => lines(event.currentTarget);
  return h('div', {class: 'graph', role: 'group', 'aria-label': 'Tasks by phase', onkeydown: onKey, onfocusin: redraw, onpointerover: redraw,
    onpointerleave: redraw},
  s('svg', {class: 'lines', 'aria-hidden': 'true'}),
  phasesOf(tasks).map(phase => h('section', {class: 'phase', key: phase.title, 'aria-label': phase.title},
    h('h3', null, phase.title, ' ', h('small', null, summary(phase.tasks))),
    h('div', {class: phase.tasks.length > MOST_CARDS ? 'boxes' : 'cards'},
      phase.tasks.map(task => card(job, task, task.id === chosen, phase.tasks.length > MOST_CARDS))))));
}

export function arrange(root) {
  const found = root.querySelector('.graph');
  if (found) lines(found);
}
