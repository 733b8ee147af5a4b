// The panel with everything that is known of one span.

function drawDetails() {
  const panel = byId("details");
  const span = state.trace.spans[state.selected];
  panel.hidden = !span || !panel.dataset.open;
  if (panel.hidden) return;
  panel.scrollTop = 0;
  const by = place(make("div", { class: "by", "data-hue": true }, make("span", { class: `glyph ${kindClass(span)}` }), `${span.service || "unknown service"} · ${span.kernel ? "kernel function" : span.kind}`), {
    "--h": hue(state.trace, span.service),
  });
  panel.replaceChildren(make("button", { class: "close quiet", type: "button", "aria-label": "Close (Esc)", onclick: closeDetails }, "✕"), make("h2", {}, span.name || "(no name)"), by);
  if (span.status === "error") panel.append(make("p", { class: "said" }, span.message ? `Error: ${span.message}` : "Error"));
  for (const note of span.notes) panel.append(make("p", { class: "said" }, `This span ${note === "parent not in file" ? `has a parent that is not in the file (${span.parent})` : note}.`));
  panel.append(...section("Times", timeFacts(span)));
  panel.append(...section("Attributes", Object.entries(span.attributes)));
  if (span.calls.length) panel.append(make("h3", {}, "Kernel calls"), callTable(span));
  for (const event of span.events) panel.append(...section(`Event: ${event.name}`, [["at", duration(event.at)], ...Object.entries(event.attributes)]));
  panel.append(...section("Identifiers", [["trace", state.trace.id], ["span", span.id], ["parent", span.parent || "none"], ["scope", span.scope || "none"]], true));
  panel.append(...section("Resource", Object.entries(state.trace.resources[span.resource])));
}

function timeFacts(span) {
  const facts = [["duration", duration(span.end - span.start)]];
  if (span.children.length) facts.push(["self (outside its children)", duration(selfTime(span))]);
  facts.push(["starts", `+${duration(span.start)}`], ["ends", `+${duration(span.end)}`], ["moment", moment(span.unix)]);
  return facts;
}

/** Calls of one request by function: how many, and how long in all. Nested calls count in both functions. */
function callTable(span) {
  const sums = new Map();
  for (const index of span.calls) {
    const call = state.trace.spans[index];
    const sum = sums.get(call.name) || { count: 0, time: 0 };
    sums.set(call.name, { count: sum.count + 1, time: sum.time + Math.max(call.end - call.start, 0) });
  }
  const rows = [...sums].sort((one, other) => other[1].time - one[1].time);
  return make("table", { class: "calls" }, ...rows.map(([name, sum]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, `${sum.count} ×`), make("td", {}, duration(sum.time)))));
}

function section(title, entries, copies = false) {
  if (!entries.length) return [];
  const rows = entries.map(([key, value]) => {
    const text = typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : String(value);
    const cell = make("td", {}, text);
    if (copies && /^[0-9a-f]+$/.test(text)) cell.append(make("button", { type: "button", onclick: (event) => copy(text, event.currentTarget) }, "Copy"));
    return make("tr", {}, make("th", { scope: "row" }, key), cell);
  });
  return [make("h3", {}, title), make("table", {}, ...rows)];
}

function copy(text, button) {
  navigator.clipboard.writeText(text).then(
    () => (button.textContent = "Copied"),
    () => (button.textContent = "Not allowed"),
  );
}

function openDetails() {
  byId("details").dataset.open = "yes";
  drawDetails();
  draw(state.selected);
}

function closeDetails() {
  delete byId("details").dataset.open;
  byId("details").hidden = true;
  draw(state.selected);
  byId("rows").focus();
}
