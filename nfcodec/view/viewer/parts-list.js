/** The nodes of a scene as a list: each is shown or hidden, with all below it, and chosen by its name. */
import { element } from "./controls.js";
import { counted } from "./words.js";

const MANY = 12; // nodes, for which a field to search is there

/** Names as they are shown. */
export const nameOf = ({ name }, k) => name || `node ${k + 1}`;

export class PartsList {
  /** nodes: see ../scene.js. on: `shown(Set of nodes that place a field)`, `chosen(node or null)`, `look(node)`. */
  constructor(root, nodes, on) {
    Object.assign(this, { nodes, on, chosen: null });
    /** For each node those that place a field, itself or below it. */
    this.below = nodes.map(() => []);
    nodes.forEach(({ field }, k) => {
      if (field !== null) for (let at = k; at !== null; at = nodes[at].parent) this.below[at].push(k);
    });
    this.all = nodes.flatMap(({ field }, k) => (field === null ? [] : [k]));
    this.shown = new Set(this.all);
    const depths = [];
    nodes.forEach(({ parent }, k) => (depths[k] = parent === null ? 0 : depths[parent] + 1));
    this.rows = new Map(this.#ordered().map((k) => [k, this.#row(k, depths[k])]));
    this.whole = element("input", { type: "checkbox", checked: true });
    this.whole.addEventListener("change", () => this.show(this.all, this.whole.checked));
    const list = element("ul", {}, ...[...this.rows.values()].map(({ item }) => item));
    const head = element("label", {}, this.whole, counted(this.all.length, "part"));
    root.replaceChildren(head, ...(this.rows.size > MANY ? [this.#search()] : []), list);
    root.hidden = false;
  }

  /** Nodes with parts, each before those below it. */
  #ordered() {
    const children = this.nodes.map(() => []);
    const roots = [];
    this.nodes.forEach(({ parent }, k) => (parent === null ? roots : children[parent]).push(k));
    const out = [];
    const due = roots.reverse();
    while (due.length) {
      const k = due.pop();
      if (this.below[k].length) out.push(k);
      due.push(...children[k].reverse());
    }
    return out;
  }

  #row(k, depth) {
    const name = nameOf(this.nodes[k], k);
    const box = element("input", { type: "checkbox", checked: true });
    box.setAttribute("aria-label", `Show ${name}`);
    box.addEventListener("change", () => this.show(this.below[k], box.checked));
    const button = element("button", { type: "button", textContent: name, title: name });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.choose(this.chosen === k ? null : k));
    button.addEventListener("dblclick", () => {
      this.choose(k);
      this.on.look(k);
    });
    const item = element("li", { className: this.nodes[k].field === null ? "group" : "" }, box, button);
    item.style.setProperty("--depth", depth);
    return { item, box, button };
  }

  #search() {
    const input = element("input", { type: "search", placeholder: "Find a part" });
    input.setAttribute("aria-label", "Find a part");
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const [k, { item }] of this.rows) item.hidden = !nameOf(this.nodes[k], k).toLowerCase().includes(wanted);
    });
    return input;
  }

  /** Shows or hides nodes that place a field. */
  show(nodes, shown) {
    for (const k of nodes) this.shown[shown ? "add" : "delete"](k);
    const tell = (box, parts) => {
      const n = parts.filter((k) => this.shown.has(k)).length;
      Object.assign(box, { checked: n > 0, indeterminate: n > 0 && n < parts.length });
    };
    for (const [k, { box }] of this.rows) tell(box, this.below[k]);
    tell(this.whole, this.all);
    this.on.shown(this.shown);
  }

  /** Chooses a node, or none. */
  choose(node) {
    const mark = (chosen) => {
      const row = this.rows.get(this.chosen);
      row?.item.classList.toggle("chosen", chosen);
      row?.button.setAttribute("aria-pressed", String(chosen));
      return row;
    };
    mark(false);
    this.chosen = node;
    mark(true)?.item.scrollIntoView({ block: "nearest" });
    this.on.chosen(node);
  }

  /** Nodes that place a field of what is chosen. */
  get choice() {
    return this.chosen === null ? [] : this.below[this.chosen];
  }
}
