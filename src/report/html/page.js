// Makes the page move: theme, tables that sort, charts that share a cursor and a zoom. Without it everything is there to read.
(() => {
'use strict';
const root = document.documentElement;

// Storage may be forbidden, as in a frame without rights.
const remembered = () => { try { return localStorage.getItem('wavetank-theme'); } catch { return null; } };
const remember = (theme) => { try { localStorage.setItem('wavetank-theme', theme); } catch { /* then it is not */ } };
if (['light', 'dark'].includes(remembered())) root.dataset.theme = remembered();

document.addEventListener('DOMContentLoaded', () => { themes(); tables(); charts(); paper(); });

function themes() {
  const button = document.getElementById('theme');
  if (!button) return;
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const name = () => { button.textContent = dark() ? 'Light theme' : 'Dark theme'; };
  button.hidden = false;
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    remember(root.dataset.theme);
    name();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', name);
  name();
}

function tables() {
  for (const table of document.querySelectorAll('table[data-sort]')) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute('aria-sort', 'none');
      button.addEventListener('click', () => {
        const up = head.getAttribute('aria-sort') !== 'ascending';
        heads.forEach((each) => each.setAttribute('aria-sort', 'none'));
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const rows = [...body.rows].map((row) => ({ row, key: key(row.cells[column]) }));
        rows.sort((a, b) => compare(a.key, b.key, up));
        body.append(...rows.map((each) => each.row));
      });
    });
  }
}

// A number where the cell has one, its text otherwise; null where it has nothing to say.
function key(cell) {
  const data = cell.querySelector('data');
  if (data) return Number(data.value);
  const text = cell.textContent.trim();
  return text === '–' || text === '' ? null : text;
}

function compare(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en');
  return up ? order : -order;
}

function paper() {
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((each) => { each.open = true; }));
}

// "3*2,,5" is 3, 3, nothing, 5.
function listed(text) {
  const values = [];
  for (const part of text.split(',')) {
    const [value, times] = part.split('*');
    for (let i = 0; i < Number(times ?? 1); i++) values.push(value === '' ? NaN : Number(value));
  }
  return values;
}

function span(seconds) {
  const s = Math.round(seconds * 10) / 10;
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'm']];
  let rest = s, text = '';
  for (const [length, unit] of parts) {
    const n = Math.floor(rest / length);
    if (n > 0) text += n + unit;
    rest -= n * length;
  }
  rest = Math.round(rest * 10) / 10;
  return rest > 0 || text === '' ? text + rest + 's' : text;
}

function shown(value, unit) {
  if (!Number.isFinite(value)) return '–';
  if (unit === 'ms') {
    const [v, name] = value < 1 ? [value * 1e3, ' µs'] : value < 1e3 ? [value, ' ms'] : [value / 1e3, ' s'];
    return Number(v.toPrecision(3)) + name;
  }
  return Number(value.toPrecision(4)).toLocaleString('en') + (unit === '%' ? ' %' : unit === 'requests/s' ? '/s' : '');
}

