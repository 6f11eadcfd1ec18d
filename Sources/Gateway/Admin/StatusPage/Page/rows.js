// The four tables: credentials, routes, upstreams, listeners.

function stateTone(item) {
  return item.level ?? (item.state === 'ready' || item.state === 'refreshing' ? 'ok' : 'quiet');
}

const causes = {
  missing: 'there was no token', refresh_ahead: 'ahead of its end', rejected: 'after a refusal', admin: 'asked for',
  resend: 'sent again',
};
const outcomes = { success: 'refreshed', restored: 'from the store', adopted: "another replica's", login: 'logged in' };

function lastRefresh(last, now) {
  if (!last) return ['none yet', ''];
  const took = last.took_ms === undefined ? '' : ` in ${latency(Math.max(1, last.took_ms))}`;
  const cause = last.cause ? `, ${causes[last.cause] ?? words(last.cause)}` : '';
  const outcome = outcomes[last.outcome] ?? `failed: ${last.code || words(last.outcome)}`;
  return [`${last.success ? '✓' : '✕'} ${outcome}`, `${ago(last.time, now)}${took}${cause}`, last.success ? undefined : 'critical'];
}

function updateCredential(cells, item, now) {
  const { name, lease, last, next, refreshToken, parked, action } = cells;
  setText(name.state, words(item.state));
  setAttribute(name.state, 'data-level', stateTone(item));
  setText(name.reason, item.reason ? `${words(item.reason)}${item.code ? ` (${item.code})` : ''}` : '');
  name.command.show(item.command);
  if (item.expires === undefined) {
    lease.show(undefined, 'no token');
  } else {
    const left = Math.max(0, item.expires - now);
    const part = item.lifetime_ms ? Math.min(1, left / item.lifetime_ms) : undefined;
    const level = left === 0 || !item.serving ? 'critical' : part < 0.15 ? 'warning' : undefined;
    lease.show(part, left === 0 ? 'is over' : `${span(left)} left${item.lifetime_ms ? ` of ${span(item.lifetime_ms)}` : ''}`, level);
  }
  last.show(...lastRefresh(item.last_refresh, now));
  next.show(item.next_attempt === undefined ? (item.state === 'needs_login' ? 'after a login' : item.state === 'refreshing' ? 'now' : 'when asked for')
    : until(item.next_attempt, now), item.failed_grants > 0 ? `${number(item.failed_grants)} of ${number(item.grants)} failed` : '');
  const isEnding = item.alarms?.includes('refresh_token_ending');
  refreshToken.show(item.refresh_token_end === undefined ? 'unknown'
    : item.refresh_token_end <= now ? 'is over' : `${span(item.refresh_token_end - now)} left`, '', isEnding ? 'warning' : undefined);
  parked.show(item.parked ? number(item.parked) : '0', '', item.parked ? 'warning' : undefined);
  action.show(item);
}

function credentialName(cell, item) {
  const state = make('span', { className: 'state' });
  const reason = make('span', { className: 'note' });
  const command = commandView();
  cell.append(make('span', {}, item.name), ' ', state, reason, command);
  return { state, reason, command };
}

const credentials = new LiveTable($('credentials'), {
  title: 'Credentials',
  caption: 'Tokens in use, those that need attention first. Refreshes happen by themselves; the buttons are for those who will not wait.',
  columns: [
    { name: 'name', title: 'Credential', isHeader: true, make: credentialName },
    { name: 'lease', title: 'Token', className: 'wide', make: (cell, item) => meterView(cell, `Life left of the token of ${item.name}`) },
    { name: 'last', title: 'Last refresh', make: twoLines },
    { name: 'next', title: 'Next', make: twoLines },
    { name: 'refreshToken', title: 'Refresh token', make: twoLines },
    { name: 'parked', title: 'Parked', className: 'number', make: twoLines },
    { name: 'action', title: 'Action', make: refreshButton },
  ],
  key: (item) => item.name,
  update: updateCredential,
  text: (item) => `${item.name} ${words(item.state)} ${item.reason ?? ''} ${item.code ?? ''}`,
  empty: 'No credentials are configured.',
});

