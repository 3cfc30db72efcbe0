// One source: its picture with what was found in it, its numbers, its instances.
import { bitsOf, covers, tinted } from "./masks.js";
import { Charts, lost } from "./charts.js";
import { drawMarks } from "./marks.js";
import { Sketch } from "./sketch.js";

const LIST_MS = 500;

export class Card {
  /** `settings`: { masks, labels, zones }; `remove` is called with the source's id, `setRule` with a new rule. */
  constructor(source, settings, { remove, setRule }) {
    this.id = source.id;
    this.settings = settings;
    this.chosen = null;
    this.last = null;
    this.listed = 0;
    this.node = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.node.querySelector(selector);
    const title = this.find("h2");
    title.textContent = source.id;
    title.id = `title-${source.id}`;
    this.node.setAttribute("aria-labelledby", title.id);
    this.node.dataset.source = source.id;
    this.canvas = this.find("canvas");
    this.context = this.canvas.getContext("2d");
    this.canvas.addEventListener("click", (event) => this.click(event));
    this.find(".remove").addEventListener("click", () => remove(this.id));
    this.find(".remove").setAttribute("aria-label", `Remove ${source.id}`);
    this.sketch = new Sketch(this, setRule);
    const enlarge = this.find(".enlarge");
    enlarge.setAttribute("aria-label", `Enlarge ${source.id}`);
    enlarge.addEventListener("click", () => {
      enlarge.setAttribute("aria-pressed", String(this.node.classList.toggle("wide")));
      requestAnimationFrame(() => this.draw());
    });
  }

  /** To be called when it is on the page. */
  placed() {
    this.charts = new Charts(this.find(".charts"));
  }

  close() {
    this.charts.close();
    this.last?.picture.close();
    this.node.remove();
  }

  // -- the state, once a second ---------------------------------------------------------------------

  tell(source) {
    this.source = source;
    const badge = this.find(".state");
    const shown = source.state === "live" ? "live" : `${source.state} ${duration(source.state_seconds)}`;
    if (badge.textContent !== shown) badge.textContent = shown;
    badge.className = `state ${source.state}`;
    const number = (name, text) => { this.find(`[data-is=${name}]`).textContent = text; };
    number("fps", source.fps.toFixed(1));
    number("age", source.age.p50_ms ? `${source.age.p50_ms.toFixed(0)} / ${source.age.p99_ms.toFixed(0)} ms` : "–");
    number("dropped", lost(source).toLocaleString("en"));
    number("reconnects", source.reconnects);
    this.charts.push(source);
    this.explain();
  }

  /** Words where there is no picture, or an old one. */
  explain() {
    const { source, last } = this;
    const silent = source.state !== "live";
    const note = this.find(".note");
    note.hidden = last !== null && !silent;
    this.find(".screen").classList.toggle("stale", last !== null && silent);
    const picture = last ? `last picture ${duration(source.silent_seconds)} ago` : "no picture yet";
    note.textContent = silent || last ? `${source.state}: ${source.state === "ended" && !source.detail ? "no more frames" : picture}` : "waiting for the first picture";
    const detail = this.find(".detail");
    detail.textContent = source.detail;
    detail.hidden = !source.detail;
    this.find(".found").hidden = last === null;
    this.sketch.button.disabled = last === null;
    this.canvas.setAttribute("aria-label", `picture of ${this.id}, ${source.state}, ${last ? last.found.length : 0} instances`);
  }

  // -- pictures -------------------------------------------------------------------------------------

  async show(head, jpeg) {
    const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    const found = head.frame.instances.map((instance, k) => ({
      ...instance, colour: head.frame.colours[k], region: undefined,
    }));
    this.last?.picture.close();
    this.last = { picture, found, size: head.size, marks: head.frame.marks };
    this.draw();
    this.list();
    if (this.source) this.explain();
  }

