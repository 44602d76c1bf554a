"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const number = n => n.toLocaleString("en");
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "text", "line", "g", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
const variable = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const libraries = [...new Set([...data.timeline.rows.map(r => r.library), ...data.slots.map(s => s.library)])].sort();
const colourOf = library => `var(--c${Math.max(libraries.indexOf(library), 0) % 8})`;
const size = n => n >= 1n << 30n ? `${(Number(n) / 2 ** 30).toFixed(1)} GiB` : n >= 1n << 20n ? `${(Number(n) / 2 ** 20).toFixed(1)} MiB`
  : n >= 1024n ? `${(Number(n) / 1024).toFixed(1)} KiB` : `${n} B`;
const hex = n => "0x" + n.toString(16);

// -- head
document.title = `${data.title} - uselib trace`;
$("title").textContent = data.title;
const calls = data.timeline.rows.reduce((sum, row) => sum + row.counts.reduce((a, b) => a + b, 0), 0);
$("about").textContent = [
  data.command, `${number(calls)} ${calls === 1 ? "call" : "calls"}`, `${data.processes.length} ${data.processes.length === 1 ? "process" : "processes"}`,
  data.processes.map(p => `${p.program.split("/").pop()} (${p.pid}, ${p.machine}${p.signal ? `, signal ${p.signal}` : p.status != null ? `, status ${p.status}` : ""})`).slice(0, 8).join(", "),
  `times in ${data.clock}` + (data.returns ? "" : ", without returns"), data.complete ? "" : "not complete",
].filter(Boolean).join(" \u00b7 ");
for (const text of data.warnings) $("warnings").append(make("li", {}, text));
if (data.tree.truncated) $("warnings").append(make("li", {}, "Too many different call paths: some are shown under their function alone."));

// -- address space
data.processes.forEach((p, n) => $("map-process").append(make("option", {value: n}, `${p.pid} ${p.program.split("/").pop()}`)));
$("map-process").parentNode.hidden = data.processes.length < 2;
function drawMap() {
  const files = data.maps[$("map-process").value || 0].map(f => ({...f, base: BigInt(f.base), end: BigInt(f.end),
    tables: f.tables.map(t => ({...t, start: BigInt(t.start), end: BigInt(t.end)}))})).sort((a, b) => a.base < b.base ? -1 : 1);
  const body = $("map-table").tBodies[0];
  body.replaceChildren();
  $("map-drawing").replaceChildren();
  if (!files.length) return;
  const low = files[0].base, high = files.reduce((m, f) => f.end > m ? f.end : m, low);
  const width = 1200, scale = n => Number((n - low) * 100000n / (high - low || 1n)) / 100000 * width;
  const largest = files.reduce((m, f) => f.end - f.base > m ? f.end - f.base : m, 1n);
  const inner = (n, f) => 230 + Number((n - f.base) * 100000n / largest) / 100000 * (width - 240);
  const svg = make("svg", {viewBox: `0 0 ${width} ${74 + files.length * 26}`, role: "img", "aria-label": "Files of the process in its address space, to scale"});
  svg.append(make("text", {x: 0, y: 12, class: "quiet"}, `${hex(low)} to ${hex(high)}, to scale (thin files are drawn 3 wide)`));
  svg.append(make("rect", {x: 0, y: 18, width, height: 22, fill: "var(--grid)"}));
  for (const f of files) {
    const x = scale(f.base), w = Math.max(scale(f.end) - x, 3);
    svg.append(make("rect", {x: Math.min(x, width - w), y: 18, width: w, height: 22, fill: f.library ? colourOf(f.library) : "var(--quiet)"},
      make("title", {}, `${f.name} ${hex(f.base)}-${hex(f.end - 1n)}`)));
  }
  svg.append(make("text", {x: 0, y: 60, class: "quiet"}, "each file, all to one scale; jump tables marked"));
  files.forEach((f, row) => {
    const y = 68 + row * 26, x = inner(f.base, f);
    svg.append(make("text", {x: 0, y: y + 14}, f.name.length > 32 ? f.name.slice(0, 31) + "\u2026" : f.name));
    svg.append(make("rect", {x, y, width: Math.max(inner(f.end, f) - x, 2), height: 18, rx: 2, fill: f.library ? colourOf(f.library) : "var(--quiet)", opacity: 0.75},
      make("title", {}, `${f.path} ${size(f.end - f.base)}`)));
    for (const t of f.tables) if (t.slots)
      svg.append(make("rect", {x: inner(t.start, f), y: y - 2, width: Math.max(inner(t.end, f) - inner(t.start, f), 2), height: 22, fill: "var(--table)"},
        make("title", {}, `jump table ${hex(t.start)}, ${t.slots} slots`)));
  });
  $("map-drawing").append(svg);
  let at = null;
  for (const f of files) {
    if (at !== null && f.base > at) body.append(make("tr", {class: "gap"}, make("td", {class: "mono"}, hex(at)), make("td", {class: "mono"}, hex(f.base - 1n)),
      make("td", {class: "n"}, size(f.base - at)), make("td", {}, "gap")));
    body.append(make("tr", {}, make("td", {class: "mono"}, hex(f.base)), make("td", {class: "mono"}, hex(f.end - 1n)), make("td", {class: "n"}, size(f.end - f.base)),
      make("td", {}, make("span", {class: "swatch", style: `background:${f.library ? colourOf(f.library) : "var(--quiet)"}`}), f.library ? `${f.library} ${f.version}` : f.path)));
    for (const t of f.tables) if (t.slots)
      body.append(make("tr", {}, make("td", {class: "mono"}, hex(t.start)), make("td", {class: "mono"}, hex(t.end - 1n)), make("td", {class: "n"}, size(t.end - t.start)),
        make("td", {}, `\u2003jump table, ${number(t.slots)} slots`)));
    at = at === null || f.end > at ? f.end : at;
  }
}
$("map-process").addEventListener("change", drawMap);
drawMap();