function charts() {
  const panels = [...document.querySelectorAll('figure > svg[data-end]')].map(panel);
  if (panels.length === 0) return;
  const end = Math.max(...panels.map((each) => each.end)), step = Math.min(...panels.map((each) => each.step));
  let from = 0, to = end, cursor = null;
  const tools = document.querySelector('.tools');
  const range = document.getElementById('range'), spoken = document.createElement('p'), tip = document.createElement('div');
  spoken.className = 'quiet';
  spoken.setAttribute('role', 'status');
  tip.id = 'tip';
  tip.hidden = true;
  document.body.append(spoken, tip);

  const x = (each, t) => each.left + (t - from) / (to - from) * each.width;

  function draw() {
    const whole = from === 0 && to === end;
    for (const each of panels) {
      const scale = each.width / each.end;
      each.plot.setAttribute('viewBox', `${from * scale} 0 ${(to - from) * scale} ${each.height}`);
      each.axis.replaceChildren(...(whole ? each.ticks : ticks(each)));
      for (const [node, t] of each.moments) {
        const inside = t >= from && t <= to;
        node.setAttribute('display', inside ? 'inline' : 'none');
        if (inside) node.setAttribute('transform', `translate(${x(each, t).toFixed(1)} ${each.top})`);
      }
    }
    if (range) range.textContent = whole ? 'The whole run.' : `${span(from)} to ${span(to)}.`;
    point(cursor);
  }

  function ticks(each) {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
    const wide = steps.find((s) => s >= (to - from) / 8) ?? 604800;
    const nodes = [];
    for (let t = Math.ceil(from / wide) * wide; t <= to; t += wide) {
      const text = document.createElementNS(each.svg.namespaceURI, 'text');
      const at = x(each, t), right = each.left + each.width;
      text.setAttribute('x', at.toFixed(1));
      text.setAttribute('y', each.foot);
      text.setAttribute('text-anchor', at > right - 30 ? 'end' : at < each.left + 20 ? 'start' : 'middle');
      text.textContent = span(t);
      nodes.push(text);
    }
    return nodes;
  }

  // Puts the cursor at a moment, on every panel; null takes it away.
  function point(t) {
    cursor = t === null ? null : Math.min(Math.max(t, from), Math.max(from, to - step / 2));
    for (const each of panels) {
      each.cursor.setAttribute('display', cursor === null ? 'none' : 'inline');
      const i = cursor === null ? -1 : Math.floor(cursor / each.step + 1e-9);
      each.series.forEach((line) => { line.output.textContent = i < 0 ? '' : shown(line.values[i] ?? NaN, each.unit); });
      if (cursor === null) continue;
      const at = x(each, cursor).toFixed(1);
      each.line.setAttribute('d', `M${at} ${each.top}v${each.height}`);
      each.label.setAttribute('x', at);
      each.label.setAttribute('y', each.foot);
      each.label.setAttribute('text-anchor', at > each.left + each.width - 40 ? 'end' : at < each.left + 40 ? 'start' : 'middle');
      each.label.textContent = span(cursor);
    }
  }

  function zoom(a, b) {
    const least = Math.min(end, 5 * step);
    let low = Math.min(a, b), high = Math.max(a, b);
    if (high - low < least) {
      const middle = (low + high) / 2;
      [low, high] = [middle - least / 2, middle + least / 2];
    }
    if (low < 0) [low, high] = [0, high - low];
    if (high > end) [low, high] = [Math.max(0, low - (high - end)), end];
    [from, to] = [low, high];
    draw();
  }

  function scale(factor) {
    const middle = cursor ?? (from + to) / 2;
    zoom(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  const reset = () => zoom(0, end);

  function explain(mark, node) {
    tip.textContent = mark;
    tip.hidden = false;
    const box = node.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.min(box.left, document.documentElement.clientWidth - own.width - 8);
    tip.style.left = `${Math.max(4, left) + scrollX}px`;
    tip.style.top = `${box.bottom + scrollY + 6}px`;
  }

  // The next decision after the cursor, or the one before it.
  function jump(direction) {
    const marks = panels.flatMap((each) => each.marks).sort((a, b) => a.t - b.t);
    const here = cursor ?? (direction > 0 ? -1 : end + 1);
    const next = direction > 0 ? marks.find((m) => m.t > here + 1e-6) : marks.findLast((m) => m.t < here - 1e-6);
    if (!next) return;
    if (next.t < from || next.t > to) zoom(next.t - (to - from) / 2, next.t + (to - from) / 2);
    point(next.t);
    cursor = next.t;
    explain(next.text, next.node);
    spoken.textContent = next.text;
  }

  function speak(each) {
    if (cursor === null) return;
    const parts = each.series.map((line) => `${line.name} ${line.output.textContent}`);
    spoken.textContent = `${span(cursor)}: ${parts.join(', ')}`;
  }

  function pressed(event, each) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const stride = Math.max(step, (to - from) / (event.shiftKey ? 20 : 200));
    const move = (t) => {
      if (t < from) zoom(t, t + to - from);
      else if (t > to) zoom(t - (to - from), t);
      point(t);
      speak(each);
    };
    const here = cursor ?? (from + to) / 2;
    const actions = {
      ArrowLeft: () => move(Math.max(0, here - stride)),
      ArrowRight: () => move(Math.min(end - step / 2, here + stride)),
      Home: () => move(from),
      End: () => move(to - step / 2),
      '+': () => scale(0.5),
      '=': () => scale(0.5),
      '-': () => scale(2),
      '0': reset,
      Escape: () => { tip.hidden = true; point(null); },
      n: () => jump(1),
      p: () => jump(-1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    tip.hidden = true;
    action();
  }

  for (const each of panels) {
    const { svg } = each;
    const moment = (event) => {
      const box = svg.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      return from + (at - each.left) / each.width * (to - from);
    };
    let began = null;
    svg.setAttribute('tabindex', '0');
    svg.setAttribute('role', 'group');
    svg.addEventListener('pointerdown', (event) => {
      // A finger scrolls; a mouse or a pen chooses.
      if (event.button !== 0 || event.pointerType === 'touch') return;
      began = moment(event);
      try { svg.setPointerCapture(event.pointerId); } catch { /* then it ends at the border */ }
    });
    svg.addEventListener('pointermove', (event) => {
      const t = moment(event);
      if (began !== null) {
        const a = x(each, Math.min(Math.max(Math.min(began, t), from), to)), b = x(each, Math.min(Math.max(began, t), to));
        each.choice.setAttribute('x', a);
        each.choice.setAttribute('width', Math.max(0, b - a));
        each.choice.setAttribute('display', 'inline');
      }
      point(t >= from - 0.02 * (to - from) && t <= to ? t : null);
    });
    svg.addEventListener('pointerup', (event) => {
      each.choice.setAttribute('display', 'none');
      const t = moment(event), first = began;
      began = null;
      if (first !== null && Math.abs(t - first) > (to - from) / 150) zoom(Math.min(Math.max(first, from), to), Math.min(Math.max(t, from), to));
      else point(t >= from && t <= to ? t : null);
    });
    svg.addEventListener('pointercancel', () => { began = null; each.choice.setAttribute('display', 'none'); });
    svg.addEventListener('pointerleave', () => { if (began === null && document.activeElement !== svg) point(null); });
    svg.addEventListener('dblclick', reset);
    svg.addEventListener('keydown', (event) => pressed(event, each));
    svg.addEventListener('blur', () => { tip.hidden = true; point(null); });
    for (const mark of each.marks) {
      mark.node.addEventListener('pointerenter', () => explain(mark.text, mark.node));
      mark.node.addEventListener('pointerleave', () => { tip.hidden = true; });
    }
  }
  if (tools) {
    tools.hidden = false;
    const actions = { in: () => scale(0.5), out: () => scale(2), all: reset, next: () => jump(1), before: () => jump(-1) };
    for (const button of tools.querySelectorAll('button')) {
      button.addEventListener('click', actions[button.value]);
      if (['next', 'before'].includes(button.value)) {
        button.hidden = panels.every((each) => each.marks.length === 0);
        button.addEventListener('blur', () => { tip.hidden = true; });
      }
    }
  }
  draw();
}

// A drawing with what there is to move in it.
function panel(svg) {
  const plot = svg.querySelector('svg.plot'), axis = svg.querySelector('g.x');
  const number = (node, name) => Number(node.getAttribute(name));
  const make = (name, parent, attributes) => {
    const node = document.createElementNS(svg.namespaceURI, name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    parent.append(node);
    return node;
  };
  const left = number(plot, 'x'), top = number(plot, 'y'), width = number(plot, 'width'), height = number(plot, 'height');
  const foot = svg.viewBox.baseVal.height - 8;
  const keys = [...svg.closest('figure').querySelectorAll('figcaption .key')];
  const series = [...plot.querySelectorAll('path[data-v]')].map((path, i) => {
    const output = document.createElement('output');
    const name = keys[i].textContent;
    keys[i].append(output);
    return { values: listed(path.dataset.v), output, name };
  });
  const choice = make('rect', svg, { class: 'choice', y: top, height, display: 'none' });
  const cursor = make('g', svg, { class: 'cursor', display: 'none' });
  const line = make('path', cursor, {}), label = make('text', cursor, {});
  const moments = [...svg.querySelectorAll('[data-t]')].map((node) => [node, Number(node.dataset.t)]);
  // The page's own words take the place of the browser's.
  const marks = [...svg.querySelectorAll('.mark')].map((node) => {
    const title = node.querySelector('title'), text = title.textContent;
    title.remove();
    node.setAttribute('aria-label', text);
    return { node, t: Number(node.dataset.t), text };
  });
  return {
    svg, plot, axis, left, top, width, height, foot, series, choice, cursor, line, label, moments, marks,
    ticks: [...axis.childNodes], end: Number(svg.dataset.end), step: Number(svg.dataset.step), unit: svg.dataset.unit,
  };
}
})();
