// Wiring: the list of traces, mouse, keys, and the address, in which the chosen trace and span are kept.

function chooseTrace(trace, span = -1) {
  state.trace = prepare(trace);
  Object.assign(state, { selected: span, closed: new Set(), kernel: new Set() });
  setWindow(0, trace.length);
  if (span >= 0) reveal(span);
  find(byId("search").value);
  drawSummary();
  drawTraces();
  draw(span);
  drawDetails();
  remember();
}

function select(index, details = false) {
  state.selected = index;
  if (index >= 0) reveal(index);
  if (details) byId("details").dataset.open = "yes";
  drawDetails();
  draw(index);
  remember();
}

function remember() {
  const words = new URLSearchParams({ trace: state.trace.id });
  if (state.selected >= 0) words.set("span", state.trace.spans[state.selected].id);
  history.replaceState(null, "", `#${words}`);
}

function drawSummary() {
  const trace = state.trace;
  const root = trace.spans[0];
  const kernel = trace.spans.filter((span) => span.kernel).length;
  const fact = (value, word) => make("span", {}, make("b", {}, String(value)), ` ${word}`);
  const plural = (count, word) => fact(count, count === 1 ? word : `${word}s`);
  const parts = [make("span", { class: "what" }, root.name || "(no name)"), fact(duration(trace.length), ""), plural(trace.services.size, "service"), plural(trace.spans.length - kernel, "request span")];
  if (kernel) parts.push(plural(kernel, "kernel call"));
  parts.push(make("span", {}, moment(trace.start)), make("code", { title: "Trace ID" }, trace.id));
  byId("summary").replaceChildren(...parts);
  document.title = `${root.name || trace.id} · Clew`;
  byId("legend").replaceChildren(...[...trace.services.keys()].map((service) => place(make("span", { "data-hue": true }, make("i", { class: "glyph" }), service || "unknown service"), { "--h": hue(trace, service) })));
  if (kernel) byId("legend").append(make("span", {}, make("i", { class: "glyph kernel" }), "kernel"));
}

function drawTraces() {
  if (data.traces.length < 2) return;
  byId("traces").hidden = false;
  const wanted = byId("trace-filter").value.trim().toLowerCase();
  const order = { start: (one, other) => (BigInt(one.start) < BigInt(other.start) ? 1 : -1), length: (one, other) => other.length - one.length, spans: (one, other) => other.spans.length - one.spans.length };
  const longest = Math.max(...data.traces.map((trace) => trace.length), 1);
  const found = data.traces
    .filter((trace) => !wanted || trace.id.includes(wanted) || trace.spans.some((span) => !span.kernel && `${span.name}\n${span.service}`.toLowerCase().includes(wanted)))
    .sort(order[byId("trace-order").value]);
  byId("trace-list").replaceChildren(...found.map((trace) => traceItem(trace, longest)));
  if (!found.length) byId("trace-list").append(make("li", { class: "empty" }, "No trace matches."));
}

function traceItem(trace, longest) {
  const failed = trace.spans.filter((span) => span.status === "error").length;
  const small = make("div", { class: "line small" }, make("span", { class: "name" }, `${moment(trace.start).slice(11, 23)} · ${trace.spans.length} spans`));
  if (failed) small.append(make("span", { class: "failed" }, `${failed} failed`));
  small.append(make("code", {}, trace.id.slice(16, 24)));
  const button = make(
    "button",
    { type: "button", "aria-current": String(trace === state.trace), onclick: () => chooseTrace(trace) },
    make("div", { class: "line" }, make("span", { class: "name" }, trace.spans[0].name || "(no name)"), make("span", { class: "length" }, duration(trace.length))),
    small,
    make("div", { class: "meter" }, place(make("i"), { width: `${(trace.length / longest) * 100}%` })),
  );
  return make("li", {}, button);
}

function toggle(set, index) {
  if (!set.delete(index)) set.add(index);
}

function toggleKernel(index) {
  const request = index >= 0 ? state.trace.spans[index].request : -1;
  if (request < 0 || !state.trace.spans[request].calls.length) return;
  toggle(state.kernel, request);
  if (state.selected >= 0 && state.trace.spans[state.selected].request === request) state.selected = request;
  draw(request);
}

