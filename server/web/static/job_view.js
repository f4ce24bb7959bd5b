// One job: its graph of tasks as it runs, and behind tabs its curves, accuracy, pictures, artifacts and
// report.
import {getAll, getJson, Stream} from './api.js';
import {artifactsPart, readArtifacts} from './artifacts_view.js';
import {badge, bar, empty, h, link, say, throttled} from './dom.js';
import {ago, between, clock, duration} from './format.js';
import {accuracyPart} from './job_accuracy.js';
import {Curves, curvesPart} from './job_curves.js';
import {arrange, graph} from './job_graph.js';
import {isOver, jobState, remaining, stateOf, tally, TASK_FIELDS, titleOf} from './model.js';
import {picturesPart} from './pictures.js';
import {reportPart} from './report_view.js';
import {TaskPanel} from './task_panel.js';

const TABS = [['', 'Tasks'], ['curves', 'Curves'], ['accuracy', 'Accuracy'], ['pictures', 'Pictures'], ['artifacts', 'Artifacts'], ['report', 'Report']];
const MOST_TASKS = 5000;
// Why tasks wait, and their attempts, are not in events; they are looked at again now and then.
const REFRESH = 10000;
const ORDER = ['succeeded', 'running', 'queued', 'failed', 'cancelled', 'blocked'];

class JobView {
  constructor(shell, id) {
    this.shell = shell;
    this.id = id;
    this.tab = '';
    this.job = null;
    this.tasks = new Map();
    this.choice = {measure: 'loss', log: false};
    this.curves = new Curves(id, () => this.draw());
    this.draw = throttled(() => this.drawNow());
    this.refresh = throttled(() => this.readTasks().catch(() => {}), REFRESH);
    this.refreshReport = throttled(() => this.readReport(), 3000);
    this.onResize = () => arrange(document);
    window.addEventListener('resize', this.onResize);
    this.start();
  }

  close() {
    this.closed = true;
    for (const work of [this.draw, this.refresh, this.refreshReport]) work.cancel();
    window.removeEventListener('resize', this.onResize);
    this.curves.close();
    this.panel?.close();
    this.stream?.close();
  }

  async start() {
    if (this.closed) return;
    this.shell.render(empty('Loading…'));
    // The job comes first: events that come after it was read follow.
    try {
      this.job = await getJson(['jobs', this.id]);
      if (this.closed) return;
      await this.readTasks();
    } catch (error) {
      if (!this.closed) this.shell.fail(error, () => this.start());
      return;
    }
    if (this.closed) return;
    this.stream = new Stream(['jobs', this.id, 'events'], {}, this.job.revision, {
      job: job => this.onJob(job),
      task: task => this.onTask(task),
      progress: news => this.onProgress(news),
      state: (state, error) => {
        this.shell.connection(state, error);
        if (state === 'live' && this.wasLost) this.refresh();
        this.wasLost = state === 'lost';
      },
    });
    this.choose(this.tab, this.taskId);
  }

  async readTasks() {
    const tasks = await getAll(['jobs', this.id, 'tasks'], 'tasks', {fields: TASK_FIELDS}, MOST_TASKS);
    if (this.closed) return;
    this.tasks = new Map(tasks.map(task => [task.id, {...task, progress: task.progress || this.tasks.get(task.id)?.progress}]));
    this.draw();
    this.followTab();
    if (this.tasks.has(this.taskId)) this.panel?.update(this.tasks.get(this.taskId));
  }

  async readReport() {
    if (this.closed) return;
    try {
      this.report = await getJson(['jobs', this.id, 'report']);
      this.draw();
    } catch {
      // Asked for again with the next change.
    }
  }

  async readArtifacts() {
    try {
      this.artifacts = await readArtifacts(this.id);
    } catch {
      this.artifacts ??= [];
    }
    this.draw();
  }

  onJob(job) {
    const before = jobState(this.job);
    this.job = {...this.job, ...job, spec: this.job.spec};
    if (before !== jobState(this.job)) say(`job ${titleOf(this.job)} is ${jobState(this.job)}`);
    if (isOver(this.job)) {
      this.readTasks().catch(() => {});
      this.refreshReport();
      if (this.tab === 'artifacts') this.readArtifacts();
    }
    this.draw();
  }

