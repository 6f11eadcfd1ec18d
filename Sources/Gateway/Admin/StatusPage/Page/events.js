// The stream of snapshots: read with fetch, because an EventSource can't send the token. It comes again by itself, and
// says so when what the page shows is old.

const patience = 5000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Reads events until the stream ends or is silent for too long. */
async function readEvents(response, silence, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  for (;;) {
    silence.restart();
    const { done, value } = await reader.read();
    if (done) return;
    parts.push(value);
    if (!value.includes('\n')) continue;
    // An event ends with an empty line; our data is one line.
    const events = parts.join('').split('\n\n');
    parts = [events.pop()];
    const last = events.findLast((event) => event.startsWith('event: snapshot\n'));
    if (last) take(JSON.parse(last.slice(last.indexOf('data: ') + 6)));
  }
}

/** Cancels a request when nothing has come for a while. */
function silenceWatch() {
  const controller = new AbortController();
  let timer;
  return {
    signal: controller.signal,
    restart() {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), patience);
    },
    end() {
      clearTimeout(timer);
      controller.abort();
    },
  };
}

const live = {
  state: 'connecting',
  /** When the last figures came, by this machine's clock; and their time by the gateway's. */
  came: 0,
  time: 0,
  set(state, text) {
    const wasStale = this.state === 'stale';
    if (state === 'stale' && !wasStale) announce('The connection to the gateway is lost. The figures are old.');
    if (state === 'live' && wasStale) announce('The connection to the gateway is back.');
    this.state = state;
    setAttribute($('live'), 'data-state', state);
    setText($('live-text'), text);
    document.body.classList.toggle('stale', state === 'stale' || state === 'paused');
    if (state === 'stale') document.title = '(?) gateway';
  },
  /** Figures that have come. */
  took(snapshot, how) {
    if (this.state === 'stale') lastAnnounced = undefined;
    this.came = Date.now();
    this.time = snapshot.time;
    this.set('live', how);
  },
  /** The stream is cut. */
  lost() {
    const since = this.came ? `the figures are ${span(Date.now() - this.came)} old, of ${clock(this.time)}` : 'no figures yet';
    this.set('stale', `not connected, ${since}`);
    setText($('headline-others'), this.came ? `Not connected: this is what was known at ${clock(this.time)}.` : '');
    if (!this.came) setText($('headline-text'), 'The gateway does not answer');
  },
};

/** When a page is not looked at, nothing is made for it. */
function untilVisible() {
  if (!document.hidden) return;
  live.set('paused', 'paused while this tab is hidden');
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true });
  });
}

async function follow(take) {
  let failures = 0;
  for (;;) {
    await untilVisible();
    const silence = silenceWatch();
    const hide = () => { if (document.hidden) silence.end(); };
    document.addEventListener('visibilitychange', hide);
    silence.restart();
    try {
      const response = await access.fetch('api/events', { signal: silence.signal });
      if (response.status === 401) {
        silence.end();
        live.set('waiting', 'waiting for the admin token');
        await access.ask();
        continue;
      }
      if (response.ok) {
        await readEvents(response, silence, (snapshot) => {
          failures = 0;
          take(snapshot);
          live.took(snapshot, 'live');
        });
      } else if (response.status === 503) {
        // Too many look already: slower, but it goes.
        const one = await access.fetch('api/status', { signal: silence.signal });
        const snapshot = await one.json();
        take(snapshot);
        live.took(snapshot, 'every 5 s: too many watch');
        silence.end();
        await pause(5000);
        continue;
      }
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof ReferenceError || (error instanceof TypeError && !/fetch|network/i.test(error.message))) console.error(error);
    } finally {
      silence.end();
      document.removeEventListener('visibilitychange', hide);
    }
    if (document.hidden) continue;
    failures += 1;
    live.lost();
    await pause(Math.min(10000, 500 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2));
  }
}