function zoomTo(span) {
  const margin = Math.max(span.end - span.start, LEAST_WINDOW) * 0.1;
  setWindow(span.start - margin, Math.max(span.end, span.start) + margin);
  draw(span.index);
}

function nextMatch() {
  const later = [...state.matches].find((index) => index > state.selected);
  const index = later === undefined ? [...state.matches][0] : later;
  if (index !== undefined) select(index);
}

function move(step) {
  const row = shown.indexOf(state.selected);
  select(shown[Math.min(Math.max(row < 0 ? 0 : row + step, 0), shown.length - 1)]);
}

function inward() {
  const span = state.trace.spans[state.selected];
  if (!span) return move(0);
  if (state.closed.delete(span.index)) return draw(span.index);
  if (span.calls.length && !state.kernel.has(span.index) && !foldable(span)) return toggleKernel(span.index);
  if (foldable(span)) move(1);
}

function outward() {
  const span = state.trace.spans[state.selected];
  if (!span) return;
  if (foldable(span) && !state.closed.has(span.index)) {
    state.closed.add(span.index);
    draw(span.index);
  } else if (span.up >= 0) select(span.up);
}

function neighbourTrace(step) {
  const buttons = [...byId("trace-list").querySelectorAll("button")];
  const now = buttons.findIndex((button) => button.getAttribute("aria-current") === "true");
  const next = buttons[now + step];
  if (next) next.click();
}

function pan(share) {
  const size = state.to - state.from;
  setWindow(state.from + size * share, state.to + size * share);
  draw();
}

function zoomBy(factor) {
  zoom(factor);
  draw();
}

function fit() {
  setWindow(0, state.trace.length);
  draw();
}

const KEYS = {
  ArrowUp: () => move(-1), ArrowDown: () => move(1), ArrowLeft: outward, ArrowRight: inward,
  PageUp: () => move(-15), PageDown: () => move(15), Home: () => select(shown[0]), End: () => select(shown[shown.length - 1]),
  Enter: () => (state.selected < 0 ? move(0) : openDetails()), " ": () => (state.selected < 0 ? move(0) : openDetails()),
};
const EVERYWHERE = {
  "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(2), "0": fit, k: () => toggleKernel(state.selected),
  z: () => state.selected >= 0 && zoomTo(state.trace.spans[state.selected]), "/": () => byId("search").focus(),
  "?": () => byId("help").showModal(), "[": () => neighbourTrace(-1), "]": () => neighbourTrace(1), Escape: () => closeDetails(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const typing = event.target.matches("input, select");
  if (typing) {
    if (event.key === "Enter" && event.target.id === "search") nextMatch();
    else if (event.key === "Escape") byId("rows").focus();
    else return;
    return event.preventDefault();
  }
  const inRows = event.target.id === "rows" || event.target === document.body;
  const shifted = event.shiftKey && inRows ? { ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2) }[event.key] : undefined;
  const action = shifted || (inRows ? KEYS[event.key] : undefined) || EVERYWHERE[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});

/** Follow a pointer from its press to its release; `step` gets the x of press and present, `end` likewise. */
function drag(element, begin) {
  element.addEventListener("pointerdown", (press) => {
    if (press.button !== 0) return;
    const follow = begin(press);
    if (!follow) return;
    const box = element.getBoundingClientRect();
    const x = (event) => event.clientX - box.left;
    const onMove = (event) => follow.step(x(press), x(event));
    const onUp = (event) => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", onUp);
      if (follow.end) follow.end(x(press), x(event));
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onUp);
  });
}

let dragged = false;

