// All jobs, newest first, with what the fleet and the queue look like in a line above them.
import {getJson} from './api.js';
import {badge, bar, empty, h, link, table} from './dom.js';
import {ago, between, clock, duration} from './format.js';
import {isOver, jobState, titleOf} from './model.js';

const FIELDS = 'name,id,state,failure_message,create_time,finish_time,tasks_total,tasks_succeeded,tasks_running,tasks_reused,spec.display_name,spec.project';

function progress(job) {
  const total = Math.max(1, job.tasks_total);
  const done = job.tasks_succeeded;
  return [
    bar(`${done} of ${job.tasks_total} tasks done, ${job.tasks_running} run`, [
      {share: done / total, word: 'succeeded'}, {share: job.tasks_running / total, word: 'running'}]),
    h('small', null, `${done} of ${job.tasks_total}`, job.tasks_reused > 0 && `, ${job.tasks_reused} reused`),
  ];
}

export function fleetTotals(workers) {
  const alive = workers.filter(worker => worker.state !== 'WORKER_STATE_LOST');
  const slots = alive.reduce((sum, worker) => sum + worker.info.slots, 0);
  return {alive: alive.length, lost: workers.length - alive.length, slots, used: alive.reduce((sum, worker) => sum + worker.slots_in_use, 0)};
}

export function tile(title, value, detail, href) {
  return h(href ? 'a' : 'div', {class: 'tile', href, key: title}, h('span', null, title), h('strong', null, value), h('small', null, detail));
}

export function openJobs({render, overview, go}) {
  const chosen = new Set();
  const older = [];
  let filter = '';
  let state = '';
  let nextPage; // Beyond what the overview holds and what was fetched since.
  let facts = null;

  async function more() {
    const page = await getJson(['jobs'], {project: '-', page_size: 100, page_token: nextPage, fields: FIELDS});
    older.push(...page.jobs);
    nextPage = page.next_page_token;
    draw();
  }

  function choose(job, isChosen) {
    if (isChosen) chosen.add(job.id); else chosen.delete(job.id);
    draw();
  }

  const columns = [
    {title: 'Compare', phone: false, cell: job => h('input', {type: 'checkbox', 'aria-label': `compare ${titleOf(job)}`,
      onchange: event => choose(job, event.target.checked)})},
    {title: 'Job', cell: job => [link(`#/jobs/${job.id}`, titleOf(job)), h('small', null, job.id)]},
    {title: 'State', cell: job => badge(jobState(job), job.failure_message)},
    {title: 'Tasks', cell: progress},
    {title: 'Created', phone: false, cell: job => h('time', {datetime: job.create_time, title: clock(job.create_time)}, ago(job.create_time))},
    {title: 'Took', number: true, phone: false, cell: job => (isOver(job) ? duration(between(job.create_time, job.finish_time)) : 'so far ' +
      duration(between(job.create_time)))},
    {title: 'Project', phone: false, cell: job => job.spec?.project || 'default'},
  ];

  function draw() {
    if (!facts) return render(h('h1', null, 'Jobs'), empty('Loading…'));
    const known = new Set(facts.jobs.jobs.map(job => job.id));
    const jobs = [...facts.jobs.jobs, ...older.filter(job => !known.has(job.id))];
    const states = [...new Set(jobs.map(jobState))].sort();
    const wanted = jobs.filter(job => (!state || jobState(job) === state) &&
      `${titleOf(job)} ${job.id} ${job.spec?.project}`.toLowerCase().includes(filter));
    const totals = fleetTotals(facts.workers.workers);
    const running = jobs.filter(job => !isOver(job));
    const waiting = running.reduce((sum, job) => sum + job.tasks_total - job.tasks_succeeded - job.tasks_running, 0);
    render(
      h('h1', null, 'Jobs'),
      h('div', {class: 'tiles'},
        tile('Running jobs', running.length, `${running.reduce((sum, job) => sum + job.tasks_running, 0)} tasks run`),
        tile('Tasks still to run', waiting, 'blocked or queued', '#/queue'),
        tile('Slots in use', `${totals.used} of ${totals.slots}`, `${totals.alive} ${totals.alive === 1 ? 'worker' : 'workers'}${totals.lost ? `, ${totals.lost} lost` : ''}`, '#/fleet')),
      h('form', {class: 'filters', role: 'search', onsubmit: event => event.preventDefault()},
        h('label', null, 'Find', h('input', {type: 'search', placeholder: 'name, id or project', oninput: event => {
          filter = event.target.value.toLowerCase();
          draw();
        }})),
        h('label', null, 'State', h('select', {onchange: event => {
          state = event.target.value;
          draw();
        }}, h('option', {value: ''}, 'all'), states.map(name => h('option', {value: name, key: name}, name)))),
        h('button', {type: 'button', class: 'wide', disabled: chosen.size < 2, onclick: () => go(`#/compare/${[...chosen].join(',')}`)},
          chosen.size < 2 ? 'Compare (choose two or more)' : `Compare ${chosen.size} jobs`)),
      jobs.length === 0 ? empty(['No jobs yet. ', h('code', null, 'distill job submit FILE'), ' or ', h('code', null, 'distill demo'), ' makes one.'])
        : table('Jobs, newest first', columns, wanted, job => job.id),
      nextPage && h('p', null, h('button', {onclick: () => more()}, 'Older jobs')));
  }

  const stop = overview({}, next => {
    facts = next;
    if (nextPage === undefined) nextPage = next.jobs.next_page_token;
    draw();
  });
  // Ages go on though nothing happens.
  const timer = setInterval(draw, 30000);
  draw();
  return () => {
    clearInterval(timer);
    stop();
  };
}