function updateRoute(cells, item) {
  setText(cells.name.text, item.name === '' ? '(no route)' : item.name);
  setText(cells.name.note, item.name === '' ? 'requests that matched none' : item.credential ? `with ${item.credential}` : 'without a credential');
  cells.rate.show(rate(item.rate), '');
  const share = item.recent > 0 ? `${(100 * item.failures / item.recent).toFixed(1)} %` : '';
  cells.failures.show(number(item.failures), item.failures > 0 ? `${share}${item.reason ? `, ${words(item.reason)}` : ''}` : '', item.failures > 0 ? item.level ?? 'warning' : undefined);
  cells.refusals.show(number(item.refusals), item.failures === 0 && item.refusals > 0 && item.reason ? words(item.reason) : '');
  cells.p50.show(latency(item.p50_ms), item.latency_since_start ? 'since the start' : '');
  cells.p99.show(latency(item.p99_ms), item.latency_since_start ? 'since the start' : '');
  cells.total.show(number(item.requests), '');
}

const nameAndNote = (cell) => {
  const text = make('span');
  const note = make('span', { className: 'note' });
  cell.append(text, note);
  return { text, note };
};

const figure = (name, title) => ({ name, title, className: 'number', make: twoLines });

const routes = new LiveTable($('routes'), {
  title: 'Routes',
  caption: 'Requests a second over the last five seconds; failures, 4xx and latency of the last minute.',
  columns: [
    { name: 'name', title: 'Route', isHeader: true, make: nameAndNote },
    figure('rate', 'Requests/s'), figure('failures', 'Failed'), figure('refusals', '4xx'), figure('p50', 'p50'), figure('p99', 'p99'),
    figure('total', 'All'),
  ],
  key: (item) => `${item.name} ${item.credential ?? ''}`,
  update: updateRoute,
  text: (item) => `${item.name} ${item.credential ?? ''} ${item.reason ?? ''}`,
  empty: 'No routes are configured.',
});

const upstreams = new LiveTable($('upstreams'), {
  title: 'Upstream servers',
  caption: 'Connections by what they are doing, requests that wait for one, and connects that failed.',
  columns: [
    { name: 'name', title: 'Server', isHeader: true, make: nameAndNote },
    figure('active', 'Active'), figure('idle', 'Idle'), figure('connecting', 'Connecting'), figure('waiting', 'Waiting'), figure('failures', 'Failed'),
  ],
  key: (item) => item.name,
  update(cells, item) {
    setText(cells.name.text, item.name);
    setText(cells.name.note, item.level ? 'left alone for a while' : '');
    for (const name of ['active', 'idle', 'connecting']) cells[name].show(number(item[name]), '');
    cells.waiting.show(number(item.waiting), '', item.waiting > 0 ? 'warning' : undefined);
    cells.failures.show(number(item.failures), item.failures > 0 ? `of ${number(item.connects)}` : '', item.recent_failures > 0 ? 'critical' : undefined);
  },
  text: (item) => item.name,
  empty: 'No upstreams are configured.',
});

const listeners = new LiveTable($('listeners'), {
  title: 'Listeners',
  caption: 'Connections with callers.',
  columns: [
    { name: 'name', title: 'Listener', isHeader: true, make: nameAndNote },
    figure('connections', 'Open'), figure('rate', 'New/s'), figure('accepted', 'All'), figure('shed', 'Turned away'),
  ],
  key: (item) => item.name,
  update(cells, item) {
    setText(cells.name.text, item.name);
    cells.connections.show(number(item.connections), '');
    cells.rate.show(rate(item.rate), '');
    cells.accepted.show(number(item.accepted), '');
    cells.shed.show(number(item.shed), '', item.level);
  },
  text: (item) => item.name,
  empty: 'Nothing listens.',
});

/** How many there are, and how many need attention. */
function tally(items) {
  const count = items.filter((item) => item.level).length;
  return `${number(items.length)}${count > 0 ? `, ${number(count)} ${count === 1 ? 'needs' : 'need'} attention` : ''}`;
}

function showTables(snapshot) {
  for (const [table, items] of [[credentials, snapshot.credentials], [routes, snapshot.routes], [upstreams, snapshot.upstreams], [listeners, snapshot.listeners]]) {
    table.show(items, snapshot.time, tally(items));
  }
}
