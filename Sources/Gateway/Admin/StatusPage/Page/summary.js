// The headline, what else is wrong, the tiles, the process; the tab's title and icon, which are seen from other tabs.

const signs = { ok: '✓', warning: '!', critical: '✕', none: '…' };
const headlineCommand = commandView();
const showTile = definitions($('totals'));
const showProcess = definitions($('process'));
let lastAnnounced;

/** A sentence with what to do, and the command for it. */
function fillAction(element, problem, command) {
  const text = problem.action ?? '';
  if (!element.words) {
    element.words = make('span');
    element.append(element.words, ' ', command);
  }
  setText(element.words, problem.command ? `${text}:`.replace('.:', ':') : text);
  command.show(problem.command);
}

function showHeadline(snapshot) {
  const { headline, problems } = snapshot;
  setAttribute($('headline'), 'data-level', headline.level);
  setText($('headline-sign'), signs[headline.level]);
  setText($('headline-text'), headline.text);
  setHidden($('headline-action'), !headline.action);
  fillAction($('headline-action'), headline, headlineCommand);
  const isProblem = headline.level !== 'ok' && problems.length > 0 && problems[0].text === headline.text;
  const others = isProblem ? problems.slice(1) : problems;
  const count = snapshot.problem_count - (isProblem ? 1 : 0);
  setText($('headline-others'), '');
  setHidden($('problems'), count === 0);
  setText($('problems-title'), count > others.length ? `Also wrong (${number(count)}, the first ${others.length})` : 'Also wrong');
  showProblems(others);
  tellState(snapshot);
}

function showProblems(problems) {
  const list = $('problem-list');
  while (list.children.length > problems.length) list.lastElementChild.remove();
  while (list.children.length < problems.length) {
    const item = make('li', {}, make('p'), make('p', { className: 'quiet' }));
    item.command = commandView();
    list.append(item);
  }
  problems.forEach((problem, index) => {
    const item = list.children[index];
    setAttribute(item, 'data-level', problem.level);
    setText(item.firstElementChild, problem.text);
    fillAction(item.lastElementChild, problem, item.command);
  });
}

/** Title, icon and a word to screen readers: when the state changes, not when a number does. */
function tellState({ headline, problems, problem_count: count }) {
  const state = JSON.stringify([headline.level, count, problems.map((problem) => [problem.level, problem.subject])]);
  if (state === lastAnnounced) return;
  if (lastAnnounced !== undefined || headline.level !== 'ok') {
    const others = count > 1 ? ` And ${number(count - 1)} more.` : '';
    announce(`${headline.text} ${headline.action ?? ''} ${headline.command ?? ''}${others}`);
  }
  lastAnnounced = state;
  document.title = headline.level === 'ok' ? '✓ gateway' : `(${signs[headline.level]} ${Math.max(1, count)}) gateway`;
  showIcon(headline.level);
}

function showIcon(level) {
  const colour = { ok: '%230a6b3b', warning: '%23b36b00', critical: '%23c4141f' }[level] ?? '%23707b87';
  const shape = level === 'ok' ? '<circle cx="8" cy="8" r="7"/>' : '<rect x="1" y="1" width="14" height="14" rx="3"/>';
  $('icon').href = `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="${colour}">${shape}</g></svg>`;
}

function showTotals({ totals, window_ms: window }) {
  const lately = window > 0 ? `in the last ${window >= 50000 ? 'minute' : span(window)}` : '';
  const share = totals.recent > 0 ? `${(100 * totals.failures / totals.recent).toFixed(1)} % of ${number(totals.recent)} ` : '';
  showTile('Requests a second', rate(totals.rate), { note: `${number(totals.requests)} since the start` });
  showTile('Failed', window > 0 ? number(totals.failures) : '–',
    { note: share + lately, level: totals.failures === 0 ? undefined : totals.failures * 10 >= totals.recent ? 'critical' : 'warning' });
  const latencyNote = totals.latency_since_start ? 'since the start' : lately;
  showTile('Latency, median', latency(totals.p50_ms), { note: latencyNote });
  showTile('Latency, 99 %', latency(totals.p99_ms), { note: latencyNote });
  showTile('At hand', number(totals.in_flight), { note: 'requests' });
  showTile('Parked', number(totals.parked), { note: 'wait for a token', level: totals.parked > 0 ? 'warning' : undefined });
  showTile('Credentials', `${number(totals.healthy_credentials)} of ${number(totals.credentials)}`,
    { note: 'can serve', level: totals.healthy_credentials < totals.credentials ? 'critical' : undefined });
}

function showProcessFacts(snapshot) {
  const { process, store, reload, time } = snapshot;
  setText($('version'), `version ${process.version}`);
  setText($('uptime'), process.uptime_ms === undefined ? '' : `up ${span(process.uptime_ms)}`);
  setText($('phase'), snapshot.state === 'serving' ? '' : snapshot.state);
  showProcess('Store', store.up ? (store.failures > 0 ? `${number(store.failures)} failures since the start` : 'in order') : 'away',
    { note: store.pending > 0 ? `${number(store.pending)} operations under way` : '', level: store.up ? undefined : 'critical' });
  showProcess('Configuration', reload ? (reload.taken ? `reloaded ${ago(reload.time, time)}` : `reload refused ${ago(reload.time, time)}`) : 'as at the start',
    { note: reload?.problem ?? '', level: reload && !reload.taken ? 'warning' : undefined });
  showProcess('Memory', process.memory_bytes === undefined ? '–' : bytes(process.memory_bytes));
  showProcess('Open files', process.descriptors === undefined ? '–' : `${number(process.descriptors)} of ${number(process.most_descriptors ?? 0)}`);
  showProcess('Data loops', number(process.loops), { note: `longest turn ${latency(process.longest_turn_ms)}` });
  showProcess('Access log', process.access_log_dropped > 0 ? `${number(process.access_log_dropped)} lines lost` : 'no line lost');
}
