// The rules of the run, and what they have seen.

const element = (id) => document.getElementById(id);
const WORDS = { zone: { started: "entered", updated: "loiters", ended: "left" } };
let rulesShown = "{}", anyRules = false;

/** Names by kind; each with a button that calls `remove(kind, name)`. */
export function listRules(rules, remove) {
  const text = JSON.stringify(rules);
  if (text === rulesShown) return;
  rulesShown = text;
  const entries = Object.entries(rules).flatMap(([kind, names]) => names.map((name) => [kind, name]));
  anyRules = entries.length > 0;
  element("rules").replaceChildren(...entries.map(([kind, name]) => {
    const button = made("button", "×");
    button.setAttribute("aria-label", `Remove the rule ${name}`);
    button.addEventListener("click", () => remove(kind, name));
    return made("li", `${name} (${kind}) `, button);
  }));
  show();
}

/** CloudEvents, the newest first. */
export function listEvents(events) {
  element("events").replaceChildren(...events.map(({ time, data }) => {
    const what = [data.class, data.track, data.detail.direction ?? WORDS[data.kind]?.[data.phase] ?? data.phase];
    const at = made("time", new Date(time).toLocaleTimeString("en-GB"));
    at.dateTime = time;
    const rest = ` ${what.filter((word) => word !== null && word !== undefined).join(" ")} · ${data.source}`;
    return made("li", at, " ", made("b", data.rule), rest);
  }));
  show();
}

function show() {
  element("told").hidden = !anyRules && !element("events").children.length;
}

function made(name, ...content) {
  const node = document.createElement(name);
  node.append(...content);
  return node;
}