drag(byId("rows"), (press) => {
  dragged = false;
  if (!press.target.closest(".time")) return null;
  const { from, to } = state;
  return {
    step(start, now) {
      if (Math.abs(now - start) > 3) dragged = true;
      if (!dragged) return;
      const shift = ((start - now) / timeWidth()) * (to - from);
      setWindow(from + shift, to + shift);
      draw();
    },
  };
});
drag(byId("ticks"), () => {
  const range = make("div", { class: "range" });
  byId("ticks").append(range);
  return {
    step: (start, now) => place(range, { left: `${Math.min(start, now)}px`, width: `${Math.abs(now - start)}px` }),
    end(start, now) {
      if (Math.abs(now - start) > 4) setWindow(timeAt(Math.min(start, now)), timeAt(Math.max(start, now)));
      draw();
    },
  };
});
drag(byId("map"), (press) => {
  const width = byId("map").clientWidth;
  const time = (x) => (x / width) * state.trace.length;
  const at = time(press.offsetX);
  const { from, to } = state;
  const inside = !byId("map-window").hidden && at >= from && at <= to;
  return {
    step(start, now) {
      if (inside) setWindow(from + time(now - start), to + time(now - start));
      else if (Math.abs(now - start) > 4) setWindow(time(Math.min(start, now)), time(Math.max(start, now)));
      draw();
    },
  };
});
drag(byId("separator"), () => {
  const width = nameWidth();
  return { step: (start, now) => setNameWidth(width + now - start) };
});

const nameWidth = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--name"));
function setNameWidth(width) {
  document.documentElement.style.setProperty("--name", `${Math.min(Math.max(width, 140), window.innerWidth - 300)}px`);
  draw();
}

byId("separator").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
  if (step) setNameWidth(nameWidth() + step);
});
byId("rows").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (!row || dragged) return;
  const index = Number(row.dataset.index);
  const button = event.target.closest("[data-do]");
  if (button && button.dataset.do === "kernel") return toggleKernel(index);
  if (button && !button.disabled) {
    toggle(state.closed, index);
    return draw();
  }
  select(index, true);
});
byId("rows").addEventListener("dblclick", (event) => {
  const row = event.target.closest(".row");
  if (row && !event.target.closest("[data-do]")) zoomTo(state.trace.spans[Number(row.dataset.index)]);
});
byId("rows").addEventListener("scroll", drawRows, { passive: true });
byId("rows").addEventListener(
  "wheel",
  (event) => {
    const x = event.clientX - byId("ticks").getBoundingClientRect().left;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), timeAt(x));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const shift = ((event.deltaX || event.deltaY) / timeWidth()) * (state.to - state.from);
      setWindow(state.from + shift, state.to + shift);
    } else return;
    event.preventDefault();
    draw();
  },
  { passive: false },
);

byId("zoom-in").onclick = () => zoomBy(0.5);
byId("zoom-out").onclick = () => zoomBy(2);
byId("zoom-fit").onclick = fit;
byId("kernel").onclick = () => {
  const all = state.trace.spans.filter((span) => span.calls.length).map((span) => span.index);
  state.kernel = state.kernel.size ? new Set() : new Set(all);
  if (!state.kernel.size && state.selected >= 0) state.selected = Math.max(state.trace.spans[state.selected].request, 0);
  draw(state.selected);
};
byId("fold").onclick = () => {
  state.closed = new Set(state.trace.spans.filter((span) => span.children.length).map((span) => span.index));
  draw();
};
byId("unfold").onclick = () => {
  state.closed.clear();
  draw(state.selected);
};
byId("search").oninput = () => {
  find(byId("search").value);
  byId("matches").textContent = state.query ? `${state.matches.size} found` : "";
  draw();
};
byId("trace-filter").oninput = drawTraces;
byId("trace-order").onchange = drawTraces;
byId("help-button").onclick = () => byId("help").showModal();
byId("theme").onclick = () => {
  const order = { "": "light", light: "dark", dark: "" };
  setTheme(order[document.documentElement.dataset.theme || ""]);
  drawMap();
};
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = { "": "Auto", light: "Light", dark: "Dark" }[name];
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
new ResizeObserver(() => draw()).observe(byId("rows"));

if (data.problems.length) {
  byId("problems").hidden = false;
  byId("problems").textContent = `Not everything in the file could be read:\n${data.problems.join("\n")}`;
}
const asked = new URLSearchParams(location.hash.slice(1));
setTheme({ light: "light", dark: "dark" }[asked.get("theme")] || "");
const firstTrace = prepare(data.traces.find((trace) => trace.id === asked.get("trace")) || data.traces.reduce((best, trace) => (trace.spans.length > best.spans.length ? trace : best)));
if (asked.get("span")) byId("details").dataset.open = "yes";
chooseTrace(firstTrace, firstTrace.spans.findIndex((span) => span.id === asked.get("span")));
if (asked.get("kernel") === "open") byId("kernel").click();
