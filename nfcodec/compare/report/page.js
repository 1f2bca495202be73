"use strict";
// Everything is readable without this script; it adds: hints at points, codecs on and off, sorting, zoom and pan.

// ---- curves: hints, and codecs that are shown, hidden or lit
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  const of = (chart, codec) => chart.querySelectorAll(`[data-codec="${codec}"]`);
  // numbers of codecs hold within one section
  const chartsBy = element => element.closest("section").querySelectorAll(".chart");
  const light = (element, codec) => {
    for (const chart of chartsBy(element)) {
      chart.classList.toggle("dimmed", codec !== null);
      for (const lit of chart.querySelectorAll(".lit")) lit.classList.remove("lit");
      if (codec !== null) for (const part of of(chart, codec)) part.classList.add("lit");
    }
  };
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 18}px`;
  };
  for (const point of document.querySelectorAll(".chart .point")) {
    const title = point.querySelector("title");
    const text = title.textContent;
    title.remove();
    point.setAttribute("aria-label", text);
    const enter = event => { show(text, event.clientX, event.clientY); light(point, point.dataset.codec); };
    point.addEventListener("pointerenter", enter);
    point.addEventListener("pointerdown", enter);
    point.addEventListener("pointerleave", () => { tip.hidden = true; light(point, null); });
  }
  for (const key of document.querySelectorAll(".key")) {
    const codec = key.dataset.codec;
    key.addEventListener("click", () => {
      const on = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", on);
      for (const chart of chartsBy(key)) for (const part of of(chart, codec)) part.classList.toggle("off", !on);
    });
    for (const name of ["pointerenter", "focus"]) key.addEventListener(name, () => light(key, codec));
    for (const name of ["pointerleave", "blur"]) key.addEventListener(name, () => light(key, null));
  }
})();

// ---- tables: sorted by a column, fields without a value last
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = row => row.cells[column].dataset.value;
      const number = text => text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
      const compare = (a, b) => {
        if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
        const [x, y] = [number(a), number(b)];
        const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x === y ? 0 : x - y;
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b))));
    });
  });
}

// ---- pictures: panels of a group zoom and move together
for (const gallery of document.querySelectorAll(".gallery")) {
  const layers = gallery.querySelector(".layers");
  const groups = [...gallery.querySelectorAll(".group")];
  // the source in every panel, to switch to and fro
  const label = layers.lastElementChild.cloneNode(true);
  Object.assign(label.querySelector("input"), { value: "source", checked: false });
  label.querySelector("span").textContent = "source";
  layers.append(label);
  const zooms = groups.map(group => {
    const panes = [...group.querySelectorAll(".pane:not(.empty)")];
    const original = group.querySelector(".source img");
    let scale = 1, x = 0, y = 0; // x, y: of the picture's corner, in widths and heights of a pane
    for (const pane of panes) {
      if (pane.classList.contains("source")) continue;
      const copy = original.cloneNode();
      copy.className = "layer-source";
      pane.append(copy);
    }
    const draw = () => {
      x = Math.min(0, Math.max(1 - scale, x));
      y = Math.min(0, Math.max(1 - scale, y));
      group.style.setProperty("--s", scale);
      group.style.setProperty("--x", x);
      group.style.setProperty("--y", y);
      const pixel = scale * panes[0].clientWidth * devicePixelRatio / original.naturalWidth;
      group.classList.toggle("sharp", pixel >= 2);
      for (const pane of panes) {
        pane.style.touchAction = scale > 1 ? "none" : "pan-x pan-y";
        pane.style.cursor = scale > 1 ? "grab" : "zoom-in";
      }
    };
    // u, v: the place of a pane that stays where it is
    const zoom = (factor, u = 0.5, v = 0.5) => {
      const next = Math.min(32, Math.max(1, scale * factor));
      x = u - (u - x) * next / scale;
      y = v - (v - y) * next / scale;
      scale = next;
      draw();
    };
    const move = (dx, dy) => { x += dx; y += dy; draw(); };
    const reset = () => { scale = 1; x = y = 0; draw(); };
    for (const pane of panes) {
      const fingers = new Map();
      const place = event => {
        const box = pane.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      };
      // without Ctrl the wheel scrolls the page, until a panel of the group has been pressed
      pane.addEventListener("wheel", event => {
        if (!event.ctrlKey && !group.contains(document.activeElement)) return;
        if (scale === 1 && event.deltaY > 0) return;
        event.preventDefault();
        zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.004), ...place(event));
      }, { passive: false });
      pane.addEventListener("pointerdown", event => {
        fingers.set(event.pointerId, place(event));
        if (event.pointerType === "mouse") {
          group.focus({ preventScroll: true });
          event.preventDefault();
        }
        if (scale > 1) pane.setPointerCapture(event.pointerId);
      });
      pane.addEventListener("pointermove", event => {
        if (!fingers.has(event.pointerId)) return;
        const before = [...fingers.values()];
        const [u, v] = place(event), [u0, v0] = fingers.get(event.pointerId);
        fingers.set(event.pointerId, [u, v]);
        if (fingers.size === 1 && scale > 1) move(u - u0, v - v0);
        if (fingers.size === 2) {
          const after = [...fingers.values()];
          const apart = ([[a, b], [c, d]]) => Math.hypot(a - c, b - d) || 1e-3;
          const middle = ([[a, b], [c, d]]) => [(a + c) / 2, (b + d) / 2];
          const [m, n] = [middle(before), middle(after)];
          zoom(apart(after) / apart(before), ...m);
          move(n[0] - m[0], n[1] - m[1]);
        }
      });
      for (const name of ["pointerup", "pointercancel"]) {
        pane.addEventListener(name, event => fingers.delete(event.pointerId));
      }
      pane.addEventListener("dblclick", event => (scale > 1 ? reset() : zoom(4, ...place(event))));
    }
    group.addEventListener("keydown", event => {
      const step = 0.15;
      const acts = {
        "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": reset, Escape: () => group.blur(),
        ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0), ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
      };
      const arrows = event.key.startsWith("Arrow");
      if (!(event.key in acts) || event.ctrlKey || event.metaKey || (arrows && scale === 1)) return;
      acts[event.key]();
      event.preventDefault();
    });
    addEventListener("resize", draw);
    if (original.complete) draw(); else original.addEventListener("load", draw);
    return { zoom, reset };
  });
  const buttons = document.createElement("div");
  buttons.className = "zoom";
  for (const [text, name, act] of [
    ["+", "Zoom in", z => z.zoom(1.5)], ["\u2212", "Zoom out", z => z.zoom(1 / 1.5)], ["reset", "Whole panels", z => z.reset()],
  ]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => zooms.forEach(act));
    buttons.append(button);
  }
  layers.after(buttons);
  const hint = document.createElement("p");
  hint.className = "note hint";
  hint.textContent = "Press a panel, then wheel or + and \u2212 zoom, drag or arrows move; two fingers do both; 0 or a double click goes back.";
  gallery.querySelector(".tools").after(hint);
}
