// Makes and updates the page's elements. A view describes what it wants to see with h(), from the
// data it has; show() then changes only what differs, so that focus, selection and scroll positions
// stay. Text always becomes text nodes: nothing that people wrote is ever read as HTML.

const SVG = 'http://www.w3.org/2000/svg';

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) {
      listen(node, name.slice(2), value);
    } else if (name === 'key') {
      node.key = value;
    } else if (name === 'width%') {
      node.style.width = `${value}%`; // By the object model, which the content policy allows.
    } else {
      node.setAttribute(name, value === true ? '' : value);
    }
  }
  return add(node, children);
}

// The handler is looked up when the event comes, so that an update can replace it.
function listen(node, event, handler) {
  node.handlers ??= {};
  if (!(event in node.handlers)) node.addEventListener(event, e => node.handlers[event]?.(e));
  node.handlers[event] = handler;
}

// An element. Attributes may also be `key` (names it among its siblings), `on…` (a handler) and
// `width%`; false, null and undefined leave an attribute or a child out.
export function h(tag, attributes, ...children) {
  return make(document.createElement(tag), attributes, children);
}

// The same for a part of a picture.
export function s(tag, attributes, ...children) {
  return make(document.createElementNS(SVG, tag), attributes, children);
}

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.key === b.key;
}

// What people do to an element themselves is theirs.
function isTheirs(node, name) {
  return (name === 'open' && node.nodeName === 'DETAILS') || (name === 'checked' && node.nodeName === 'INPUT');
}

function update(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  for (const {name} of [...from.attributes]) {
    if (!to.hasAttribute(name) && !isTheirs(from, name)) from.removeAttribute(name);
  }
  for (const {name, value} of to.attributes) {
    if (from.getAttribute(name) === value || isTheirs(from, name)) continue;
    // The content policy forbids styles that are set as text.
    if (name === 'style') from.style.width = to.style.width; else from.setAttribute(name, value);
  }
  // One listener stays for each event; without a handler it does nothing.
  for (const event of Object.keys(from.handlers || {})) from.handlers[event] = null;
  for (const [event, handler] of Object.entries(to.handlers || {})) listen(from, event, handler);
  if (from.nodeName !== 'SELECT' || from.childNodes.length !== to.childNodes.length) children(from, [...to.childNodes]);
}

function children(parent, wanted) {
  let at = parent.firstChild;
  for (const node of wanted) {
    let match = at;
    // An element with a key may have moved.
    if (match && !same(match, node) && node.key !== undefined) {
      while (match && !same(match, node)) match = match.nextSibling;
    }
    if (match && same(match, node)) {
      if (match === at) {
        at = at.nextSibling;
      } else {
        parent.insertBefore(match, at);
      }
      update(match, node);
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// Makes the content of `parent` what is given.
export function show(parent, ...content) {
  const box = document.createDocumentFragment();
  add(box, content);
  children(parent, [...box.childNodes]);
}

// Tells people who listen to the page rather than see it.
export function say(text) {
  document.getElementById('said').textContent = text;
}

// Runs `work` soon, once for however many calls, and at most every `milliseconds`.
export function throttled(work, milliseconds = 200) {
  let timer = 0;
  let last = 0;
  const run = () => {
    timer = 0;
    last = Date.now();
    work();
  };
  const call = () => {
    timer ||= setTimeout(run, Math.max(0, last + milliseconds - Date.now()));
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

// --- parts that several views have ---

export function badge(word, detail) {
  return h('span', {class: `badge ${word}`, title: detail}, word.replaceAll('_', ' '));
}

export function link(href, ...content) {
  return h('a', {href}, ...content);
}

export function empty(text) {
  return h('p', {class: 'empty'}, text);
}

// `columns`: [{title, cell(row), number?, phone?}]; phone: false leaves it out where it is narrow.
export function table(caption, columns, rows, keyOf) {
  const className = column => [column.number && 'number', column.phone === false && 'wide'].filter(Boolean).join(' ') || null;
  return h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption},
    h('table', null,
      h('caption', {class: 'quiet'}, caption),
      h('thead', null, h('tr', null, columns.map(c => h('th', {scope: 'col', class: className(c)}, c.title)))),
      h('tbody', null, rows.map(row =>
        h('tr', {key: keyOf(row)}, columns.map(c => h('td', {class: className(c)}, c.cell(row))))))));
}

// A bar of parts: [{share, word}], shares of 1 in all.
export function bar(label, parts) {
  return h('div', {class: 'bar', role: 'img', 'aria-label': label, title: label},
    parts.filter(part => part.share > 0).map(part => h('span', {class: part.word, key: part.word, 'width%': 100 * part.share})));
}
