// The page: one WebSocket, a card for each source, what the user asks of the run.
import { Card } from "./card.js";
import { listEvents, listRules } from "./told.js";

const element = (id) => document.getElementById(id);
const settings = { masks: true, labels: true, zones: true };
const RUNGS = ["", ", too slow for every frame: every second one is moved by the tracker", ", too slow: frames are moved by the tracker"];
const cards = new Map();
const visible = new Set();
const decoder = new TextDecoder();
let socket = null;
let pause = 1;

// -- asking the run ---------------------------------------------------------------------------------

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(problem.error), { status: answer.status });
}

async function enter() {
  try {
    tellState(await ask("GET", "/api/status"));
  } catch (error) {
    if (error.status === 401) return element("login").showModal();
  }
  connect();
}

element("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = element("token").value;
  const answer = await fetch("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) {
    element("denied").textContent = "This is not the token.";
    return;
  }
  element("login").close();
  enter();
});

element("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = element("spec");
  element("added").textContent = "adding …";
  try {
    const source = await ask("POST", "/api/sources", { spec: field.value });
    element("added").textContent = `${source.id} is there`;
    field.value = "";
  } catch (error) {
    element("added").textContent = error.message;
  }
});

async function remove(id) {
  if (!confirm(`Remove ${id}?`)) return;
  try {
    await ask("DELETE", `/api/sources/${encodeURIComponent(id)}`);
  } catch (error) {
    element("added").textContent = error.message;
  }
}

const ruleAt = (kind, name) => `/api/rules/${kind}/${encodeURIComponent(name)}`;

/** A zone or line that was drawn on a source's picture; throws what the run has against it. */
const setRule = (kind, name, rule) => ask("PUT", ruleAt(kind, name), rule);

async function removeRule(kind, name) {
  if (!confirm(`Remove the rule ${name}?`)) return;
  try {
    await ask("DELETE", ruleAt(kind, name));
  } catch (error) {
    element("added").textContent = error.message;
  }
}

element("score").addEventListener("change", async (event) => {
  try {
    await ask("PATCH", "/api/thresholds", { score: Number(event.target.value) });
  } catch (error) {
    element("added").textContent = error.message;
  }
});

for (const name of ["masks", "labels", "zones"]) {
  element(name).addEventListener("change", (event) => {
    settings[name] = event.target.checked;
    cards.forEach((card) => card.draw());
  });
}

// -- the live line ----------------------------------------------------------------------------------

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/api/live`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    pause = 1;
    link("");
    watch();
  });
  socket.addEventListener("message", (event) => receive(event.target, event.data));
  socket.addEventListener("close", () => {
    link(`no connection to the run, next try in ${pause} s`);
    setTimeout(enter, pause * 1000);
    pause = Math.min(10, pause * 2);
  });
}

function link(text) {
  element("link").textContent = text;
}

/** Only what can be seen is sent. */
function watch() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ watch: document.hidden ? [] : [...visible] }));
}
document.addEventListener("visibilitychange", watch);
const looking = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const id = entry.target.dataset.source;
    if (entry.isIntersecting) visible.add(id);
    else visible.delete(id);
  }
  watch();
});

/** Number (4 bytes), length of the head (4 bytes), the head as JSON, a JPEG. */
async function receive(from, data) {
  const view = new DataView(data);
  const number = view.getUint32(0, true), length = view.getUint32(4, true);
  const head = JSON.parse(decoder.decode(new Uint8Array(data, 8, length)));
  try {
    if (head.state) tellState(head.state);
    else if (head.events) listEvents(head.events);
    else await cards.get(head.source)?.show(head, new Uint8Array(data, 8 + length));
  } finally {
    // After the next repaint: what the browser has not shown yet must not pile up in it.
    requestAnimationFrame(() => from.readyState === WebSocket.OPEN && from.send(JSON.stringify({ ack: number })));
  }
}

function tellState(state) {
  element("engine").textContent = `${state.engine} on ${state.runtime}${RUNGS[state.rung]}`;
  element("notice").textContent = state.notice ?? "";
  element("notice").hidden = !state.notice;
  if (document.activeElement !== element("score")) element("score").value = state.thresholds.score;
  listRules(state.rules, removeRule);
  const there = new Set(state.sources.map((source) => source.id));
  for (const [id, card] of cards) {
    if (there.has(id)) continue;
    looking.unobserve(card.node);
    visible.delete(id);
    card.close();
    cards.delete(id);
  }
  for (const source of state.sources) {
    if (!cards.has(source.id)) place(source);
    cards.get(source.id).tell(source);
  }
  nothingYet(there.size === 0);
}

function place(source) {
  const card = new Card(source, settings, { remove, setRule });
  cards.set(source.id, card);
  element("cards").append(card.node);
  card.placed();
  looking.observe(card.node);
}

function nothingYet(empty) {
  const there = document.querySelector("#cards > p");
  if (!empty) there?.remove();
  else if (!there) element("cards").innerHTML = "<p>There is no source yet: add one below.</p>";
}

enter();
