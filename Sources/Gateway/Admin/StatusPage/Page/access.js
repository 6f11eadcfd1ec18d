// The admin token: kept in this tab, sent in a header, never in a URL.

const access = (() => {
  const place = 'gateway-admin-token';
  let token = '';
  try { token = sessionStorage.getItem(place) ?? ''; } catch { /* Storage is switched off: it is kept in memory. */ }
  let waiting = [];

  function keep(value) {
    token = value;
    try {
      if (value) sessionStorage.setItem(place, value); else sessionStorage.removeItem(place);
    } catch { /* As above. */ }
  }

  $('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    keep($('token').value.trim());
    $('token').value = '';
    $('token-form').hidden = true;
    $('main').focus();
    const ready = waiting;
    waiting = [];
    for (const resolve of ready) resolve();
  });

  return {
    /** Like `fetch`, with the token. */
    fetch(path, options = {}) {
      const headers = { ...options.headers };
      if (token) headers.Authorization = `Bearer ${token}`;
      return fetch(path, { cache: 'no-store', credentials: 'omit', redirect: 'error', ...options, headers });
    },
    /** Asks for the token, after a 401. Returns when there is one. */
    ask() {
      $('token-error').textContent = token ? 'The listener does not take this token.' : '';
      keep('');
      if ($('token-form').hidden) {
        $('token-form').hidden = false;
        $('token').focus();
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
  };
})();
