// Three small charts of the last two minutes, one point a second.
/* global uPlot */

const SECONDS = 120;
const KINDS = [
  { name: "fps", of: (now) => now.fps },
  { name: "age p99, ms", of: (now) => now.age.p99_ms || null },
  { name: "dropped a second", of: (now, before) => (before ? Math.max(0, lost(now) - lost(before)) : null) },
];

export const lost = (source) => Object.values(source.dropped).reduce((sum, count) => sum + count, 0);

export class Charts {
  constructor(box) {
    this.before = null;
    this.times = [];
    this.series = KINDS.map(() => []);
    this.plots = KINDS.map((kind) => plot(box, kind.name));
    this.resizing = new ResizeObserver(() => this.fit());
    this.resizing.observe(box);
  }

  /** One more second. */
  push(source) {
    this.times.push(Date.now() / 1000);
    KINDS.forEach((kind, k) => this.series[k].push(kind.of(source, this.before)));
    this.before = source;
    if (this.times.length > SECONDS) [this.times, ...this.series].forEach((column) => column.shift());
    this.plots.forEach((plot, k) => plot.setData([this.times, this.series[k]]));
  }

  fit() {
    for (const plot of this.plots) {
      const width = plot.root.parentElement.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: 68 });
    }
  }

  close() {
    this.resizing.disconnect();
    this.plots.forEach((plot) => plot.destroy());
  }
}

function plot(box, name) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = name;
  figure.append(caption);
  box.append(figure);
  const css = getComputedStyle(document.documentElement);
  const [line, soft] = ["--chart", "--soft"].map((name) => css.getPropertyValue(name).trim());
  const options = {
    width: figure.clientWidth || 120, height: 68, legend: { show: false }, cursor: { show: false },
    padding: [6, 2, 7, 0],
    scales: { x: { range: (_, __, last) => [last - SECONDS, last] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [{ show: false }, { size: 34, gap: 2, stroke: soft, font: "10px system-ui", space: 22, grid: { show: false }, ticks: { show: false }, values: (_, ticks) => ticks.map(short) }],
    series: [{}, { stroke: line, width: 1.5, points: { show: false } }],
  };
  return new uPlot(options, [[], []], figure);
}

function short(value) {
  return value >= 1000 ? `${+(value / 1000).toFixed(1)}k` : `${+value.toFixed(1)}`;
}
