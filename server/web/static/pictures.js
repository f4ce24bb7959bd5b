// Pictures of what networks do inside: how loaded experts are, and which mediators a prior links.
import {getBlob} from './api.js';
import {empty, h, link, table} from './dom.js';
import {digits, number, percent} from './format.js';
import {bars, heatmap} from './plot.js';

// Blobs that were fetched, by digest; they never change.
const addresses = new Map();

// An image of an artifact. Browsers fetch images without the token, so the page does.
export function picture(digest, alternative, className) {
  const image = h('img', {alt: alternative, class: className, key: digest});
  if (!addresses.has(digest)) {
    addresses.set(digest, getBlob(['artifacts', digest, 'content']).then(blob => URL.createObjectURL(blob)));
  }
  addresses.get(digest).then(
    address => document.querySelectorAll(`img[data-digest="${digest}"]`).forEach(shown => (shown.src = address)),
    () => addresses.delete(digest));
  image.setAttribute('data-digest', digest);
  const shown = document.querySelector(`img[data-digest="${digest}"]`);
  if (shown?.src) image.src = shown.src;
  return image;
}

// One row a block, one cell an expert.
function rowsOf(values, experts) {
  const rows = [];
  for (let at = 0; at < values.length; at += experts) rows.push({name: String(rows.length), values: values.slice(at, at + experts).map(number)});
  return rows;
}

function expertsPart(model) {
  const {experts, expert_load: load, expert_importance: importance, expert_dropped: dropped} = model.result;
  const rows = rowsOf(load, experts);
  const most = Math.max(...rows.flatMap(row => row.values));
  return h('section', {key: model.label},
    h('h3', null, model.label),
    h('p', null, `An even load is ${percent(1 / experts)} for each of ${experts} experts; the busiest has ${percent(most)}.`,
      dropped?.length > 0 && ` Visits that no expert had room for, by mixture: ${dropped.map(share => percent(share)).join(', ')}.`),
    heatmap('Share of token visits', 'mixture', 'expert', rows),
    importance?.length > 0 && heatmap('Share of the router\'s probability', 'mixture', 'expert', rowsOf(importance, experts)));
}

function priorPart(prior) {
  const {connectivity} = prior;
  const facts = connectivity && [
    ['mediators', connectivity.nodes], ['edges of the graph', connectivity.edges],
    ['edges that are links', percent(connectivity.edges_kept)], ['other pairs that are links', percent(connectivity.non_edges_within_truncation)],
    ['pairs that are links', percent(connectivity.links)], ['links are pairs within', digits(connectivity.truncation)],
  ];
  const degrees = connectivity && Array.from({length: Math.max(connectivity.graph_degrees.length, connectivity.link_degrees.length)}, (_, i) => ({
    name: String(i), values: {graph: number(connectivity.graph_degrees[i] || 0), links: number(connectivity.link_degrees[i] || 0)}}));
  return h('section', null,
    h('h2', null, `Graph prior: ${prior.kind}`),
    h('div', {class: 'plots'},
      prior.affinity_digest && h('figure', {class: 'affinity'},
        h('figcaption', null, 'Links between mediators (black: alike, white: no link)'),
        link(`#/artifacts/${prior.affinity_digest}`, picture(prior.affinity_digest, `which of ${connectivity?.nodes || ''} mediators are linked`, 'pixels'))),
      connectivity && bars('Mediators by number of links', 'links of a mediator', 'mediators', degrees, ['graph', 'links']),
      connectivity ? table('The prior in numbers', [{title: 'What', cell: row => row[0]}, {title: 'Value', number: true, cell: row => row[1]}], facts, row => row[0])
        : empty('The prior is not fitted yet.')));
}

export function picturesPart(report) {
  if (!report) return empty('Loading…');
  const mixtures = report.models.filter(model => model.state === 'SUCCEEDED' && model.result?.experts > 0);
  return [
    report.prior && priorPart(report.prior),
    mixtures.length > 0 && h('section', null, h('h2', null, 'Experts'), h('div', {class: 'plots'}, mixtures.map(expertsPart))),
    !report.prior && mixtures.length === 0 && empty('Pictures are of mixtures of experts, once evaluated, and of graph priors; this job has neither (yet).'),
  ];
}
