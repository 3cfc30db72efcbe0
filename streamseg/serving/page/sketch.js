// A zone or line that is drawn with the mouse on a card's picture, and becomes a rule of the run.
import { outline } from "./marks.js";

const LEAST = { zones: 3, lines: 2 };
const DRAWN = "#fff";

export class Sketch {
  /** `setRule(kind, name, rule)` throws what the run has against it. */
  constructor(card, setRule) {
    this.card = card;
    this.setRule = setRule;
    this.points = [];
    this.form = card.find(".sketch");
    this.button = card.find(".sketching");
    this.kind = this.form.querySelector("select");
    this.name = this.form.querySelector("input");
    this.status = this.form.querySelector("p");
    this.button.setAttribute("aria-label", `Draw a zone or line on ${card.id}`);
    this.button.addEventListener("click", () => this.open(!this.active));
    this.kind.addEventListener("change", () => this.tell());
    this.form.querySelector(".undo").addEventListener("click", () => this.undo());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.form.addEventListener("keydown", (event) => event.key === "Escape" && this.open(false));
  }

  get active() {
    return !this.form.hidden;
  }

  open(open) {
    this.form.hidden = !open;
    this.button.setAttribute("aria-pressed", String(open));
    this.points = [];
    if (open) this.name.focus();
    this.tell();
  }

  /** Shares of the picture's width and height. */
  add(x, y) {
    this.points.push([x, y].map((at) => Math.round(at * 1e4) / 1e4));
    this.tell();
  }

  undo() {
    this.points.pop();
    this.tell();
  }

  tell() {
    const missing = LEAST[this.kind.value] - this.points.length;
    this.status.textContent = missing > 0 ? `Click ${missing} more point${missing > 1 ? "s" : ""} in the picture.` : "Save it, or click more points.";
    this.card.draw();
  }

  draw(context, unit) {
    if (!this.active || !this.points.length) return;
    const { width, height } = context.canvas;
    const points = this.points.map(([x, y]) => [x * width, y * height]);
    outline(context, points, this.kind.value === "lines", DRAWN, unit);
    context.fillStyle = DRAWN;
    for (const [x, y] of points) context.fillRect(x - 3 * unit, y - 3 * unit, 6 * unit, 6 * unit);
  }

  async save() {
    const shape = this.kind.value === "zones" ? "polygon" : "points";
    try {
      await this.setRule(this.kind.value, this.name.value, { [shape]: this.points, sources: [this.card.id] });
      this.name.value = "";
      this.open(false);
    } catch (error) {
      this.status.textContent = error.message;
    }
  }
}
