// Zones and lines over a picture.

const IDLE = "#ffd24a", ACTIVE = "#ff5a4f", ARROW = 14;

/** `marks` as the run tells them, in frame pixels; `scale`: canvas pixels for one of these, `unit`: for one of the page. */
export function drawMarks(context, marks, scale, unit) {
  for (const mark of marks) {
    const points = mark.points.map(([x, y]) => [x * scale, y * scale]);
    const colour = mark.active ? ACTIVE : IDLE;
    outline(context, points, mark.line, colour, unit);
    tag(context, `${mark.name}: ${mark.text}`, points[0], colour, unit);
  }
}

/** A line has an arrow in its middle, to the side that is forward: the right of its way. */
export function outline(context, points, line, colour, unit) {
  context.strokeStyle = colour;
  context.lineWidth = 2 * unit;
  context.beginPath();
  points.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (!line) context.closePath();
  if (line && points.length > 1) {
    const middle = Math.floor((points.length - 1) / 2);
    const [[x0, y0], [x1, y1]] = [points[middle], points[middle + 1]];
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const x = (x0 + x1) / 2, y = (y0 + y1) / 2;
    const across = [-(y1 - y0) / length, (x1 - x0) / length], along = [(x1 - x0) / length, (y1 - y0) / length];
    const tip = [x + across[0] * ARROW * unit, y + across[1] * ARROW * unit];
    context.moveTo(x, y);
    context.lineTo(...tip);
    for (const side of [-1, 1]) {
      context.moveTo(...tip);
      context.lineTo(...tip.map((at, k) => at + (side * along[k] - across[k]) * 5 * unit));
    }
  }
  context.stroke();
}

function tag(context, text, [x, y], colour, unit) {
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 8 * unit, height = 17 * unit;
  const left = Math.min(Math.max(0, x), context.canvas.width - width);
  const top = Math.min(Math.max(0, y), context.canvas.height - height);
  context.fillStyle = colour;
  context.fillRect(left, top, width, height);
  context.fillStyle = "#000";
  context.textBaseline = "middle";
  context.fillText(text, left + 4 * unit, top + height / 2);
}
