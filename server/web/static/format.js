// Writes values for people.

const MISSING = '–';

// Numbers come as numbers, as text (64 bits, NaN), or not at all.
export function number(value) {
  return value === undefined || value === null || value === '' ? NaN : Number(value);
}

export function digits(value, places = 3) {
  const x = number(value);
  if (!Number.isFinite(x)) return MISSING;
  if (x === 0) return '0';
  if (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3) return x.toExponential(1);
  return x.toLocaleString('en', {maximumSignificantDigits: places + 1});
}

export function count(value) {
  const x = number(value);
  return Number.isFinite(x) ? Math.round(x).toLocaleString('en') : MISSING;
}

export function percent(value, places = 1) {
  const x = number(value);
  return Number.isFinite(x) ? `${(100 * x).toFixed(places)}\u00a0%` : MISSING;
}

export function bytes(value) {
  let x = number(value);
  if (!Number.isFinite(x)) return MISSING;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (x < 1024) return `${unit === 'B' ? x : digits(x, 2)} ${unit}`;
    x /= 1024;
  }
  return `${digits(x, 2)} TiB`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return MISSING;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

// Seconds from one timestamp of the API to another, by default to now.
export function between(start, end) {
  if (!start) return NaN;
  return Math.max(0, ((end ? Date.parse(end) : Date.now()) - Date.parse(start)) / 1000);
}

export function ago(time) {
  return time ? `${duration(between(time))} ago` : MISSING;
}

// Local time; the exact one goes into a title.
export function clock(time) {
  if (!time) return MISSING;
  const date = new Date(time);
  const sameDay = date.toDateString() === new Date().toDateString();
  return date.toLocaleString('en-GB', sameDay ? {timeStyle: 'medium'} : {dateStyle: 'medium', timeStyle: 'short'});
}

export function shortDigest(digest) {
  return digest ? digest.replace('sha256:', '').slice(0, 12) : MISSING;
}

// "TASK_STATE_RUNNING" with the prefix "TASK_STATE_" is "running".
export function word(name, prefix) {
  return (name || '').replace(prefix, '').toLowerCase();
}

export function words(name, prefix) {
  return word(name, prefix).replaceAll('_', ' ');
}
