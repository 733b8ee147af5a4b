// Drawing the timeline: overview, ruler, grid, and only those rows that are within sight.

const ROW = 28;
const SPARE = 6; // rows drawn beyond the edges
let shown = [];

const timeWidth = () => Math.max(byId("ticks").clientWidth, 1);
const position = (time) => ((time - state.from) / (state.to - state.from)) * timeWidth();
const timeAt = (x) => state.from + (x / timeWidth()) * (state.to - state.from);

function place(element, styles) {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value);
  return element;
}

/** Draw everything again; `keep` names a span whose row shall be in sight afterwards. */
function draw(keep = -1) {
  shown = visible();
  byId("sheet").style.height = `${shown.length * ROW}px`;
  const row = shown.indexOf(keep);
  const rows = byId("rows");
  if (row >= 0) {
    if (row * ROW < rows.scrollTop) rows.scrollTop = row * ROW;
    else if ((row + 1) * ROW > rows.scrollTop + rows.clientHeight) rows.scrollTop = (row + 1) * ROW - rows.clientHeight;
  }
  document.documentElement.style.setProperty("--gutter", `${rows.offsetWidth - rows.clientWidth}px`); // the scroll bar's room
  drawRuler();
  drawRows();
  drawMap();
  byId("kernel").setAttribute("aria-pressed", String(state.kernel.size > 0));
  byId("kernel").disabled = !state.trace.spans.some((span) => span.calls.length);
}

function drawRuler() {
  const marks = ticks(state.from, state.to, timeWidth() / 110);
  byId("ticks").replaceChildren(...marks.map((time) => place(make("span", {}, duration(time)), { left: `${position(time)}px` })));
  byId("grid").replaceChildren(...marks.map((time) => place(make("i"), { left: `${position(time)}px` })));
}

function drawRows() {
  const rows = byId("rows");
  const first = Math.max(0, Math.floor(rows.scrollTop / ROW) - SPARE);
  const last = Math.min(shown.length, Math.ceil((rows.scrollTop + rows.clientHeight) / ROW) + SPARE);
  const drawn = [];
  for (let number = first; number < last; number++) drawn.push(drawRow(state.trace.spans[shown[number]], number));
  byId("sheet").replaceChildren(byId("grid"), ...drawn);
  if (state.selected >= 0 && drawn.some((row) => row.id === `span-${state.selected}`)) rows.setAttribute("aria-activedescendant", `span-${state.selected}`);
  else rows.removeAttribute("aria-activedescendant");
}

function drawRow(span, number) {
  const open = foldable(span) ? !state.closed.has(span.index) : null;
  const classes = ["row"];
  if (span.index === state.selected) classes.push("chosen");
  if (state.query) classes.push(state.matches.has(span.index) ? "match" : "dim");
  const row = make(
    "div",
    {
      class: classes.join(" "),
      id: `span-${span.index}`,
      role: "treeitem",
      "aria-level": String(span.depth + 1),
      "aria-selected": String(span.index === state.selected),
      "aria-expanded": open === null ? null : String(open),
      "aria-label": `${span.service || "unknown service"}: ${span.name}, ${duration(span.end - span.start)}${span.status === "error" ? ", error" : ""}`,
      "data-index": String(span.index),
      "data-hue": true,
    },
    nameCell(span, open),
    timeCell(span),
  );
  return place(row, { top: `${number * ROW}px`, "--h": hue(state.trace, span.service) });
}

