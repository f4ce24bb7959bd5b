// Tasks that are ready and wait, each with the reason, and on demand what keeps it from each worker.
import {getJson} from './api.js';
import {badge, empty, h, link, table} from './dom.js';
import {digits, duration, word, words} from './format.js';
import {titleOf} from './model.js';

const FIT_COLUMNS = [
  {title: 'Worker', cell: fit => fit.worker_id},
  {title: 'What fails first', cell: fit => (fit.failed === 'PREDICATE_NONE' ? 'nothing: it could take it now' : words(fit.failed, 'PREDICATE_'))},
  {title: 'In words', cell: fit => fit.detail},
];

// What the server says about why a task waits; `explanation` is a TaskExplanation or an error.
export function explained(explanation) {
  if (explanation instanceof Error) return h('p', {class: 'error'}, explanation.message);
  return h('div', {class: 'explained'},
    h('p', null, badge(word(explanation.reason, 'WAIT_REASON_')), ' ', explanation.detail),
    h('p', null, h('small', null, `priority ${explanation.priority}, now ${explanation.effective_priority}; share of the project ` +
      `${digits(explanation.project_share)}`, explanation.retry_in_seconds > 0 && `; next try in ${duration(explanation.retry_in_seconds)}`,
      explanation.waits_for.length > 0 && `; waits for ${explanation.waits_for.join(', ')}`)),
    explanation.workers.length > 0 && table('What keeps it from each worker', FIT_COLUMNS, explanation.workers, fit => fit.worker_id));
}

export function openQueue({render, overview}) {
  const explanations = new Map(); // By job and task; those that are shown.
  let facts = null;

  async function explain(job, task) {
    const key = `${job}/${task}`;
    if (explanations.delete(key)) return draw();
    try {
      explanations.set(key, await getJson(['jobs', job, 'tasks', task, 'explain']));
    } catch (error) {
      explanations.set(key, error);
    }
    draw();
  }

  function columnsOf(job) {
    return [
      {title: 'Task', cell: task => link(`#/jobs/${job}/tasks/${task.id}`, task.id)},
      {title: 'Waits because', cell: task => [task.waiting_reason || 'of a matter of a moment',
        explanations.has(`${job}/${task.id}`) && explained(explanations.get(`${job}/${task.id}`))]},
      {title: 'Explain', cell: task => h('button', {'aria-expanded': String(explanations.has(`${job}/${task.id}`)), onclick: () => explain(job, task.id),
        'aria-label': `explain ${task.id}`}, explanations.has(`${job}/${task.id}`) ? 'hide' : 'explain')},
    ];
  }

  function draw() {
    const queue = facts.queue || [];
    const waiting = queue.reduce((sum, entry) => sum + entry.tasks.length, 0);
    render(
      h('h1', null, 'Queue'),
      h('p', null, waiting === 0 ? 'Nothing is ready and waiting.' : `${waiting} tasks are ready and wait for a slot, newest job first.`,
        ' Tasks that wait for others are shown with their job.'),
      queue.map(entry => {
        const job = facts.jobs.jobs.find(known => known.id === entry.job);
        return h('section', {key: entry.job},
          h('h2', null, link(`#/jobs/${entry.job}`, job ? titleOf(job) : entry.job), ' ',
            h('small', null, `priority ${job?.spec?.execution?.priority ?? '–'}, project ${job?.spec?.project || 'default'}`)),
          table(`Waiting tasks of ${entry.job}`, columnsOf(entry.job), entry.tasks, task => task.id));
      }));
  }

  render(h('h1', null, 'Queue'), empty('Loading…'));
  return overview({queue: 'true'}, next => {
    facts = next;
    draw();
  });
}
