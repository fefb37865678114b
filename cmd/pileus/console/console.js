"use strict";

// All that comes from the node is text that strangers may have written: it gets
// into the page by textContent alone.
function el(name, attributes, ...children) {
  const svg = ["svg", "rect", "title"].includes(name);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "onclick" || key === "onsubmit") e.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) e.setAttribute(key, value);
  }
  for (const c of children.flat(Infinity)) e.append(c instanceof Node ? c : String(c ?? ""));
  return e;
}

const main = document.getElementById("main");
const state = document.getElementById("state");
const login = document.getElementById("login");
const classes = new Set();
let token = sessionStorage.getItem("token") || "";

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function call(path, options = {}) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  if (options.body) headers["Content-Type"] = "application/json";
  const r = await fetch("../api/v1" + path, { ...options, headers, cache: "no-store" });
  if (options.stream && r.ok) return r;
  const body = r.status === 204 ? null : await r.json();
  if (!r.ok) throw new Refused(r.status, body?.error?.message || r.statusText);
  return body;
}

// optional is for what a tenant's token may not see.
async function optional(path) {
  try { return await call(path); } catch (e) {
    if (e.status === 403) return null;
    throw e;
  }
}

function askToken() {
  document.getElementById("wrong").hidden = !token;
  if (!login.open) login.showModal();
  document.getElementById("token").focus();
}
// Whoever closes the question is not asked again by itself.
let unasked = true;
login.addEventListener("cancel", () => { unasked = false; });
login.addEventListener("close", () => {
  if (unasked) return;
  main.replaceChildren(section("Nothing is shown without a token", true, el("button", { onclick: askToken }, "Type it in")));
  main.focus();
});
login.querySelector("form").addEventListener("submit", () => {
  unasked = true;
  token = document.getElementById("token").value.trim();
  sessionStorage.setItem("token", token);
  document.getElementById("token").value = "";
  show();
  follow();
});

const number = new Intl.NumberFormat("en");
const bits = (n) => n >= 1e9 ? (n / 1e9).toFixed(2) + " Gbit/s" : n >= 1e6 ? (n / 1e6).toFixed(1) + " Mbit/s" : n >= 1e3 ? (n / 1e3).toFixed(0) + " kbit/s" : n + " bit/s";
const bytes = (n) => n >= 1e9 ? (n / 1e9).toFixed(2) + " GB" : n >= 1e6 ? (n / 1e6).toFixed(1) + " MB" : n >= 1e3 ? (n / 1e3).toFixed(1) + " kB" : n + " B";
const clock = (t) => new Date(t).toLocaleTimeString("en-GB");
const since = (t) => {
  const s = Math.max(0, Math.round((Date.now() - new Date(t)) / 1000));
  return s < 120 ? s + " s" : s < 7200 ? Math.floor(s / 60) + " min" : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
};
const clip = (s, n = 40) => s && s.length > n ? s.slice(0, n) + "…" : s || "";
const short = (p) => !p || !p.id ? el("span", { class: "note" }, "anonymous") :
  el("a", { href: "#/peer/" + p.id, class: "mono", title: p.id }, clip(p.name, 16) || p.id.slice(0, 8));

function section(title, wide, ...content) {
  const s = el("section", { class: wide ? "wide" : "" }, el("h2", {}, title), content);
  for (const region of s.querySelectorAll(".scroll")) region.setAttribute("aria-label", title);
  return s;
}

function table(heads, rows, none, dense) {
  if (rows.length === 0) return el("p", { class: "empty" }, none);
  // On a phone each cell stands on a line of its own, with its column's name,
  // or, in dense tables, a row is wrapped like words; the roles keep it a table for those who have it read to them.
  const cell = (v, i) => {
    const td = v instanceof Node && v.tagName === "TD" ? v : el("td", {}, el("span", {}, v));
    td.setAttribute("role", "cell");
    td.dataset.head = heads[i];
    return td;
  };
  return el("div", { class: "scroll", tabindex: "0", role: "region" }, el("table", { role: "table", class: dense && "dense" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads.map((h) => el("th", { scope: "col", role: "columnheader" }, h)))),
    el("tbody", { role: "rowgroup" }, rows.map((r) => el("tr", { role: "row" }, r.map(cell))))));
}