// -- timeline
const line = data.timeline, lanes = [];
for (const library of [...new Set(line.rows.map(r => r.library))])
  $("legend").append(make("span", {}, make("span", {class: "swatch", style: `background:${colourOf(library)}`}), library));
let cursor = -1;
for (const p of data.processes.slice(0, 16)) {
  const rows = line.rows.filter(r => r.process === p.index);
  if (!rows.length) continue;
  const canvas = make("canvas", {tabindex: 0, role: "img", "aria-label": `Calls over time of process ${p.pid}; arrow keys read columns`});
  $("lanes").append(make("div", {class: "lane"}, `${p.program.split("/").pop()} (${p.pid})`), canvas);
  const lane = {canvas, rows, p, depth: line.depth[p.index] || []};
  lanes.push(lane);
  const move = to => { cursor = Math.max(0, Math.min(line.bins - 1, to)); drawTime(); read(lane); };
  canvas.addEventListener("mousemove", e => move(Math.floor(e.offsetX / canvas.clientWidth * line.bins)));
  canvas.addEventListener("keydown", e => {
    const step = e.shiftKey ? 20 : 1;
    const to = {ArrowLeft: cursor - step, ArrowRight: cursor + step, Home: 0, End: line.bins - 1}[e.key];
    if (to !== undefined) { e.preventDefault(); move(to); }
  });
}
function read(lane) {
  const from = line.first + cursor * line.step;
  const parts = lane.rows.filter(r => r.counts[cursor]).map(r => `${r.library} ${number(r.counts[cursor])}`);
  $("readout").textContent = `${number(from)} to ${number(from + line.step - 1)} ${data.clock}, process ${lane.p.pid}: ${parts.join(", ") || "no calls"}; depth ${lane.depth[cursor] || 0}`;
}
function drawTime() {
  for (const {canvas, rows, depth} of lanes) {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    let most = 1;
    for (let b = 0; b < line.bins; b++) most = Math.max(most, rows.reduce((s, r) => s + r.counts[b], 0));
    const step = w / line.bins;
    const bottom = new Float64Array(line.bins);
    for (const row of rows) {
      c.fillStyle = variable(colourOf(row.library).slice(4, -1));
      row.counts.forEach((n, b) => {
        if (!n) return;
        const height = n / most * (h - 14);
        const x = Math.round(b * step);
        c.fillRect(x, h - bottom[b] - height, Math.max(Math.round((b + 1) * step) - x, 1), height);
        bottom[b] += height;
      });
    }
    const deepest = depth.reduce((a, b) => Math.max(a, b), 1);
    c.strokeStyle = variable("--text"); c.globalAlpha = 0.55; c.lineWidth = 1; c.beginPath();
    depth.forEach((d, b) => { const y = h - 2 - d / deepest * (h - 16); b ? c.lineTo((b + .5) * step, y) : c.moveTo(.5 * step, y); });
    c.stroke();
    c.globalAlpha = 1; c.fillStyle = variable("--quiet"); c.font = "11px system-ui, sans-serif";
    c.fillText(`up to ${number(most)} calls a column, depth ${deepest}`, 6, 11);
    if (cursor >= 0) { c.fillStyle = variable("--accent"); c.fillRect((cursor + .5) * step, 0, 1, h); }
  }
}
drawTime();
addEventListener("resize", drawTime);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTime);

