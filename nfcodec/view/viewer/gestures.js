/** Mouse, touch, pen and wheel on an element as a few gestures. Positions are in CSS pixels within the element. */

const WHEEL = 0.0015; // logarithm of the factor for a unit of the wheel
const TAP_PX = 4;

/**
 * on: `start(point)` may return a function (point) that takes the whole drag; `drag(dx, dy, second)`, second where it was asked for by two fingers,
 * the right button or Shift; `zoom(factor, point)`; `tap(point)`; `double(point)`. All are optional.
 */
export function gestures(element, on) {
  const pointers = new Map();
  let taken = null;
  let moved = 0;
  const place = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const middle = () => {
    const points = [...pointers.values()];
    return [0, 1].map((k) => points.reduce((sum, point) => sum + point[k], 0) / points.length);
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  };

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    moved = 0;
    taken = pointers.size === 1 ? on.start?.(place(event)) : null;
  });
  element.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const now = place(event);
    if (taken) {
      taken(now);
      return;
    }
    const before = middle();
    const wide = pointers.size > 1 ? spread() : 0;
    pointers.set(event.pointerId, now);
    const after = middle();
    moved += Math.hypot(after[0] - before[0], after[1] - before[1]);
    on.drag?.(after[0] - before[0], after[1] - before[1], pointers.size > 1 || event.shiftKey || (event.buttons & 2) !== 0);
    if (pointers.size > 1) on.zoom?.(spread() / wide, after);
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (!taken && pointers.size === 0 && event.type === "pointerup" && moved < TAP_PX) on.tap?.(place(event));
    taken = null;
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener("dblclick", (event) => on.double?.(place(event)));
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      on.zoom?.(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 6 : 1) * WHEEL), place(event));
    },
    { passive: false },
  );
}