function bar(name, value, of) {
  return el("div", { class: "bar" }, el("span", {}, name),
    el("meter", { min: 0, max: Math.max(of, 1), value, "aria-label": name + ": " + value + " of " + of }), el("span", {}, number.format(value)));
}

// shares is the stacked chart of what introductions were given.
function shares(history) {
  const kinds = ["direct", "either", "relayed", "refused"];
  const names = { direct: "direct", either: "direct, relay beside", relayed: "relayed", refused: "refused" };
  if (history.length === 0) return el("p", { class: "empty" }, "No introductions yet.");
  const step = 300000, end = Math.max(Date.now(), new Date(history[history.length - 1].from).getTime());
  const first = Math.max(new Date(history[0].from).getTime(), end - 86400000);
  const n = Math.max(Math.floor((end - first) / step) + 1, 12);
  const svg = el("svg", { viewBox: `0 0 ${n} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "share of introductions over time" });
  for (const h of history) {
    const x = Math.floor((new Date(h.from) - first) / step) + n - Math.floor((end - first) / step) - 1;
    const total = kinds.reduce((sum, k) => sum + h[k], 0);
    if (x < 0 || total === 0) continue;
    let y = 100;
    for (const k of kinds) {
      const height = 100 * h[k] / total;
      y -= height;
      if (height > 0) svg.append(el("rect", { class: k, x: x + .06, y, width: .88, height }, el("title", {}, `${clock(h.from)}: ${h[k]} of ${total} ${names[k]}`)));
    }
  }
  const totals = kinds.map((k) => history.reduce((sum, h) => sum + h[k], 0));
  return el("div", {}, svg, el("p", { class: "note" }, `${clock(end - (n - 1) * step)} to ${clock(end)}, by five minutes`),
    el("ul", { class: "legend" }, kinds.map((k, i) => el("li", { class: k }, `${names[k]}: ${number.format(totals[i])}`))));
}

function matrix(counts) {
  const cells = new Map();
  for (const c of counts) {
    const key = c.initiator + "\n" + c.target;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(c);
  }
  const rows = [...cells.values()].map((list) => {
    const total = list.reduce((sum, c) => sum + c.introductions, 0);
    return [list[0].initiator, list[0].target, el("td", { class: "number" }, number.format(total)),
      list.map((c) => `${c.strategy} ${number.format(c.introductions)}`).join(", ")];
  });
  return table(["Initiator", "Target", "Introductions", "By strategy"], rows, "No introductions yet.");
}

function outcomes(list) {
  const strategies = [...new Set(list.map((o) => o.strategy))];
  const rows = strategies.map((s) => {
    const mine = list.filter((o) => o.strategy === s), sum = (...names) => mine.filter((o) => names.includes(o.outcome)).reduce((n, o) => n + o.introductions, 0);
    return [s, ...[sum("quiet", "reported-met", "relayed"), sum("asked-again"), sum("retried", "reported-failed"), sum("abandoned")].map((n) => el("td", { class: "number" }, number.format(n)))];
  });
  return el("div", {}, table(["Strategy", "Not asked again", "Asked again", "Failed", "Abandoned"], rows, "Nothing is known yet."),
    el("p", { class: "note" }, "The node sees nothing of what peers send each other: who does not ask again has probably met."));
}

function introductions(list) {
  return table(["Time", "Initiator", "Target", "Classes", "Strategy", "Outcome", "Reason"], list.map((e) => [
    clock(e.time), short(e.peer), short(e.target), `${e.peer.class} → ${e.target.class}`,
    e.plan ? e.plan.strategy + (e.plan.sure ? "" : " (unsure)") : "", e.outcome || e.reason || "",
    el("td", { class: "reason" }, e.plan ? e.plan.reason : "no such peer was connected"),
  ]), "No introductions yet.");
}

const pages = {
  async ""() {
    const [status, peers, m, recent] = await Promise.all([optional("/status"), call("/peers?limit=1"), call("/matrix"), call("/introductions?limit=15")]);
    const tile = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
    const list = [];
    const tiles = el("dl", { class: "tiles" }, tile("Peers", number.format(peers.total)));
    if (status) {
      tiles.append(tile("Introductions", number.format(status.introduced)), tile("Asked for again", number.format(status.retried)),
        tile("Relayed pairs", number.format(status.relay.pairs)), tile("Up", since(status.started)));
      if (status.hooks) tiles.append(tile("Events waiting for the core", number.format(status.hooks.waiting)));
    }
    list.push(section(status?.draining ? "This node drains until " + clock(status.draining) : "Now", true, tiles));
    const kinds = Object.entries(peers.classes).sort((a, b) => b[1] - a[1]);
    list.push(section("Peers by kind of NAT", false, kinds.length ? kinds.map(([k, n]) => bar(k, n, peers.total)) : el("p", { class: "empty" }, "Nobody is here.")));
    list.push(section("Direct and relayed", false, shares(m.history)));
    if (status) {
      const r = status.relay;
      list.push(section("Relay bandwidth", false, r.limit_bits_per_second ?
        [el("p", {}, `${bits(r.bits_per_second)} of ${bits(r.limit_bits_per_second)}`), el("meter", { min: 0, max: r.limit_bits_per_second, value: r.bits_per_second, "aria-label": "relay bandwidth" })] :
        el("p", {}, `${bits(r.bits_per_second)}; limits.node sets no limit`)));
    }
    list.push(section("What became of introductions", false, outcomes(m.outcomes)));
    list.push(section("Who was to meet whom", true, matrix(m.counts)));
    list.push(section("Latest introductions", true, introductions(recent.introductions)));
    return list;
  },
  async peers(_, query) {
    const q = new URLSearchParams(query);
    const l = await call("/peers?" + q);
    const all = q.size ? await call("/peers?limit=1") : l;
    Object.keys(all.classes).forEach((k) => classes.add(k));
    const field = (name, label) => el("label", {}, label, el("input", { name, value: q.get(name) || "", size: 14 }));
    const form = el("form", { class: "filter", onsubmit: (e) => {
      e.preventDefault();
      const next = new URLSearchParams([...new FormData(e.target)].filter(([, v]) => v));
      location.hash = "#/peers?" + next;
    } }, field("app", "Application"), field("name", "Name"), field("tenant", "Tenant"),
    el("label", {}, "Kind of NAT", el("select", { name: "class" }, el("option", { value: "" }, "any"),
      [...classes].sort().map((k) => el("option", { value: k, selected: q.get("class") === k ? "" : false }, k)))), el("button", {}, "Show"));
    const next = new URLSearchParams(q);
    next.set("after", l.next);
    return [section(`${number.format(l.total)} peers`, true, form, table(["Peer", "Name", "Tenant", "Application", "Address", "Kind of NAT", "Here for"],
      l.peers.map((p) => [el("a", { href: "#/peer/" + p.id, class: "mono" }, p.id.slice(0, 12)), clip(p.name), p.tenant, clip(p.app), el("span", { class: "mono" }, p.address), p.class, since(p.since)]),
      "Nobody fits."), l.next ? el("p", {}, el("a", { href: "#/peers?" + next }, "More")) : "")];
  },
  async introductions() {
    return [section("Latest introductions", true, introductions((await call("/introductions?limit=200")).introductions))];
  },
  async relay() {
    const [s, a, c, g] = await Promise.all([call("/splices"), call("/allocations"), optional("/cores"), call("/groups")]);
    const mono = (v) => el("span", { class: "mono" }, v);
    const who = (id) => short({ id });
    const list = [
      section("Relayed pairs", true, table(["Initiator", "Target", "Relay", "Sources", "For", "Bytes"], s.splices.map((x) => [who(x.initiator), who(x.target), mono(x.relay.join(" ")), mono(x.sources.join(" ")), since(x.since), x.bytes.map(bytes).join(" / ")]), "Nobody is relayed.")),
      section("TURN allocations", true, table(["User", "Client", "Relayed", "For", "Bytes"], a.allocations.map((x) => [clip(x.user), mono(x.client), mono(x.relayed), since(x.since), x.bytes.map(bytes).join(" / ")]), "There are none.")),
      section("Groups", false, table(["Group", "Tenant", "Members"], g.groups.map((x) => [mono(x.id.slice(0, 16)), x.tenant, number.format(x.members)]), "There are none.")),
    ];
    if (c) list.push(section("Core servers", false, table(["Fingerprint", "Key", "Address", "Load", ""], c.cores.map((x) => [mono(x.fingerprint.slice(0, 16)), clip(x.key_id), mono(x.address), x.load, x.draining ? "draining" : ""]), "None has registered.")));
    return list;
  },
};

// replace shows a page anew under the eyes of whoever reads it: the keyboard stays
// where it is, and tables as far to the side. What somebody types, or has marked, is
// not taken away.
function replace(content) {
  const at = document.activeElement, inside = at !== main && main.contains(at);
  if (inside && at.closest("form") || !getSelection().isCollapsed) return;
  const all = () => [...main.querySelectorAll("a, button, [tabindex]")];
  const place = all().indexOf(at), link = at.getAttribute("href");
  const sides = [...main.querySelectorAll(".scroll")].map((s) => s.scrollLeft);
  main.replaceChildren(...content);
  main.querySelectorAll(".scroll").forEach((s, i) => { s.scrollLeft = sides[i] || 0; });
  if (!inside) return;
  const now = all();
  ((now[place]?.getAttribute("href") === link ? now[place] : now.find((e) => link && e.getAttribute("href") === link)) || now[place] || main).focus({ preventScroll: true });
}

let shown = 0;
async function show(quietly) {
  const mine = ++shown;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, id] = path.split("/");
  for (const a of document.querySelectorAll("nav a")) {
    if (a.getAttribute("href") === "#/" + (page === "peer" ? "peers" : page)) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current");
  }
  try {
    const content = await (pages[page] || pages[""])(id, query);
    if (mine !== shown) return; // another page was asked for meanwhile
    if (quietly) replace(content); else main.replaceChildren(...content);
    if (!quietly && login.open) login.close();
  } catch (e) {
    if (mine !== shown) return;
    if (e.status === 401) { if (unasked) askToken(); return; }
    if (!quietly || e.status) main.replaceChildren(section("This cannot be shown", true, el("p", {}, e.message)));
  }
}
window.addEventListener("hashchange", async () => { await show(); main.focus(); scrollTo(0, 0); });
document.querySelector(".skip").addEventListener("click", (e) => { e.preventDefault(); main.focus(); });

// Events come as a stream, fetched so that the token stays out of the URL.
let following = null, due = null;
function refresh() {
  due ??= setTimeout(() => { due = null; show(true); }, 1000);
}
setInterval(() => { if (!document.hidden && document.querySelector("[data-live]")) refresh(); }, 2000);
async function follow() {
  following?.abort();
  const mine = following = new AbortController();
  for (let wait = 1000; !mine.signal.aborted; wait = Math.min(2 * wait, 30000)) {
    try {
      const r = await call("/events", { stream: true, signal: mine.signal });
      state.textContent = "live";
      state.className = "";
      wait = 500;
      const reader = r.body.getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        if (value.length > 4) refresh();
      }
    } catch (e) {
      if (mine.signal.aborted) return;
      if (e.status === 401) { state.textContent = "a token is needed"; if (unasked) askToken(); return; }
    }
    state.textContent = "the node does not answer";
    state.className = "bad";
    await new Promise((done) => setTimeout(done, wait));
  }
}
setInterval(() => { if (!document.hidden) refresh(); }, 10000);
addEventListener("DOMContentLoaded", () => { show(); follow(); }); // peer.js has run
