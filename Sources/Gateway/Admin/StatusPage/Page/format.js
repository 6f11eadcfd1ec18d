// Numbers and times in words. Times are milliseconds.

const decimal = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A count. */
const number = (value) => whole.format(value);

/** Something a second; undefined while it is not known. */
const rate = (value) => value === undefined ? '–' : value > 0 && value < 0.05 ? '< 0.1' : (value < 100 ? decimal : whole).format(value);

/** A latency. */
function latency(value) {
  if (value === undefined) return '–';
  if (value < 1) return `${value.toFixed(2)} ms`;
  if (value < 10) return `${decimal.format(value)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return value >= 60000 ? '≥ 60 s' : `${(value / 1000).toFixed(1)} s`;
}

/** A time span in its two largest units: `2 d 4 h`, `3 min 20 s`. */
function span(milliseconds) {
  let seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [];
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}\u00a0${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0\u00a0s';
}

/** The same in one unit, for what is not counted down: it changes less often. */
const roughly = (milliseconds) => milliseconds < 10000 ? 'moments' : span(milliseconds).split(' ')[0];

/** When it was, or will be. */
const ago = (time, now) => now - time < 1500 ? 'just now' : `${roughly(now - time)} ago`;
const until = (time, now) => time <= now ? 'due now' : `in ${span(time - now)}`;

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let index = 0;
  while (value >= 1024 && index < units.length - 1) { value /= 1024; index += 1; }
  return `${value < 10 && index > 0 ? value.toFixed(1) : Math.round(value)} ${units[index]}`;
}

/** `backing_off` → `backing off`. */
const words = (text) => text.replaceAll('_', ' ');

const clock = (time) => new Date(time).toLocaleTimeString('en-GB');
