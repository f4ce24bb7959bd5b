// Talks to the server: answers as JSON, and streams of events that reconnect by themselves and go on
// where they were. The token, if one is needed, stays in this tab.

const TOKEN = 'distillery-token';
const ROOT = 'api/v1/';
const SLOWEST_RETRY = 5000;
// The server says something at least every ten seconds.
const SILENCE = 25000;
// A page that nobody looks at lets go of its stream.
const HIDDEN_FOR = 10000;

export class ApiError extends Error {
  constructor(status, body) {
    super(body.message || `the server answered ${status}`);
    this.status = status;
    this.reason = (body.details || []).find(detail => detail.reason)?.reason || '';
  }
}

export function setToken(token) {
  if (token) {
    sessionStorage.setItem(TOKEN, token);
  } else {
    sessionStorage.removeItem(TOKEN);
  }
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

function headers(more) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? {...more, Authorization: `Bearer ${token}`} : {...more};
}

function address(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters || {}).filter(([, value]) => value !== undefined && value !== ''));
  return ROOT + path.map(encodeURIComponent).join('/') + (query.size ? `?${query}` : '');
}

// Called with an ApiError when the server wants to know who asks.
let onUnauthorized = () => {};
export function setUnauthorizedHandler(handler) {
  onUnauthorized = handler;
}

async function failureOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not of ours: a proxy, or a server that stands by.
  }
  const error = new ApiError(response.status, body);
  if (response.status === 401) onUnauthorized(error);
  return error;
}

async function get(path, parameters, signal) {
  const response = await fetch(address(path, parameters), {headers: headers(), signal});
  if (!response.ok) throw await failureOf(response);
  return response;
}

// `path` is a list of parts: ['jobs', id, 'tasks'].
export async function getJson(path, parameters, signal) {
  return (await get(path, parameters, signal)).json();
}

export async function getText(path, parameters, signal) {
  return (await get(path, parameters, signal)).text();
}

export async function getBlob(path, signal) {
  return (await get(path, {}, signal)).blob();
}

// All items of a list that comes in pages, at most `most`.
export async function getAll(path, field, parameters, most, signal) {
  const items = [];
  let token = '';
  do {
    const page = await getJson(path, {...parameters, page_token: token}, signal);
    items.push(...page[field]);
    token = page.next_page_token;
  } while (token && items.length < most);
  return items;
}

// Splits a body of text/event-stream into events.
async function* eventsOf(body, onSign) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    onSign();
    text += value;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = {name: 'message', id: '', data: ''};
      for (const line of text.slice(0, end).split('\n')) {
        if (line.startsWith('event: ')) event.name = line.slice(7);
        if (line.startsWith('id: ')) event.id = line.slice(4);
        if (line.startsWith('data: ')) event.data = line.slice(6);
      }
      text = text.slice(end + 2);
      if (event.data) yield event;
    }
  }
}

const delay = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Errors that another try will not mend.
const isFinal = error => error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;

// The status that stands for a code of the API in the last event of a stream.
const STATUS = {3: 400, 5: 404, 7: 403, 16: 401};

// Follows a stream of events until close() or its end. `handlers`: by name of the event; beside those
// of the server, state(word, error): "connecting", "live", "lost", "over", "refused".
export class Stream {
  constructor(path, parameters, lastId, handlers) {
    this.path = path;
    this.parameters = parameters;
    this.lastId = lastId;
    this.handlers = handlers;
    this.closed = false;
    this.abort = null;
    this.onVisible = () => this.visibilityChanged();
    document.addEventListener('visibilitychange', this.onVisible);
    this.run();
  }

  close() {
    this.closed = true;
    clearTimeout(this.hiding);
    document.removeEventListener('visibilitychange', this.onVisible);
    this.abort?.abort();
  }

  visibilityChanged() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => this.abort?.abort(), HIDDEN_FOR);
    } else {
      this.shown?.();
    }
  }

  async run() {
    let wait = 250;
    while (!this.closed) {
      if (document.hidden) await new Promise(resolve => (this.shown = resolve));
      if (this.closed) return;
      this.tell('connecting');
      try {
        await this.follow(() => (wait = 250));
        if (this.closed) return;
        if (this.over) {
          this.closed = true;
          return this.tell('over');
        }
      } catch (error) {
        if (this.closed) return;
        if (isFinal(error)) {
          this.close();
          return this.tell('refused', error);
        }
      }
      if (document.hidden) continue;
      this.tell('lost');
      await delay(wait * (0.75 + 0.5 * Math.random()));
      wait = Math.min(2 * wait, SLOWEST_RETRY);
    }
  }

  // Reads one connection to its end.
  async follow(onLive) {
    this.abort = new AbortController();
    let alarm = 0;
    const onSign = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => this.abort.abort(), SILENCE);
    };
    onSign();
    try {
      const response = await fetch(address(this.path, this.parameters), {
        headers: headers(this.lastId ? {'Last-Event-ID': this.lastId} : {}),
        cache: 'no-store',
        signal: this.abort.signal,
      });
      if (!response.ok) throw await failureOf(response);
      onLive();
      this.tell('live');
      for await (const event of eventsOf(response.body, onSign)) {
        if (this.closed) return;
        if (event.id) this.lastId = event.id;
        if (event.name === 'end') this.over = true;
        if (event.name === 'failure') this.failed(JSON.parse(event.data));
        this.handle(event.name, JSON.parse(event.data));
      }
    } finally {
      clearTimeout(alarm);
    }
  }

  // A view that fails over one event is a fault of ours, not of the connection.
  handle(name, data) {
    try {
      this.handlers[name]?.(data);
    } catch (error) {
      console.error(error);
    }
  }

  failed(body) {
    const error = new ApiError(STATUS[body.code] || 503, body);
    if (error.status === 401) onUnauthorized(error);
    throw error;
  }

  tell(state, error) {
    this.handlers.state?.(state, error);
  }
}
