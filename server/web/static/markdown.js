// Shows the Markdown of reports: headings, paragraphs, lists, tables, and `code`, **strong** and
// *emphasis* within them. It makes elements and text, never HTML out of text.
import {h} from './dom.js';

function spans(text) {
  return text.replace(/(\d) %/g, '$1\u00a0%').split(/(\\[\\*_|`]|`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/).map(part => {
    if (part.length === 2 && part.startsWith('\\')) return part[1];
    if (part.startsWith('`') && part.length > 2) return h('code', null, part.slice(1, -1));
    if (part.startsWith('**') && part.length > 4) return h('strong', null, part.slice(2, -2));
    if (part.startsWith('*') && part.length > 2) return h('em', null, part.slice(1, -1));
    return part;
  });
}

const cells = line => line.replace(/^\||\|$/g, '').split('|').map(cell => cell.trim());

function tableOf(lines) {
  const isNumber = cells(lines[1]).map(cell => cell.endsWith(':'));
  const row = (line, tag) => h('tr', null, cells(line).map((cell, i) => h(tag, {class: isNumber[i] ? 'number' : null}, spans(cell))));
  return h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': cells(lines[0]).join(', ')},
    h('table', null, h('thead', null, row(lines[0], 'th')), h('tbody', null, lines.slice(2).map(line => row(line, 'td')))));
}

export function markdown(text) {
  const nodes = [];
  for (const block of text.split(/\n\s*\n/)) {
    let lines = block.split('\n').filter(line => line.trim());
    while (lines.length && /^#{1,6} /.test(lines[0])) {
      const [marks] = lines[0].match(/^#+/);
      nodes.push(h(`h${Math.min(6, marks.length + 1)}`, null, spans(lines[0].slice(marks.length).trim())));
      lines = lines.slice(1);
    }
    if (lines.length === 0) continue;
    if (lines[0].startsWith('|') && lines.length > 1) {
      nodes.push(tableOf(lines));
    } else if (lines[0].startsWith('- ')) {
      nodes.push(h('ul', null, lines.map(line => h('li', null, spans(line.replace(/^- /, ''))))));
    } else {
      nodes.push(h('p', null, spans(lines.join(' '))));
    }
  }
  return nodes;
}
