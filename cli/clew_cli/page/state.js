// What is shown: the data, the chosen trace and span, what is folded, and the visible piece of time. No drawing here.

const data = JSON.parse(document.getElementById("data").textContent);
const HUES = [258, 152, 45, 310, 200, 85, 345, 125, 228, 285];
const LEAST_WINDOW = 100; // nanoseconds: nothing finer was measured

const state = {
  trace: null,
  selected: -1, // index in trace.spans
  closed: new Set(), // spans whose children are folded
  kernel: new Set(), // requests whose kernel calls are unfolded
  from: 0, // the visible time, nanoseconds since the trace's start
  to: 1,
  matches: new Set(),
  query: "",
};

/** An element with attributes and children. Strings become text nodes, never markup: they come from traced applications. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const byId = (name) => document.getElementById(name);

/** Add to each span: its parent, children, the request it belongs to, and that request's kernel calls; to the trace: services. */
function prepare(trace) {
  if (trace.services) return trace;
  const above = [];
  trace.services = new Map();
  trace.spans.forEach((span, index) => {
    span.index = index;
    span.children = [];
    span.calls = [];
    above.length = span.depth;
    span.up = span.depth ? above[span.depth - 1] : -1;
    above.push(index);
    const parent = trace.spans[span.up];
    if (parent) parent.children.push(index);
    span.request = !span.kernel ? index : parent ? parent.request : -1;
    if (span.kernel && span.request >= 0) trace.spans[span.request].calls.push(index);
    if (!trace.services.has(span.service)) trace.services.set(span.service, trace.services.size);
  });
  trace.length = Math.max(trace.length, 1);
  return trace;
}

function hue(trace, service) {
  return String(HUES[trace.services.get(service) % HUES.length]);
}

/** Indexes of the spans that have a row: kernel calls only where unfolded, nothing below a folded span. */
function visible() {
  const shown = [];
  const hidden = new Set();
  for (const span of state.trace.spans) {
    const up = span.up;
    if (up >= 0 && (hidden.has(up) || state.closed.has(up))) hidden.add(span.index);
    else if (!span.kernel || span.request < 0 || state.kernel.has(span.request)) shown.push(span.index);
  }
  return shown;
}

/** Whether a span has children that its twisty can fold: kernel calls below a request have a button of their own. */
function foldable(span) {
  return span.children.some((child) => !state.trace.spans[child].kernel || span.kernel || state.kernel.has(span.index));
}

function reveal(index) {
  const span = state.trace.spans[index];
  if (span.kernel && span.request >= 0) state.kernel.add(span.request);
  for (let up = span.up; up >= 0; up = state.trace.spans[up].up) state.closed.delete(up);
}

function setWindow(from, to) {
  const whole = state.trace.length;
  const size = Math.min(Math.max(to - from, Math.min(LEAST_WINDOW, whole)), whole);
  state.from = Math.min(Math.max(from, 0), whole - size);
  state.to = state.from + size;
}

function zoom(factor, at = (state.from + state.to) / 2) {
  setWindow(at - (at - state.from) * factor, at + (state.to - at) * factor);
}

/** The time of a span that none of its children covers. */
function selfTime(span) {
  let free = Math.max(span.end - span.start, 0);
  let covered = span.start;
  for (const index of span.children) {
    const child = state.trace.spans[index];
    const begin = Math.max(child.start, covered);
    const end = Math.min(child.end, span.end);
    if (end > begin) {
      free -= end - begin;
      covered = end;
    }
  }
  return free;
}

function duration(nanoseconds) {
  const size = Math.abs(nanoseconds);
  if (size < 1e3) return `${Math.round(nanoseconds)} ns`;
  const [unit, scale] = size < 1e6 ? ["µs", 1e3] : size < 1e9 ? ["ms", 1e6] : ["s", 1e9];
  const value = nanoseconds / scale;
  return `${parseFloat(value.toFixed(Math.abs(value) < 100 ? 2 : 1))} ${unit}`;
}

/** A moment of Unix nanoseconds (a text, since no number here is exact enough) as date and time in UTC, to the microsecond. */
function moment(unix) {
  const nanoseconds = BigInt(unix);
  const date = new Date(Number(nanoseconds / 1000000n));
  if (Number.isNaN(date.getTime())) return unix;
  return `${date.toISOString().slice(0, 19).replace("T", " ")}.${String((nanoseconds / 1000n) % 1000000n).padStart(6, "0")} UTC`;
}

/** Round moments for the ruler: steps of 1, 2 or 5 times a power of ten, at most `most` of them. */
function ticks(from, to, most) {
  const rough = (to - from) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough);
  const found = [];
  for (let count = Math.ceil(from / step); count * step <= to; count++) found.push(count * step);
  return found;
}

function searchText(span) {
  if (span.text === undefined) {
    const facts = Object.entries(span.attributes).map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`);
    span.text = [span.name, span.service, span.id, span.message, ...facts].join("\n").toLowerCase();
  }
  return span.text;
}

function find(query) {
  state.query = query.trim().toLowerCase();
  state.matches = new Set(state.query ? state.trace.spans.filter((span) => searchText(span).includes(state.query)).map((span) => span.index) : []);
}
