// The report of a job: as a page, and as files.
import {empty, h, say} from './dom.js';
import {markdown} from './markdown.js';

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], {type}));
  const anchor = h('a', {href: address, download: name});
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  say(`${name} was saved`);
}

export function reportPart(job, report) {
  if (!report) return empty('Loading…');
  const {markdown: text, ...rest} = report;
  return [
    h('p', {class: 'buttons'},
      h('button', {onclick: () => save(`${job}-report.md`, 'text/markdown', text)}, 'Save as Markdown'),
      h('button', {onclick: () => save(`${job}-report.json`, 'application/json', JSON.stringify(rest, null, 1))}, 'Save as JSON')),
    report.warnings.length > 0 && h('div', {class: 'warning'}, h('h3', null, 'Warnings'), h('ul', null, report.warnings.map(line => h('li', null, line)))),
    h('article', {class: 'report'}, markdown(text)),
  ];
}
