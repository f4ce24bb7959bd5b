// Workers: what they are, whether they are well, and what they run.
import {badge, empty, h, link, table} from './dom.js';
import {ago, bytes, clock, digits, word} from './format.js';
import {fleetTotals, tile} from './jobs_view.js';
import {sparkline} from './plot.js';

// Shares of slots in use, one a change, while this page is open; the newest last.
const HISTORY = 240;
const used = [];

function remember(totals) {
  const share = totals.slots ? totals.used / totals.slots : 0;
  used.push(share);
  if (used.length === 1) used.push(share);
  if (used.length > HISTORY) used.shift();
}

// One box a slot, filled when it is in use.
function slots(worker) {
  const label = `${worker.slots_in_use} of ${worker.info.slots} slots in use`;
  if (worker.info.slots > 16) return label;
  return h('span', {class: 'slots', role: 'img', 'aria-label': label, title: label},
    Array.from({length: worker.info.slots}, (_, i) => h('i', {class: i < worker.slots_in_use ? 'running' : null})));
}

function health(worker) {
  const notes = [];
  if (worker.quarantine !== 'QUARANTINE_UNSPECIFIED') {
    notes.push(`quarantine (${word(worker.quarantine, 'QUARANTINE_')}): ${worker.quarantine_reason || 'no reason given'}`);
  }
  if (worker.draining) notes.push(worker.drain_deadline ? `drains until ${clock(worker.drain_deadline)}` : 'drains');
  if (worker.state === 'WORKER_STATE_LOST') notes.push(`last seen ${ago(worker.last_seen_time)}`);
  if (worker.failures_in_a_row > 0) notes.push(`${worker.failures_in_a_row} failures in a row`);
  return notes.length ? notes.join('; ') : 'well';
}

const labels = worker => Object.entries(worker.info.labels || {}).map(([key, value]) => `${key}=${value}`).join(' ');

const COLUMNS = [
  {title: 'Worker', cell: worker => [h('strong', null, worker.info.worker_id), h('small', null, worker.info.hostname)]},
  {title: 'State', cell: worker => badge(word(worker.state, 'WORKER_STATE_'))},
  {title: 'Slots', cell: slots},
  {title: 'Runs', cell: worker => (worker.leases.length === 0 ? h('small', null, 'nothing') : h('ul', {class: 'plain'}, worker.leases.map(lease =>
    h('li', {key: lease.lease_id}, link(`#/jobs/${lease.job}/tasks/${lease.task}`, lease.task), h('small', null, lease.job,
      lease.attempt_number > 1 && `, attempt ${lease.attempt_number}`)))))},
  {title: 'Health', cell: health},
  {title: 'Device', phone: false, cell: worker => [worker.info.device_kind, h('small', null, worker.info.numeric_classes.join(' '))]},
  {title: 'Memory a slot', number: true, phone: false, cell: worker => bytes(worker.info.slot_memory_bytes)},
  {title: 'Version', phone: false, cell: worker => [worker.info.version, h('small', null, labels(worker))]},
];

const limit = value => (Number(value) > 0 ? value : 'none');
const QUOTA_COLUMNS = [
  {title: 'Project', cell: quota => quota.project},
  {title: 'Weight', number: true, cell: quota => quota.weight},
  {title: 'Slots in use', number: true, cell: quota => `${quota.slots_in_use} (limit ${limit(quota.max_slots)})`},
  {title: 'Tasks that run', number: true, cell: quota => `${quota.running_tasks} (limit ${limit(quota.max_running_tasks)})`},
  {title: 'Share', number: true, cell: quota => digits(quota.share)},
];

export function openFleet({render, overview}) {
  render(h('h1', null, 'Fleet'), empty('Loading…'));
  return overview({}, facts => {
    const workers = facts.workers.workers;
    const totals = fleetTotals(workers);
    remember(totals);
    const unwell = workers.filter(worker => health(worker) !== 'well').length;
    render(
      h('h1', null, 'Fleet'),
      h('div', {class: 'tiles'},
        tile('Workers alive', totals.alive, totals.lost ? `${totals.lost} lost` : 'none lost'),
        tile('Slots in use', `${totals.used} of ${totals.slots}`, [sparkline('slots in use lately', used), ' since this page was opened']),
        tile('Need a look', unwell, 'in quarantine, draining, failing or lost')),
      workers.length ? table('Workers', COLUMNS, workers, worker => worker.info.worker_id)
        : empty(['No workers. ', h('code', null, 'distill-worker --server HOST:PORT'), ' starts one.']),
      facts.quotas.quotas.length > 0 && [h('h2', null, 'Projects'), table('Quotas and shares of projects', QUOTA_COLUMNS, facts.quotas.quotas,
        quota => quota.project)]);
  });
}
