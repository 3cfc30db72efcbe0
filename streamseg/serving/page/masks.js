// COCO's compressed run lengths (column by column, from the top left) as pixels.

/** Run lengths of a mask, in turn outside and inside. */
export function runsOf(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
      more = (bits & 32) !== 0;
      if (!more && bits & 16) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** Columns x0…x1 and rows y0…y1 that a mask covers, and (w × h) which pixels; null when it has none. */
export function bitsOf(mask) {
  const [height] = mask.size;
  const runs = runsOf(mask.counts);
  const segments = [];
  let position = 0, x0 = Infinity, x1 = -1, y0 = Infinity, y1 = -1;
  runs.forEach((length, index) => {
    if (index % 2 && length) {
      for (let from = position, left = length; left > 0;) {
        const x = Math.floor(from / height), y = from - x * height;
        const here = Math.min(left, height - y);
        segments.push(x, y, here);
        x0 = Math.min(x0, x); x1 = Math.max(x1, x);
        y0 = Math.min(y0, y); y1 = Math.max(y1, y + here - 1);
        from += here; left -= here;
      }
    }
    position += length;
  });
  if (x1 < 0) return null;
  const width = x1 - x0 + 1, tall = y1 - y0 + 1;
  const bits = new Uint8Array(width * tall);
  for (let s = 0; s < segments.length; s += 3) {
    let cell = (segments[s + 1] - y0) * width + segments[s] - x0;
    for (let n = segments[s + 2]; n > 0; n--, cell += width) bits[cell] = 1;
  }
  return { x0, y0, width, height: tall, bits };
}

/** Whether frame pixel (x, y) belongs to the region. */
export function covers(region, x, y) {
  const column = Math.floor(x) - region.x0, row = Math.floor(y) - region.y0;
  if (column < 0 || row < 0 || column >= region.width || row >= region.height) return false;
  return region.bits[row * region.width + column] === 1;
}

/** A canvas with the region filled, its edge `line` pixels thick; `fill` 0…255. */
export function tinted(region, colour, fill, line) {
  const { width, height, bits } = region;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const inside = littleEndian(red, green, blue, fill), edge = littleEndian(red, green, blue, 255);
  const pixels = new Uint32Array(image.data.buffer);
  const up = line * width;
  for (let y = 0, cell = 0; y < height; y++) {
    const atEnd = y < line || y >= height - line;
    for (let x = 0; x < width; x++, cell++) {
      if (!bits[cell]) continue;
      const rim = atEnd || x < line || x >= width - line
        || !bits[cell - line] || !bits[cell + line] || !bits[cell - up] || !bits[cell + up];
      pixels[cell] = rim ? edge : inside;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function littleEndian(red, green, blue, alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
