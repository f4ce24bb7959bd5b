// Artifacts: those of a job as a list, and one with where it came from.
import {getAll, getJson} from './api.js';
import {badge, empty, h, link, table} from './dom.js';
import {bytes, clock, shortDigest, word, words} from './format.js';
import {picture} from './pictures.js';

// How far back lineage is shown at first; and in all, so that a page stays a page.
const DEPTH = 3;
const MOST_NODES = 60;
const SMALL_JSON = 65536;
// What is told about tasks, rather than made by them.
const OBSERVED = ['LOG', 'SERIES', 'SPANS', 'REPORT'].map(type => `ARTIFACT_TYPE_${type}`);

const COLUMNS = [
  {title: 'Digest', cell: artifact => link(`#/artifacts/${artifact.digest}`, h('code', null, shortDigest(artifact.digest)))},
  {title: 'Made by', cell: artifact => (artifact.lineage.length === 0 ? '–' : artifact.lineage.map((made, i) => [i > 0 && ', ', link(`#/jobs/${made.job}/tasks/${made.task}`, made.task),
    ` (${made.output || 'output'})`]))},
  {title: 'Size', number: true, cell: artifact => bytes(artifact.size_bytes)},
  {title: 'Made', phone: false, cell: artifact => clock(artifact.create_time)},
];

// The list of a job's artifacts; the caller asks again when tasks end.
export async function readArtifacts(job) {
  return getAll(['jobs', job, 'artifacts'], 'artifacts', {}, 5000);
}

export function artifactsPart(artifacts) {
  if (!artifacts) return empty('Loading…');
  if (artifacts.length === 0) return empty('Nothing has been made yet.');
  const types = {};
  for (const artifact of artifacts) (types[words(artifact.type, 'ARTIFACT_TYPE_')] ??= []).push(artifact);
  return [
    h('p', null, `${artifacts.length} artifacts, ${bytes(artifacts.reduce((sum, one) => sum + Number(one.size_bytes), 0))}.`),
    Object.entries(types).sort().map(([type, ones]) => h('details', {key: type, open: ['model', 'module', 'metrics'].includes(type)},
      h('summary', null, `${type} `, h('small', null, ones.length)), table(type, COLUMNS, ones, one => one.digest))),
  ];
}

// The artifact with what it was made from, as a list in a list.
function ancestry(node) {
  const {artifact} = node;
  if (!artifact) return h('li', {key: node.digest}, h('code', null, shortDigest(node.digest)), ' ', h('small', {class: 'error'}, node.failure || '…'));
  return h('li', {key: node.digest},
    link(`#/artifacts/${node.digest}`, h('code', null, shortDigest(node.digest))), ' ', badge(word(artifact.type, 'ARTIFACT_TYPE_')),
    h('small', null, ` ${bytes(artifact.size_bytes)}`),
    artifact.lineage.length === 0 && h('small', null, OBSERVED.includes(artifact.type) ? ' of which no lineage is kept' : ' given, not made by a job'),
    artifact.lineage.slice(0, 1).map(made => h('span', null, ' ', link(`#/jobs/${made.job}/tasks/${made.task}`, `${made.job}/${made.task}`),
      h('small', null, ` attempt ${made.attempt}, output ${made.output}`))),
    artifact.lineage.length > 1 && h('small', null, `, and by ${artifact.lineage.length - 1} more`),
    node.inputs.length > 0 && h('ul', null, node.inputs.map(ancestry)),
    node.cut && h('small', null, ' … its inputs are on its own page'));
}

async function contentOf(artifact) {
  if (Number(artifact.size_bytes) > SMALL_JSON) return null;
  if (!['ARTIFACT_TYPE_METRICS', 'ARTIFACT_TYPE_REPORT'].includes(artifact.type)) return null;
  try {
    return JSON.stringify(await getJson(['artifacts', artifact.digest, 'content']), null, 1);
  } catch {
    return null; // Markdown, or gone.
  }
}

export function openArtifact({render, fail}, digest) {
  const abort = new AbortController();
  const root = {digest, inputs: []};
  let nodes = 0;
  let content = null;

  function draw() {
    const {artifact} = root;
    const isPicture = artifact?.lineage.some(made => made.output === 'affinity');
    render(
      h('h1', null, 'Artifact'),
      h('p', null, h('code', {class: 'digest'}, digest)),
      artifact && h('p', null, badge(word(artifact.type, 'ARTIFACT_TYPE_')), ` ${bytes(artifact.size_bytes)}, ${clock(artifact.create_time)}. `,
        h('code', null, `distill artifact get ${shortDigest(digest)}… --file PATH`), ' fetches it.'),
      isPicture && picture(digest, 'the artifact', 'pixels'),
      content && h('pre', {class: 'log', tabindex: '0'}, content),
      h('h2', null, 'Lineage'),
      h('p', null, 'What it was made from, step by step, to the data and weights that were given.'),
      h('ul', {class: 'lineage'}, ancestry(root)));
  }

  async function grow(node, depth) {
    try {
      node.artifact = await getJson(['artifacts', node.digest], {}, abort.signal);
    } catch (error) {
      node.failure = error.message;
      if (node === root) throw error;
      return;
    }
    const inputs = [...new Set(node.artifact.lineage[0]?.input_digests || [])];
    node.cut = inputs.length > 0 && (depth === 0 || nodes + inputs.length > MOST_NODES);
    if (!node.cut) {
      nodes += inputs.length;
      node.inputs = inputs.map(input => ({digest: input, inputs: []}));
    }
    draw();
    for (const input of node.inputs) await grow(input, depth - 1);
  }

  draw();
  grow(root, DEPTH).then(async () => {
    content = await contentOf(root.artifact);
    draw();
  }).catch(error => !abort.signal.aborted && fail(error));
  return () => abort.abort();
}
