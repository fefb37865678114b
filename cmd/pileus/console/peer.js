"use strict";

// The page of one peer.

const mappings = { EIM: "one port for every destination", ADM: "a port for each destination address", APDM: "a port for each destination", "ADM or APDM": "changes with the destination", "EIM or ADM": "one for each address at least" };
const filterings = { EIF: "lets anybody in", ADF: "lets in addresses it has sent to", APDF: "lets in addresses and ports it has sent to", "ADF or APDF": "keeps strangers out", "EIF or ADF": "lets in other ports at least" };

function facts(list) {
  return el("dl", { class: "facts" }, list.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
}

function nat(b) {
  if (!b) return el("p", { class: "empty" }, "Not known yet.");
  const known = (f, of) => f.answer + (f.tries ? ` (${f.hits} of ${f.tries} ${of})` : "");
  const kind = (name, words, f, of) => (words[name] ? `${words[name]} (${name})` : name) + (f.tries ? `: ${f.hits} of ${f.tries} ${of}` : "");
  return facts([
    ["Mapping", kind(b.mapping, mappings, b.mappingBy, "destinations saw the observed port")],
    ["Filtering", kind(b.filtering, filterings, b.filteringBy, "strangers’ probes passed")],
    ["Ports", b.allocation + (b.step ? `, step ${b.step}` : "")],
    ["Public address", known(b.public, "of those it says are seen outside")],
    ["Hairpin", known(b.hairpin, "came back")],
    ["Several addresses", known(b.pooling, "mappings had another")],
    ["Answers introductions", known(b.answersIntroductions, "answered")],
    ["Blocked routes", known(b.blockedRoutes, "answered")],
  ]);
}

// stamp is a time with milliseconds: packets come close together.
const stamp = (t) => clock(t) + "." + String(new Date(t).getMilliseconds()).padStart(3, "0");

// timeline is the packets of a watched peer, the latest first. Tenants' tokens do
// not see any.
function timeline(id, t) {
  if (!t) return "";
  const order = (method) => async () => { await call(`/peers/${id}/timeline`, { method }); show(); };
  const watch = el("button", { onclick: order("POST") }, t.until ? "Ten minutes more" : "Watch them for ten minutes");
  const what = "Kinds, sizes and addresses of its latest 256 packets; what they say is noted nowhere.";
  if (!t.until) return section("Packets", true, el("p", { class: "note" }, what), el("p", {}, watch));
  const mono = (v) => el("span", { class: "mono" }, v);
  const chunks = (p) => p.chunks.map((c) => c.type + (c.count > 1 ? " ×" + c.count : "")).join(", ") + (p.more ? ", …" : "") || (p.startup ? "startup" : "");
  const rows = t.packets.reverse().map((p) => [mono(stamp(p.time)), (p.sent ? "to " : "from "), mono(p.peer), number.format(p.bytes),
    el("td", { class: p.sent || p.verdict === "taken" || p.verdict === "foreign" ? "" : "refused" }, el("span", {}, p.verdict)), chunks(p)]);
  return section("Packets", true,
    el("p", { class: "note", "data-live": "" }, `${what} ${number.format(t.total)} so far; until ${clock(t.until)}.`),
    el("p", { class: "buttons" }, watch, el("button", { onclick: order("DELETE") }, "End and forget")),
    table(["Time", "Way", "Address", "Bytes", "Verdict", "Chunks"], rows, "None yet.", true));
}

pages.peer = async (id) => {
  const [p, recent, packets] = await Promise.all([call("/peers/" + id), call("/introductions?peer=" + id), optional(`/peers/${id}/timeline`)]);
  const close = el("button", { onclick: async () => {
    if (!confirm("Close the connection of this peer?")) return;
    await call("/peers/" + id, { method: "DELETE" });
    location.hash = "#/peers";
  } }, "Close its connection");
  return [
    section(clip(p.name) || "Peer " + id.slice(0, 12), false, facts([["ID", el("code", {}, p.id)], ["Tenant", p.tenant], ["Application", clip(p.app, 120)], ["Names", p.names.join(", ")],
      ["Address", el("code", {}, p.address)], ["Connected to", el("code", {}, p.local)], ["Says it is at", p.reported.map((a) => el("div", {}, el("code", {}, a)))],
      ["Round trip", p.rtt_ms.toFixed(1) + " ms"], ["Here for", since(p.since)]]), el("p", {}, close)),
    section("Its NAT: " + p.class + (p.probing ? ", being probed" : ""), false, nat(p.behavior)),
    section("Its introductions", true, introductions(recent.introductions)),
    timeline(id, packets),
    section("Evidence", true, table(["Time", "Kind", "Asked at", "Answered", "Seen as"], p.observations.map((o) => [clock(o.at), o.kind, el("span", { class: "mono" }, o.node || ""),
      `${o.hits || 0} of ${o.tries || 0}`, el("span", { class: "mono" }, o.seen || "")]), "None is kept; probes of an address are remembered for ten minutes.", true)),
  ];
};