// -- call tree
const rows = data.tree.rows, below = rows.map(() => []);
rows.forEach((r, n) => { if (r[0] >= 0) below[r[0]].push(n); });
const whole = Math.max(Object.values(data.tree.roots).reduce((s, n) => s + rows[n][4], 0), 1);
const rootNames = Object.fromEntries(data.processes.map(p => [data.tree.roots[p.index], `${p.program.split("/").pop()} (${p.pid})`]));
const label = n => rows[n][1] >= 0 ? data.functions[rows[n][1]][0] : rootNames[n] || "process";
const BATCH = 200, items = new Map(), open = new Set();
let selected = null;
function item(n, level) {
  const [, , site, count, total, self] = rows[n];
  const node = make("div", {role: "treeitem", tabindex: -1, class: "row" + (site ? " site" : ""), "aria-level": level, "data-n": n,
    "aria-expanded": below[n].length ? "false" : undefined},
    make("span", {class: "name", style: `padding-left:${Math.min(level - 1, 40) * 14}px`, title: label(n)}, make("span", {class: "twist", "aria-hidden": "true"}, below[n].length ? "\u25b8" : ""), label(n)),
    make("span", {class: "n"}, number(count)), make("span", {class: "n"}, number(total)), make("span", {class: "n"}, site ? "" : number(self)),
    make("span", {class: "part", title: `${(total / whole * 100).toFixed(1)}%`}, make("i", {style: `width:${total / whole * 100}%`})));
  items.set(n, node);
  return node;
}
function batch(n, level, from, before) {
  const list = n < 0 ? Object.values(data.tree.roots) : below[n];
  const part = document.createDocumentFragment();
  for (const child of list.slice(from, from + BATCH)) part.append(item(child, level));
  if (from + BATCH < list.length) {
    const more = make("div", {role: "treeitem", tabindex: -1, class: "row more", "aria-level": level, "data-from": from + BATCH, "data-parent": n},
      make("span", {class: "name", style: `padding-left:${level * 14}px`}, `${number(list.length - from - BATCH)} more`));
    part.append(more);
  }
  $("calls").insertBefore(part, before);
}
function expand(n) {
  const node = items.get(n);
  if (!node || open.has(n) || !below[n].length) return;
  open.add(n);
  node.setAttribute("aria-expanded", "true");
  node.querySelector(".twist").textContent = "\u25be";
  batch(n, +node.getAttribute("aria-level") + 1, 0, node.nextSibling);
}
function collapse(n) {
  const node = items.get(n);
  if (!node || !open.delete(n)) return;
  node.setAttribute("aria-expanded", "false");
  node.querySelector(".twist").textContent = "\u25b8";
  const level = +node.getAttribute("aria-level");
  while (node.nextSibling && +node.nextSibling.getAttribute("aria-level") > level) {
    const gone = node.nextSibling;
    if (gone.dataset.n !== undefined) { items.delete(+gone.dataset.n); open.delete(+gone.dataset.n); }
    gone.remove();
  }
}
function select(node, focus = true) {
  if (!node) return;
  if (selected) { selected.tabIndex = -1; selected.removeAttribute("aria-selected"); }
  selected = node;
  node.tabIndex = 0;
  node.setAttribute("aria-selected", "true");
  if (focus) { node.focus({preventScroll: true}); node.scrollIntoView({block: "nearest"}); }
}
function toggle(node) {
  if (node.dataset.from !== undefined) {
    const before = node.nextSibling, previous = node.previousSibling;
    node.remove();
    batch(+node.dataset.parent, +node.getAttribute("aria-level"), +node.dataset.from, before);
    select(previous.nextSibling);
  } else open.has(+node.dataset.n) ? collapse(+node.dataset.n) : expand(+node.dataset.n);
}
batch(-1, 1, 0, null);
Object.values(data.tree.roots).slice(0, 4).forEach(n => { expand(n); below[n].slice(0, 6).forEach(c => expand(c)); });
if ($("calls").firstChild) select($("calls").firstChild, false);
if (data.tree.left > 0) $("calls").after(make("p", {class: "hint"}, `${number(data.tree.left)} lighter call paths are left out.`));
$("calls").addEventListener("click", e => { const node = e.target.closest("[role=treeitem]"); if (node) { select(node); toggle(node); } });
$("calls").addEventListener("keydown", e => {
  const node = e.target.closest("[role=treeitem]");
  if (!node) return;
  const n = node.dataset.n === undefined ? -1 : +node.dataset.n;
  const act = {
    ArrowDown: () => select(node.nextSibling), ArrowUp: () => select(node.previousSibling),
    ArrowRight: () => n < 0 ? toggle(node) : open.has(n) ? select(node.nextSibling) : expand(n),
    ArrowLeft: () => n >= 0 && open.has(n) ? collapse(n) : n >= 0 && rows[n][0] >= 0 && select(items.get(rows[n][0])),
    Home: () => select($("calls").firstChild), End: () => select($("calls").lastChild), Enter: () => toggle(node), " ": () => toggle(node),
  }[e.key];
  if (act) { e.preventDefault(); act(); }
});
let hits = [], hit = -1;
function reveal(n) {
  const path = [];
  for (let at = n; at >= 0; at = rows[at][0]) path.unshift(at);
  for (const at of path) {
    const parent = rows[at][0];
    if (parent >= 0) expand(parent);
    while (!items.has(at)) {
      const more = [...document.querySelectorAll(`#calls .more[data-parent="${parent}"]`)][0];
      if (!more) return;
      const before = more.nextSibling;
      more.remove();
      batch(parent, +more.getAttribute("aria-level"), +more.dataset.from, before);
    }
  }
  document.querySelectorAll("#calls .hit").forEach(node => node.classList.remove("hit"));
  items.get(n).classList.add("hit");
  select(items.get(n), false);
  items.get(n).scrollIntoView({block: "nearest"});
}
function search() {
  const text = $("search").value.trim().toLowerCase();
  hits = text ? rows.map((_, n) => n).filter(n => label(n).toLowerCase().includes(text)) : [];
  hit = -1;
  document.querySelectorAll("#calls .hit").forEach(node => node.classList.remove("hit"));
  $("found").textContent = text ? (hits.length ? "" : "not found") : "";
  if (hits.length) go(1);
}
function go(step) {
  if (!hits.length) return;
  hit = (hit + step + hits.length) % hits.length;
  reveal(hits[hit]);
  $("found").textContent = `${number(hit + 1)} of ${number(hits.length)}`;
}
$("search").addEventListener("input", search);
$("search").addEventListener("keydown", e => { if (e.key === "Enter") { e.preventDefault(); go(e.shiftKey ? -1 : 1); } });
$("next").addEventListener("click", () => go(1));
$("previous").addEventListener("click", () => go(-1));
addEventListener("keydown", e => { if (e.key === "/" && !/INPUT|SELECT/.test(e.target.tagName)) { e.preventDefault(); $("search").focus(); } });

