// Small ways to make elements, and to change only what differs: with thousands of cells everything else would freeze
// the page, and take the focus and the selection away.

const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (`aria-…`, `data-…`, `role`, `scope`) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role' || name === 'scope' || name === 'for') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Undefined takes the attribute away. */
function setAttribute(element, name, value) {
  if (value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

/** Says it to screen readers. Not each second: only what has changed, and not too often. */
const announce = (() => {
  let pending;
  let earliest = 0;
  return (text) => {
    clearTimeout(pending);
    pending = setTimeout(() => {
      earliest = Date.now() + 3000;
      $('announcer').textContent = text;
    }, Math.max(100, earliest - Date.now()));
  };
})();

/** A command to be typed, with a button that copies it where the browser lets a page do that. */
function commandView() {
  const code = make('code');
  const view = make('span', { className: 'command', hidden: true }, code);
  if (navigator.clipboard) {
    const button = make('button', { type: 'button', className: 'small' }, 'Copy');
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        announce('The command is copied');
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Not allowed';
      }
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    view.append(button);
    view.button = button;
  }
  view.show = (command) => {
    setHidden(view, !command);
    setText(code, command ?? '');
    if (view.button) setAttribute(view.button, 'aria-label', command ? `Copy the command ${command}` : 'Copy');
  };
  return view;
}

/** Rows of a definition list by name; they are made when they first come up. */
function definitions(list) {
  const rows = new Map();
  return (name, value, { note = '', level } = {}) => {
    let row = rows.get(name);
    if (!row) {
      const text = make('span');
      const noteText = make('span', { className: 'note' });
      row = { text, noteText, root: make('div', {}, make('dt', {}, name), make('dd', {}, text), noteText) };
      rows.set(name, row);
      list.append(row.root);
    }
    setText(row.text, value);
    setText(row.noteText, note);
    setAttribute(row.root, 'data-level', level);
  };
}
