// Draws curves, bars and tables of shares as pictures: axes with round numbers, a legend, and the
// values below the pointer.
import {h, s} from './dom.js';
import {digits, percent} from './format.js';

const WIDTH = 480;
const HEIGHT = 250;
const MARGIN = {left: 74, right: 22, top: 12, bottom: 38};
const INNER = {width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom};

// Round numbers from about `low` to about `high`, at least `finest` apart.
function ticks(low, high, wanted, finest = 0) {
  const raw = Math.max(finest, (high - low) / wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find(factor => factor * power >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; ++at) found.push(at * step);
  return found;
}

// Writes ticks with as many places as tell them apart.
function tickFormat(values) {
  const step = Math.abs(values[1] - values[0]) || 1;
  const places = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  const largest = Math.max(...values.map(Math.abs));
  if (places > 6 || largest >= 1e5) return value => digits(value);
  // Adding zero makes a negative one positive.
  return value => (Number(value.toFixed(places)) + 0).toLocaleString('en', {minimumFractionDigits: places, maximumFractionDigits: places});
}

function powersOfTen(low, high) {
  const found = [];
  for (let at = Math.floor(Math.log10(low)); at <= Math.ceil(Math.log10(high)); ++at) {
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** at;
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found.length > 8 ? found.filter(value => Number.isInteger(Math.log10(value))) : found;
}

function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - Math.abs(low || 1) / 10, high + Math.abs(high || 1) / 10];
  return [low, high];
}

function scaleOf(low, high, size, isLog) {
  const of = isLog ? Math.log10 : value => value;
  const [a, b] = [of(low), of(high)];
  return value => ((of(value) - a) / (b - a)) * size;
}

function axes(x, y, options) {
  const bottom = MARGIN.top + INNER.height;
  return s('g', {class: 'axes'},
    y.ticks.map(value => {
      const at = bottom - y.scale(value);
      return s('g', {key: `y${value}`},
        s('line', {x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: at, y2: at}),
        s('text', {x: MARGIN.left - 7, y: at + 4, 'text-anchor': 'end'}, y.format(value)));
    }),
    x.ticks.map(value => {
      const at = MARGIN.left + x.scale(value);
      return s('g', {key: `x${value}`},
        s('line', {class: 'tick', x1: at, x2: at, y1: bottom, y2: bottom + 4}),
        s('text', {x: at, y: bottom + 17, 'text-anchor': 'middle'}, x.format(value)));
    }),
    s('text', {class: 'axis', x: MARGIN.left + INNER.width / 2, y: HEIGHT - 4, 'text-anchor': 'middle'}, options.x),
    s('text', {class: 'axis', x: 11, y: MARGIN.top + INNER.height / 2, 'text-anchor': 'middle',
      transform: `rotate(-90 11 ${MARGIN.top + INNER.height / 2})`}, options.y));
}

// Says in words what a curve does, for those who do not see it.
function spoken(options, series) {
  const each = series.filter(one => one.points.length).map(one => {
    const [first, last] = [one.points[0], one.points[one.points.length - 1]];
    return `${one.name}: ${options.yFormat(first[1])} at ${options.x} ${options.xFormat(first[0])} to ` +
      `${options.yFormat(last[1])} at ${options.xFormat(last[0])}`;
  });
  return `${options.title}. ${each.join('; ')}`;
}

// Shows the values nearest to the pointer, in the line below the picture.
function follow(event, series, x, options) {
  const figure = event.currentTarget.closest('figure');
  const box = event.currentTarget.getBoundingClientRect();
  const at = ((event.clientX - box.left) / box.width) * WIDTH - MARGIN.left;
  const target = x.values.reduce((best, value) => (Math.abs(x.scale(value) - at) < Math.abs(x.scale(best) - at) ? value : best), x.values[0]);
  if (target === undefined) return;
  const near = series.map(one => [one.name, one.points.find(point => point[0] === target)]).filter(([, point]) => point);
  const line = figure.querySelector('.cursor');
  line.setAttribute('x1', MARGIN.left + x.scale(target));
  line.setAttribute('x2', MARGIN.left + x.scale(target));
  line.removeAttribute('visibility');
  figure.querySelector('.readout').textContent =
    `${options.x} ${options.xFormat(target)}: ${near.map(([name, point]) => `${name} ${options.yFormat(point[1])}`).join(', ')}`;
}

function legend(series) {
  return h('ul', {class: 'legend'}, series.map(one => h('li', {key: one.name},
    s('svg', {viewBox: '0 0 22 8', width: 22, height: 8, 'aria-hidden': 'true'}, s('path', {class: `series c${one.colour}`, d: 'M0 4H22'})),
    one.name)));
}