// -- slots
const plain = !data.slots.some(s => s.slot);  // a dynamic program
if (plain) {
  $("slots-title").textContent = $("slots-link").textContent = "Functions";
  $("used").parentNode.hidden = true;
}
const columns = [["library", "Library"], ...plain ? [] : [["slot", "Slot", 1]], ["name", "Function"], ["address", "Address"], ["calls", "Calls", 1], ["total", "Total", 1], ["self", "Self", 1]];
let sorted = "calls", down = true, limit = 300;
columns.forEach(([key, name, right]) => $("slot-table").tHead.rows[0].append(make("th", {scope: "col", class: right ? "n" : "", "data-key": key},
  make("button", {type: "button", onclick: () => { down = sorted === key ? !down : !!right && key !== "slot"; sorted = key; drawSlots(); }}, name))));
const listing = lines => lines.map(([at, bytes, text]) => `${at}  ${bytes.padEnd(24)} ${text}`).join("\n");
function drawSlots() {
  const text = $("filter").value.trim().toLowerCase(), used = $("used").checked;
  const chosen = data.slots.filter(s => (!used || s.calls) && (!text || `${s.library}!${s.name}`.toLowerCase().includes(text)));
  chosen.sort((a, b) => { const x = a[sorted], y = b[sorted], order = x < y ? -1 : x > y ? 1 : a.slot - b.slot; return down ? -order : order; });
  const body = $("slot-table").tBodies[0];
  body.replaceChildren();
  for (const s of chosen.slice(0, limit)) {
    const row = make("tr", {}, ...columns.map(([key, , right]) => make("td", {class: (right ? "n" : "") + (key === "address" || key === "name" ? " mono" : "")},
      key === "name" && s.code ? make("button", {type: "button", "aria-expanded": "false", onclick: e => code(e.currentTarget, s)}, s.name) : right ? number(s[key]) : s[key])));
    body.append(row);
  }
  for (const th of $("slot-table").tHead.rows[0].cells) th.setAttribute("aria-sort", th.dataset.key === sorted ? (down ? "descending" : "ascending") : "none");
  const unused = data.slots.filter(s => !s.calls).length;
  $("shown").textContent = `${number(chosen.length)} ${plain ? "functions" : "slots"}` + (plain ? "" : `; ${number(unused)} of ${number(data.slots.length)} never used`);
  $("more").hidden = chosen.length <= limit;
}
function code(button, s) {
  const row = button.closest("tr"), shown = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!shown));
  row.classList.toggle("open", !shown);
  if (shown) { row.nextSibling.remove(); return; }
  const parts = make("div", {class: "code"}, make("div", {}, make("h3", {}, s.slot ? `slot ${s.slot}` : s.name), make("pre", {}, listing(s.code))));
  if (s.implementation) parts.append(make("div", {}, make("h3", {}, s.name), make("pre", {}, listing(s.implementation))));
  row.after(make("tr", {}, make("td", {colspan: columns.length}, parts)));
}
$("filter").addEventListener("input", drawSlots);
$("used").addEventListener("change", drawSlots);
$("more").addEventListener("click", () => { limit += 1000; drawSlots(); });
for (const [file, why] of Object.entries(data.notes)) $("slot-table").parentNode.after(make("p", {class: "hint"}, `No disassembly of ${file}: ${why}.`));
drawSlots();