function nameCell(span, open) {
  const indent = place(make("span", { class: "indent" }), { width: `${Math.min(span.depth, 24) * 16}px` });
  const twisty = make("button", { class: "twisty", type: "button", tabindex: "-1", "aria-hidden": "true", "data-do": "fold" }, open === null ? "" : open ? "▼" : "▶");
  if (open === null) twisty.disabled = true;
  const cell = make("div", { class: "cell" }, indent, twisty, make("span", { class: `glyph ${kindClass(span)}` }));
  cell.append(make("span", { class: `label ${kindClass(span)}`, title: span.name }, span.name || "(no name)"));
  if (!span.kernel && !(span.service && span.name.includes(span.service))) cell.append(make("span", { class: "service" }, span.service || "unknown service"));
  if (span.status === "error") cell.append(make("span", { class: "note" }, "error"));
  for (const note of span.notes) cell.append(make("span", { class: "note", title: note }, note));
  if (span.calls.length) {
    const on = state.kernel.has(span.index);
    cell.append(make("button", { class: "chip", type: "button", tabindex: "-1", "data-do": "kernel", title: "Kernel calls of this request (K)" }, `${on ? "▾" : "▸"} ${span.calls.length} kernel`));
  }
  return cell;
}

function timeCell(span) {
  const cell = make("div", { class: "time" });
  const [left, right] = [position(span.start), position(Math.max(span.end, span.start))];
  const width = timeWidth();
  if (right >= 0 && left <= width) {
    const [from, to] = [Math.max(left, -8), Math.min(right, width + 8)];
    const kind = kindClass(span) + (span.status === "error" ? " error" : "");
    cell.append(place(make("div", { class: `bar ${kind}` }), { left: `${from}px`, width: `${Math.max(to - from, 2)}px` }));
    cell.append(tookLabel(span, from, Math.max(to, from + 2), width));
  }
  if (!state.kernel.has(span.index)) cell.append(...callMarks(span, width));
  return cell;
}

/** Duration beside the bar where there is room: right of it, left of it, else inside. */
function tookLabel(span, from, to, width) {
  const text = duration(span.end - span.start);
  const room = text.length * 7.2 + 14;
  if (width - to > room) return place(make("span", { class: "took" }, text), { left: `${to}px` });
  if (from > room) return place(make("span", { class: "took before" }, text), { left: `${from}px` });
  return place(make("span", { class: `took inside ${kindClass(span)}` }, text), { left: `${Math.min(to, width)}px` });
}

/** Folded kernel calls stay visible as marks under their request's bar; marks that would touch are joined. */
function callMarks(span, width) {
  const pieces = [];
  for (const index of span.calls) {
    const call = state.trace.spans[index];
    const from = Math.max(position(call.start), 0);
    const to = Math.min(Math.max(position(call.end), from + 1.5), width);
    if (to <= 0 || from >= width) continue;
    const before = pieces[pieces.length - 1];
    if (before && from - before[1] < 1) before[1] = Math.max(before[1], to);
    else pieces.push([from, to]);
  }
  return pieces.map(([from, to]) => place(make("div", { class: "call" }), { left: `${from}px`, width: `${to - from}px` }));
}

function kindClass(span) {
  return span.kernel ? "kernel" : span.kind === "client" || span.kind === "producer" ? "client" : "server";
}

function drawMap() {
  const [canvas, map] = [byId("map-canvas"), byId("map")];
  const [width, height, ratio] = [map.clientWidth, map.clientHeight, window.devicePixelRatio || 1];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const spans = state.trace.spans.filter((span) => !span.kernel);
  const step = Math.min(6, (height - 10) / Math.max(spans.length, 1));
  const dark = isDark();
  spans.forEach((span, number) => {
    const left = (span.start / state.trace.length) * width;
    const size = Math.max(((span.end - span.start) / state.trace.length) * width, 1);
    context.fillStyle = `oklch(${dark ? 0.74 : 0.6} 0.15 ${hue(state.trace, span.service)})`;
    context.fillRect(left, 5 + number * step, size, Math.max(step - 1.5, 0.7));
  });
  const view = byId("map-window");
  view.hidden = state.to - state.from >= state.trace.length;
  place(view, { left: `${(state.from / state.trace.length) * width}px`, width: `${((state.to - state.from) / state.trace.length) * width}px` });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
