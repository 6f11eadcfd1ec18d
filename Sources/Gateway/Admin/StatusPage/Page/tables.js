// A table whose rows stay the same elements as long as their things are there: filtered, those that need attention first,
// and with very many rows only the first of them until somebody asks for all.

const firstRows = 100;
const ranks = { critical: 0, warning: 1 };

class LiveTable {
  /**
   * `columns`: `{ title, className, isHeader, make() → element to be filled }`; `key(item)` names a row for good;
   * `update(cells, item, now)` fills its cells; `text(item)` is what the filter looks at.
   */
  constructor(section, { title, caption, columns, key, update, text, empty }) {
    Object.assign(this, { columns, key, update, text });
    this.rows = new Map();
    this.items = [];
    this.showsAll = false;
    this.touched = 0;
    const id = section.id;
    this.title = make('h2', { id: `${id}-title` }, title);
    this.tally = make('p', { className: 'tally' });
    this.filter = make('input', { type: 'search', id: `${id}-filter`, autocomplete: 'off', spellcheck: false });
    this.filterBox = make('p', { className: 'filter', hidden: true },
      make('label', { for: this.filter.id }, 'Filter', make('span', { className: 'unseen' }, ` ${title.toLowerCase()}`)), this.filter);
    this.body = make('tbody', { role: 'rowgroup' });
    const heads = columns.map((column) =>
      make('th', { scope: 'col', role: 'columnheader', className: column.className ?? '' }, column.title));
    // With the roles written out it stays a table for screen readers where the style makes cards of its rows.
    this.table = make('table', { role: 'table' }, make('caption', {}, caption),
      make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...heads)), this.body);
    this.none = make('p', { className: 'empty', hidden: true }, empty);
    this.more = make('button', { type: 'button', className: 'more', hidden: true });
    section.append(make('div', { className: 'bar-top' }, this.title, this.tally, this.filterBox), this.table, this.none, this.more);
    this.filter.addEventListener('input', () => { this.touched = 0; this.arrange(); });
    this.more.addEventListener('click', () => { this.showsAll = !this.showsAll; this.arrange(); });
    this.body.addEventListener('pointermove', () => { this.touched = Date.now(); });
  }

  /** New figures. */
  show(items, now, tally) {
    this.items = items;
    this.now = now;
    setText(this.tally, tally);
    setHidden(this.filterBox, items.length < 8 && this.filter.value === '');
    const known = new Set(items.map(this.key));
    for (const [key, row] of this.rows) {
      if (known.has(key)) continue;
      row.root.remove();
      this.rows.delete(key);
    }
    this.arrange();
  }

  /** Rows do not move under somebody's finger, nor away from the focus. */
  get isHeld() {
    return this.body.contains(document.activeElement) || Date.now() - this.touched < 2000;
  }

  arrange() {
    const wanted = this.filter.value.trim().toLowerCase();
    let shown = this.items.filter((item) => wanted === '' || this.text(item).toLowerCase().includes(wanted));
    const rank = (item) => ranks[item.level] ?? 2;
    shown = shown.map((item, index) => ({ item, index })).sort((a, b) => rank(a.item) - rank(b.item) || a.index - b.index)
      .map(({ item }) => item);
    const count = shown.length;
    if (!this.showsAll) shown = shown.slice(0, firstRows);
    const roots = new Set();
    let place = this.body.firstElementChild;
    const isHeld = this.isHeld;
    for (const item of shown) {
      const row = this.row(item);
      roots.add(row.root);
      this.update(row.cells, item, this.now, row);
      setAttribute(row.root, 'data-level', item.level);
      if (row.root === place) {
        place = place.nextElementSibling;
      } else if (!row.root.isConnected || !isHeld) {
        this.body.insertBefore(row.root, place);
      }
    }
    for (const root of [...this.body.children]) if (!roots.has(root) && !(isHeld && root.contains(document.activeElement))) root.remove();
    setHidden(this.table, count === 0);
    setHidden(this.none, count > 0);
    setText(this.none, this.items.length > 0 ? 'Nothing matches the filter.' : this.none.textContent);
    setHidden(this.more, count <= firstRows);
    setText(this.more, this.showsAll ? `Show only the first ${firstRows}` : `Show all ${number(count)}`);
  }

  row(item) {
    const key = this.key(item);
    const known = this.rows.get(key);
    if (known) return known;
    const cells = {};
    const root = make('tr', { role: 'row' });
    for (const column of this.columns) {
      const cell = column.isHeader
        ? make('th', { scope: 'row', role: 'rowheader' })
        : make('td', { role: 'cell', className: column.className ?? '', 'data-label': column.title });
      cells[column.name] = column.make ? column.make(cell, item) : cell;
      root.append(cell);
    }
    const row = { root, cells };
    this.rows.set(key, row);
    return row;
  }
}

/** A cell with a line of text and a smaller one below it. */
function twoLines(cell) {
  const text = make('span');
  const note = make('span', { className: 'note' });
  cell.append(text, note);
  return {
    cell,
    show(line, small = '', tone) {
      setText(text, line);
      setText(note, small);
      setAttribute(text, 'data-tone', tone);
      cell.classList.toggle('blank', line === '' && small === '');
    },
  };
}

/** A bar for what is left of something. */
function meterView(cell, label) {
  const text = make('span');
  const fill = make('div');
  const meter = make('div', { className: 'meter', role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, fill);
  cell.append(text, meter);
  return {
    show(part, line, level) {
      setText(text, line);
      setHidden(meter, part === undefined);
      if (part === undefined) return;
      const percent = Math.round(part * 100);
      setAttribute(meter, 'aria-valuenow', percent);
      setAttribute(meter, 'aria-valuetext', line);
      setAttribute(meter, 'data-level', level);
      const transform = `scaleX(${part.toFixed(4)})`;
      if (fill.style.transform !== transform) fill.style.transform = transform;
    },
  };
}