// -- symbol bindings
const bound = data.bindings, part = (row, n) => bound.names[row[n]];
const fields = [["Process", r => r[0]], ["Thread", r => r[1]], ["From", r => part(r, 2)], ["Symbol", r => part(r, 3)], ["Found in", r => part(r, 4) || "(nothing)"],
  ["When", r => part(r, 5)], ["How", r => [part(r, 6), part(r, 7)].filter(t => t && t !== part(r, 5)).join(", ")], ["Address", r => r[8]], ["Asked", r => r[9] ?? "?", 1]]
  .filter(([name]) => name === "Process" ? data.processes.length > 1 : name === "Thread" ? new Set(bound.rows.map(r => r[1])).size > data.processes.length : true);
let pair = null, most = 300;
function drawPairs() {
  for (const name of ["From", "Found in", ...bound.when, "All"]) $("pair-table").tHead.rows[0].append(make("th", {scope: "col", class: /F/.test(name[0]) ? "" : "n"}, name));
  for (const [from, to, ...counts] of bound.pairs)
    $("pair-table").tBodies[0].append(make("tr", {}, make("td", {class: "mono"}, make("button", {type: "button", onclick: () => { pair = [from, to]; drawBindings(); }}, from)),
      make("td", {class: "mono"}, to), ...[...counts, counts.reduce((a, b) => a + b, 0)].map(n => make("td", {class: "n"}, n ? number(n) : ""))));
  for (const when of bound.when) $("binding-when").append(make("option", {value: when}, when));
  for (const [name, , right] of fields) $("binding-table").tHead.rows[0].append(make("th", {scope: "col", class: right ? "n" : ""}, name));
}
function drawBindings() {
  const text = $("binding-filter").value.trim().toLowerCase(), when = $("binding-when").value;
  const chosen = bound.rows.filter(r => (!when || part(r, 5) === when) && (!pair || (part(r, 2) === pair[0] && (part(r, 4) || "(nothing)") === pair[1])) &&
    (!text || [2, 3, 4].some(n => part(r, n).toLowerCase().includes(text))));
  $("binding-table").tBodies[0].replaceChildren(...chosen.slice(0, most).map(r => make("tr", {}, ...fields.map(([, get, right]) => make("td", {class: right ? "n" : "mono"}, String(get(r)))))));
  $("bound").textContent = `${number(chosen.length)} bindings` + (pair ? ` of ${pair[0]} to ${pair[1]}` : "") + (bound.left ? `; ${number(bound.left)} later ones are left out` : "");
  $("every-pair").hidden = !pair;
  $("more-bindings").hidden = chosen.length <= most;
}
$("bindings").hidden = $("bindings-link").hidden = !bound.rows.length;
$("binding-filter").addEventListener("input", drawBindings);
$("binding-when").addEventListener("change", drawBindings);
$("every-pair").addEventListener("click", () => { pair = null; drawBindings(); });
$("more-bindings").addEventListener("click", () => { most += 1000; drawBindings(); });
drawPairs();
drawBindings();
document.documentElement.dataset.ready = "yes";
})();
