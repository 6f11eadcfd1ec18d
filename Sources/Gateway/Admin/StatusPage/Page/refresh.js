// The button that refreshes a credential now, and what came of it.

const refreshing = new Map();

/** What the answer says, in words. */
async function outcomeOf(response) {
  let answer = {};
  try { answer = await response.json(); } catch { /* An answer without JSON is told by its status. */ }
  if (response.status === 200) return { text: 'Refreshed', tone: 'ok' };
  if (response.status === 202) return { text: 'Still under way', tone: 'warning' };
  const reason = answer.reason ? words(answer.reason) + (answer.code ? ` (${answer.code})` : '') : answer.error ?? `status ${response.status}`;
  return { text: `Failed: ${reason}`, tone: 'critical' };
}

async function refreshNow(name, show) {
  if (refreshing.get(name)?.isBusy) return;
  refreshing.set(name, { isBusy: true, text: 'Refreshing…' });
  show();
  announce(`Refreshing ${name}`);
  let outcome;
  try {
    const response = await access.fetch(`api/credentials/${encodeURIComponent(name)}/refresh`,
      { method: 'POST', headers: { 'X-Gateway-Admin': 'status-page' } });
    if (response.status === 401) {
      outcome = { text: 'The admin token is needed first', tone: 'warning' };
      access.ask();
    } else {
      outcome = await outcomeOf(response);
    }
  } catch {
    outcome = { text: 'Failed: the gateway does not answer', tone: 'critical' };
  }
  refreshing.set(name, outcome);
  announce(`${name}: ${outcome.text}`);
  show();
  setTimeout(() => {
    if (refreshing.get(name) !== outcome) return;
    refreshing.delete(name);
    show();
  }, 20000);
}

/** The cell with the button. It stays in reach of the keyboard while it is busy. */
function refreshButton(cell, item) {
  const { name } = item;
  const button = make('button', { type: 'button', 'aria-label': `Refresh ${name} now` }, 'Refresh now');
  const result = make('span', { className: 'result' });
  cell.append(button, result);
  const show = () => {
    const state = refreshing.get(name);
    setAttribute(button, 'aria-disabled', state?.isBusy ? 'true' : undefined);
    setText(result, state?.text ?? '');
    setAttribute(result, 'data-tone', state?.tone);
  };
  button.addEventListener('click', () => refreshNow(name, show));
  return { show };
}