// Curves. `series`: [{name, colour, points: [[x, y], ...], dots}], by rising x; x are whole numbers. Options: title, x, y
// (labels), xFormat, yFormat, log (the y axis), xTicks.
export function plot(given, series) {
  const options = {xFormat: digits, yFormat: digits, ...given};
  const isShown = ([px, py]) => Number.isFinite(px) && Number.isFinite(py) && (!options.log || py > 0);
  const shown = series.map(one => ({...one, points: one.points.filter(isShown)}));
  const all = shown.flatMap(one => one.points);
  if (all.length === 0) return h('figure', {class: 'plot'}, h('figcaption', null, options.title), h('p', {class: 'empty'}, 'No points yet.'));
  const [x0, x1] = extent(all.map(point => point[0]));
  let [y0, y1] = extent(all.map(point => point[1]));
  const pad = options.log ? 0 : 0.04 * (y1 - y0);
  [y0, y1] = [y0 - pad, y1 + pad];
  const x = {scale: scaleOf(x0, x1, INNER.width), ticks: options.xTicks || ticks(x0, x1, 6, 1), values: [...new Set(all.map(point => point[0]))]};
  const y = {scale: scaleOf(y0, y1, INNER.height, options.log), ticks: options.log ? powersOfTen(y0, y1) : ticks(y0, y1, 5)};
  x.format = given.xFormat || tickFormat(x.ticks);
  y.format = given.yFormat || (options.log ? digits : tickFormat(y.ticks));
  const place = ([px, py]) => [(MARGIN.left + x.scale(px)).toFixed(1), (MARGIN.top + INNER.height - y.scale(py)).toFixed(1)];
  return h('figure', {class: 'plot'},
    h('figcaption', null, options.title),
    s('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': spoken(options, shown), onpointermove: event => follow(event, shown, x, options)},
      axes(x, y, options),
      shown.map(one => s('path', {key: one.name, class: `series c${one.colour}`, d: `M${one.points.map(point => place(point).join(' ')).join('L')}`})),
      shown.map(one => (one.dots || one.points.length === 1) && one.points.map(point => {
        const [cx, cy] = place(point);
        return s('circle', {class: `dot c${one.colour}`, cx, cy, r: 3.5}, s('title', null, `${one.name} ${options.yFormat(point[1])}`));
      })),
      s('line', {class: 'cursor', y1: MARGIN.top, y2: MARGIN.top + INNER.height, visibility: 'hidden'})),
    h('p', {class: 'readout', 'aria-hidden': 'true'}, '\u00a0'),
    legend(series));
}

// A table of shares as coloured cells. `rows`: [{name, values: [0..1]}].
export function heatmap(title, rowTitle, columnTitle, rows) {
  const columns = Math.max(...rows.map(row => row.values.length));
  const most = Math.max(...rows.flatMap(row => row.values), 1e-9);
  return h('figure', {class: 'heat'},
    h('figcaption', null, title),
    h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title},
      h('table', null,
        h('thead', null, h('tr', null, h('th', {scope: 'col'}, `${rowTitle} \\ ${columnTitle}`),
          Array.from({length: columns}, (_, i) => h('th', {scope: 'col', class: 'number'}, i)))),
        h('tbody', null, rows.map(row => h('tr', {key: row.name}, h('th', {scope: 'row'}, row.name),
          row.values.map(value => h('td', {class: `number heat${Math.round((9 * value) / most)}`}, percent(value, 0)))))))));
}

// Bars side by side. `groups`: [{name, values: {series: number}}]; `series`: names in order.
export function bars(title, xLabel, yLabel, groups, series) {
  const most = Math.max(1, ...groups.flatMap(group => series.map(name => group.values[name] || 0)));
  const step = INNER.width / groups.length;
  const width = Math.min(28, (0.8 * step) / series.length);
  const bottom = MARGIN.top + INNER.height;
  const y = {scale: value => (value / most) * INNER.height, ticks: ticks(0, most, 4, 1), format: digits};
  return h('figure', {class: 'plot'},
    h('figcaption', null, title),
    s('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${title}. ${groups.map(group =>
      `${group.name}: ${series.map(name => `${name} ${group.values[name] || 0}`).join(', ')}`).join('; ')}`},
    axes({ticks: [], scale: () => 0}, y, {x: xLabel, y: yLabel}),
    groups.map((group, i) => s('g', {key: group.name},
      series.map((name, j) => {
        const height = y.scale(group.values[name] || 0);
        return s('rect', {class: `fill c${j}`, x: MARGIN.left + (i + 0.5) * step + (j - series.length / 2) * width, y: bottom - height,
          width: width - 2, height}, s('title', null, `${name}: ${group.values[name] || 0}`));
      }),
      s('text', {x: MARGIN.left + (i + 0.5) * step, y: bottom + 17, 'text-anchor': 'middle'}, group.name)))),
    legend(series.map((name, colour) => ({name, colour}))));
}

// A line without axes: how something went lately. `values` 0 to 1.
export function sparkline(label, values) {
  const step = 120 / Math.max(1, values.length - 1);
  return s('svg', {class: 'spark', viewBox: '0 0 120 24', width: 120, height: 24, role: 'img', 'aria-label': label},
    s('path', {class: 'series c0', d: `M${values.map((value, i) => `${(i * step).toFixed(1)} ${(22 - 20 * value).toFixed(1)}`).join('L')}`}));
}