  draw() {
    if (!this.last) return;
    const { picture, found, size, marks } = this.last;
    const { canvas, context } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    context.drawImage(picture, 0, 0);
    const scale = picture.width / size[0];
    // Canvas pixels per pixel of the page: lines and letters keep their size whatever the card's.
    const unit = canvas.width / (canvas.clientWidth || canvas.width);
    const chosen = this.chosen !== null && found.some((one) => one.id === this.chosen);
    const lowestFirst = found.toReversed();
    for (const one of lowestFirst) {
      const mine = one.id === this.chosen;
      if (this.settings.masks) this.drawMask(one, scale, unit, chosen && !mine ? 26 : 105);
      if (chosen && mine) this.drawFrame(one.box, scale, unit);
    }
    if (this.settings.zones) drawMarks(context, marks, scale, unit);
    if (this.settings.labels) {
      for (const one of lowestFirst) if (!chosen || one.id === this.chosen) this.drawLabel(one, scale, unit);
    }
    this.sketch.draw(context, unit);
  }

  regionOf(one) {
    if (one.region === undefined) one.region = bitsOf(one.mask);
    return one.region;
  }

  drawMask(one, scale, unit, fill) {
    const region = this.regionOf(one);
    if (!region) return this.drawFrame(one.box, scale, unit, one.colour);
    const line = Math.max(1, Math.round((1.5 * unit) / scale));
    const tint = tinted(region, one.colour, fill, line);
    this.context.drawImage(tint, region.x0 * scale, region.y0 * scale, region.width * scale, region.height * scale);
  }

  drawFrame([x1, y1, x2, y2], scale, unit, colour = "#fff") {
    this.context.strokeStyle = colour;
    this.context.lineWidth = 2 * unit;
    this.context.strokeRect(x1 * scale, y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale);
  }

  drawLabel(one, scale, unit) {
    const { context, canvas } = this;
    const text = one.id === null ? one.class : `${one.class} ${one.id}`;
    context.font = `600 ${12 * unit}px system-ui, sans-serif`;
    const width = context.measureText(text).width + 8 * unit, height = 17 * unit;
    const x = Math.min(Math.max(0, one.box[0] * scale), canvas.width - width);
    const y = Math.max(0, one.box[1] * scale - height);
    context.fillStyle = one.colour;
    context.fillRect(x, y, width, height);
    context.fillStyle = "#000";
    context.textBaseline = "middle";
    context.fillText(text, x + 4 * unit, y + height / 2);
  }

  // -- choosing -------------------------------------------------------------------------------------

  click(event) {
    if (!this.last) return;
    const edge = this.canvas.getBoundingClientRect();
    const across = (event.clientX - edge.left) / edge.width, down = (event.clientY - edge.top) / edge.height;
    if (this.sketch.active) return this.sketch.add(across, down);
    const x = across * this.last.size[0], y = down * this.last.size[1];
    const hit = this.last.found.find((one) => {
      const region = one.id === null ? null : this.regionOf(one);
      return region && covers(region, x, y);
    });
    this.choose(hit ? hit.id : null);
  }

  choose(id) {
    this.chosen = id === this.chosen ? null : id;
    this.listed = 0;
    this.draw();
    this.list();
  }

  list() {
    const now = performance.now();
    if (now - this.listed < LIST_MS) return;
    this.listed = now;
    const { found } = this.last ?? { found: [] };
    this.find(".count").textContent = found.length ? `(${found.length})` : "(none)";
    const list = this.find("ul");
    const left = new Map([...list.children].map((item) => [item.dataset.key, item]));
    found.forEach((one, k) => {
      const key = one.id === null ? `new ${k}` : String(one.id);
      const item = left.get(key) ?? this.entry(one, key);
      left.delete(key);
      const button = item.firstElementChild;
      const text = `${one.class}${one.id === null ? "" : ` ${one.id}`} · ${one.score.toFixed(2)}`;
      if (button.textContent !== text) button.textContent = text;
      button.setAttribute("aria-pressed", String(one.id !== null && one.id === this.chosen));
      button.style.setProperty("--mark", one.colour);
      if (!item.isConnected) list.append(item);
    });
    left.forEach((item) => item.remove());
  }

  entry(one, key) {
    const item = document.createElement("li");
    item.dataset.key = key;
    const button = document.createElement("button");
    button.type = "button";
    button.disabled = one.id === null;
    button.addEventListener("click", () => this.choose(one.id));
    item.append(button);
    return item;
  }
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