  onTask(news) {
    const task = this.tasks.get(news.id);
    if (!task) return this.refresh();
    if (Number(news.revision) <= Number(task.revision)) return;
    const changed = {state: news.state, revision: news.revision, failure_message: news.failure_message, waiting_reason: '', progress: undefined};
    if (news.start_time) changed.start_time = news.start_time;
    changed.finish_time = news.finish_time;
    if (news.reused_from) changed.reused_from = news.reused_from;
    if (news.results?.length) changed.results = news.results;
    // Of the attempt, an event tells its number and, when it starts, its worker.
    const [attempt] = news.attempts || [];
    if (attempt && !task.attempts?.some(known => known.number === attempt.number)) {
      changed.attempts = [...(task.attempts || []), {...attempt, start_time: news.start_time}];
    }
    this.tasks.set(news.id, {...task, ...changed});
    if (this.taskId === news.id) this.panel?.update(changed);
    if (news.id.startsWith('evaluate') || news.id === 'fit-prior') this.refreshReport();
    if (!isOver(this.job)) this.refresh();
    this.draw();
    this.followTab();
  }

  onProgress(news) {
    const task = this.tasks.get(news.task);
    if (!task || stateOf(task) !== 'running') return;
    this.tasks.set(news.task, {...task, progress: news.progress});
    if (this.taskId === news.task) this.panel?.update({progress: news.progress});
    this.draw();
  }

  // Shows a tab, and a task if one is named.
  choose(tab, taskId) {
    this.tab = tab;
    const isNew = taskId !== this.taskId;
    this.taskId = taskId;
    if (!this.job || this.tasks.size === 0) return;
    if (isNew || (taskId && !this.panel)) {
      this.panel?.close();
      const task = this.tasks.get(taskId);
      this.panel = task ? new TaskPanel(this.id, task, this.curves, this.draw) : null;
    }
    if (['accuracy', 'pictures', 'report'].includes(tab) && !this.report) this.readReport();
    if (tab === 'artifacts') this.readArtifacts();
    this.drawNow();
    if (taskId && isNew) {
      const panel = document.querySelector('.panel');
      panel?.querySelector('h2').focus({preventScroll: true});
      panel?.scrollIntoView({block: 'nearest'});
    }
    this.followTab();
  }

  // Curves are read for those who look at them.
  followTab() {
    if (this.tab === 'curves') this.curves.follow([...this.tasks.values()]);
    const task = this.tasks.get(this.taskId);
    if (task) this.curves.follow([task]);
  }

  content() {
    const tasks = [...this.tasks.values()];
    switch (this.tab) {
      case 'curves':
        return curvesPart(tasks, this.curves, this.choice, choice => {
          Object.assign(this.choice, choice);
          this.drawNow();
        });
      case 'accuracy': return accuracyPart(this.report);
      case 'pictures': return picturesPart(this.report);
      case 'artifacts': return artifactsPart(this.artifacts);
      case 'report': return reportPart(this.id, this.report);
      default: return graph(this.job, tasks, this.taskId);
    }
  }

  head(tasks) {
    const {job} = this;
    const counts = tally(tasks);
    const total = Math.max(1, tasks.length);
    const left = isOver(job) ? null : remaining(tasks);
    const words = ORDER.filter(state => counts[state]).map(state => `${counts[state]} ${state}`).join(', ');
    return h('header', {class: 'job'},
      h('h1', null, titleOf(job), ' ', badge(jobState(job))),
      h('p', null, h('code', null, job.id), ` in ${job.spec.project || 'default'}, `,
        h('time', {datetime: job.create_time, title: clock(job.create_time)}, ago(job.create_time)),
        isOver(job) ? `, took ${duration(between(job.create_time, job.finish_time))}` : '',
        left && left.seconds > 0 && `, ${left.isLeast ? 'more than' : 'about'} ${duration(left.seconds)} left`, '. ',
        link(`#/compare/${job.id}`, 'compare')),
      job.failure_message && h('p', {class: 'error', role: 'alert'}, job.failure_message),
      bar(words, ORDER.map(state => ({share: (counts[state] || 0) / total, word: state}))),
      h('p', null, h('small', null, words, job.tasks_reused > 0 && `; ${job.tasks_reused} reused`)),
      h('nav', {class: 'tabs', 'aria-label': 'Parts of the job'}, TABS.map(([name, title]) =>
        h('a', {key: name, href: `#/jobs/${job.id}${name ? `/${name}` : ''}`, 'aria-current': name === this.tab ? 'page' : null}, title))));
  }

  drawNow() {
    if (this.closed || !this.job || this.tasks.size === 0) return;
    this.shell.render(this.head([...this.tasks.values()]), h('div', {class: 'tab', key: this.tab}, this.content()), this.panel?.tree());
    arrange(document);
  }
}

export function openJob(shell, id) {
  return new JobView(shell, id);
}
