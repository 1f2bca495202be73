/** Parts of the canvas that show the same thing in different ways: one alone, two under a line that moves, or several side by side. */

const GAP = 2;
const GRAB_PX = 14;

/** Panes as `{kind, rect, clip}` for kinds of pictures, rectangles [x, y, width, height] in device pixels from above. */
export function panesOf({ width, height }, layout, kinds, wipe = 0.5) {
  const whole = [0, 0, width, height];
  if (layout === "wipe") {
    const x = Math.round(width * wipe);
    return [
      { kind: kinds[0], rect: whole, clip: [0, 0, x, height] },
      { kind: kinds[1], rect: whole, clip: [x, 0, width - x, height] },
    ];
  }
  if (layout !== "beside") return [{ kind: kinds[0], rect: whole, clip: whole }];
  const wide = width >= height;
  const step = (wide ? width : height) / kinds.length;
  return kinds.map((kind, i) => {
    const from = Math.round(i * step);
    const size = Math.round((i + 1) * step) - from - (i < kinds.length - 1 ? GAP : 0);
    const rect = wide ? [from, 0, size, height] : [0, from, width, size];
    return { kind, rect, clip: rect };
  });
}

/** The part of a pane within a strip of the picture of 1 / scale of the size: [x, y, width, height] from below, or null. */
export function clipOf({ clip }, height, scale, [from, rows]) {
  const [left, right] = [clip[0], clip[0] + clip[2]].map((x) => Math.round(x / scale));
  const [low, high] = [height - clip[1] - clip[3], height - clip[1]].map((y) => Math.round(y / scale));
  const first = Math.max(low, from);
  const n = Math.min(high, from + rows) - first;
  return n > 0 && right > left ? [left, first, right - left, n] : null;
}

/** The line of a wipe as a gesture's start: what takes the drag, or null where the line is not. */
export function grabLine(canvas, view) {
  return ([x]) => {
    if (view.compare !== "wipe" || Math.abs(x - view.wipe * canvas.clientWidth) > GRAB_PX) return null;
    return ([to]) => {
      view.wipe = Math.min(Math.max(to / canvas.clientWidth, 0), 1);
      view.changed();
    };
  };
}

/** Words over the panes, and the line. */
export function labelPanes(page, panes, view, words) {
  const ratio = page.canvas.width / page.canvas.clientWidth;
  const shown = view.compare === "off" ? [] : panes;
  page.labels(shown.map(({ kind, clip }) => ({ text: words[kind], x: clip[0] / ratio, y: clip[1] / ratio, width: clip[2] / ratio })));
  page.divider(view.compare === "wipe" ? view.wipe : null);
}
