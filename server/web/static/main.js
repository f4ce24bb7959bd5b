// The frame of the page: which view is shown, whether the data is live, and who asks.
//
//   #/jobs                     #/jobs/ID            #/jobs/ID/{curves,accuracy,pictures,artifacts,report}
//   #/jobs/ID/tasks/TASK       #/compare/ID,ID      #/queue      #/fleet      #/artifacts/DIGEST
import {hasToken, setToken, setUnauthorizedHandler, Stream} from './api.js';
import {openArtifact} from './artifacts_view.js';
import {openCompare} from './compare_view.js';
import {h, say, show} from './dom.js';
import {openFleet} from './fleet_view.js';
import {openJob} from './job_view.js';
import {openJobs} from './jobs_view.js';
import {openQueue} from './queue_view.js';

const VIEWS = [['#/jobs', 'Jobs'], ['#/queue', 'Queue'], ['#/fleet', 'Fleet']];
const STATES = {connecting: 'connecting', live: 'live', lost: 'reconnecting', over: 'finished', refused: 'refused'};

const main = document.getElementById('main');
const notice = document.getElementById('notice');
let close = () => {};
let job = null; // The job that is shown, so that its tabs share what they know.

function connection(state, error) {
  const place = document.getElementById('connection');
  show(place, state && [h('span', {class: `dot ${state}`, 'aria-hidden': 'true'}), STATES[state]]);
  place.title = error ? error.message : '';
  if (state === 'refused' && error.status !== 401) fail(error);
}

function fail(error, retry) {
  // The field for the token is shown instead.
  if (error.status === 401) return;
  show(main, h('h1', null, error.status === 404 ? 'Not found' : 'That did not work'),
    h('p', {class: 'error', role: 'alert'}, error.message),
    h('p', {class: 'buttons'}, h('button', {onclick: () => (retry ? retry() : route())}, 'Try again')));
  connection('lost', error);
  // A server that is away, or has no leader yet, comes back.
  if (retry && !(error.status < 500)) setTimeout(retry, 3000);
}

function askForToken(error) {
  if (notice.querySelector('form')) return;
  leave();
  let field;
  const submit = event => {
    event.preventDefault();
    setToken(field.value.trim());
    show(notice);
    say('token was set');
    route();
  };
  field = h('input', {type: 'password', autocomplete: 'off', required: true, 'aria-describedby': 'token-why', spellcheck: 'false'});
  show(notice, h('form', {class: 'token', onsubmit: submit},
    h('h2', null, hasToken() ? 'That token is not accepted' : 'Who is asking?'),
    h('p', {id: 'token-why'}, `${error.message}. `, h('code', null, 'distill token create --role viewer'), ' makes a token; it is kept in this tab only.'),
    h('label', null, 'Token', field), h('button', null, 'Use it')));
  field = notice.querySelector('input');
  field.focus();
}

// Follows the overview; returns what ends that.
function overview(parameters, onFacts) {
  const stream = new Stream(['overview', 'events'], parameters, '', {overview: onFacts, state: connection});
  return () => stream.close();
}

const shell = {
  render: (...content) => show(main, ...content),
  overview,
  connection,
  fail,
  go: href => (location.hash = href),
};

function showNavigation(parts) {
  const current = parts[0] === 'queue' || parts[0] === 'fleet' ? `#/${parts[0]}` : '#/jobs';
  show(document.getElementById('nav'), VIEWS.map(([href, title]) => h('a', {href, key: href, 'aria-current': href === current ? 'page' : null}, title)),
    hasToken() && h('button', {class: 'plain', onclick: () => {
      setToken('');
      location.reload();
    }}, 'Forget token'));
}

function leave() {
  close();
  close = () => {};
  job = null;
  show(main);
  connection('');
}

function openNamedJob([, id, tab = '', task]) {
  const isTask = tab === 'tasks';
  if (job?.id !== id) {
    leave();
    job = openJob(shell, id);
    close = () => job?.close();
  }
  job.choose(isTask ? '' : tab, isTask ? task : undefined);
}

function route() {
  const parts = location.hash.replace(/^#\//, '').split('/').map(decodeURIComponent);
  showNavigation(parts);
  document.title = parts[1] ? `${parts[1]} · Distillery` : 'Distillery';
  if (parts[0] === 'jobs' && parts[1]) return openNamedJob(parts);
  leave();
  switch (parts[0]) {
    case 'queue': close = openQueue(shell); break;
    case 'fleet': close = openFleet(shell); break;
    case 'compare': close = openCompare(shell, (parts[1] || '').split(',').filter(Boolean)); break;
    case 'artifacts': close = openArtifact(shell, parts[1]); break;
    default: close = openJobs(shell);
  }
}

setUnauthorizedHandler(askForToken);
window.addEventListener('hashchange', () => {
  route();
  // As after following a link to another page; the panel of a task takes the focus itself.
  if (!location.hash.includes('/tasks/')) main.focus({preventScroll: true});
});
document.querySelector('.skip').addEventListener('click', event => {
  event.preventDefault(); // The address is the view's.
  main.focus();
});
route();
