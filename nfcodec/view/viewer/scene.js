/** A scene: surfaces that nodes place, drawn one after the other into one picture with a depth; a list shows, hides and chooses them. */
import { dropTarget, targetOf } from "./gl.js";
import { PartsList, nameOf } from "./parts-list.js";
import { Placing } from "./placing.js";
import { rayAt } from "./space.js";
import { SurfaceView } from "./surface.js";
import { sizeText, times } from "./words.js";

/** A node's number as a colour, and back from the bytes of one; 0 is none. */
const colourOf = (node) => [16, 8, 0].map((shift) => (((node + 1) >> shift) & 255) / 255);
const nodeOf = ([r, g, b]) => ((r << 16) | (g << 8) | b) - 1;

export class SceneView extends SurfaceView {
  constructor(page) {
    const { low, high } = page.facts.box;
    const edges = high.map((v, k) => v - low[k]);
    const unit = Math.max(...edges);
    super(page, edges.map((edge) => edge / unit));
    Object.assign(this, { low, worldUnit: unit });
    this.nodes = page.decoding.nodes;
    this.list = new PartsList(page.partsRoot, this.nodes, {
      shown: () => this.marked(),
      chosen: () => this.marked(),
      look: () => this.look(),
    });
  }

  get hasColours() {
    return this.page.facts.fields.some(({ painted }) => painted);
  }

  get unit() {
    return this.page.facts.fields.every(({ kind }) => kind === "occupancy") ? null : this.worldUnit;
  }

  placesOf(field) {
    const number = this.page.decoding.fields.indexOf(field);
    return this.nodes.flatMap(({ field: placed, world }, node) => {
      if (placed !== number) return [];
      return [{ node, placing: Placing.of(field.spec, world, this.low, this.worldUnit), hidden: !this.list.shown.has(node) }];
    });
  }

  shareOf(drawn) {
    const most = (parts) => Math.max(...parts.map(({ placing }) => placing.edge));
    const own = this.parts.filter((part) => part.drawn === drawn);
    return own.length ? most(own) / most(this.parts) : 0;
  }

  /** Other parts are shown or chosen. */
  marked() {
    const chosen = new Set(this.list.choice);
    for (const part of this.parts) Object.assign(part, { hidden: !this.list.shown.has(part.node), chosen: chosen.has(part.node) });
    this.page.tell(this.#words(this.list.chosen));
    this.changed();
  }

  /** What is said of a node. */
  #words(node) {
    if (node === null) return "";
    const name = nameOf(this.nodes[node], node);
    const { fields } = this.page.facts;
    const { field } = this.nodes[node];
    if (field === null) return `${name} · ${this.list.below[node].length} parts`;
    const { kind, extent, bytes } = fields[field];
    return `${name} · ${kind}, ${times([...extent].reverse())} · ${sizeText(bytes)}`;
  }

  /** Looks at what is chosen, or at everything. */
  look() {
    const chosen = this.parts.filter((part) => part.chosen);
    if (chosen.length === 0) this.orbit.home();
    else {
      const all = chosen.flatMap(({ corners }) => corners);
      const ends = (end) => [0, 1, 2].map((k) => end(...all.map((corner) => corner[k])));
      this.orbit.lookAt(ends(Math.min), ends(Math.max));
    }
    this.changed();
  }

  ownControls(controls, change) {
    super.ownControls(controls, change);
    const { list } = this;
    controls.key("h", "Hide the chosen part, or show it", () => list.show(list.choice, list.choice.some((k) => !list.shown.has(k))));
    controls.key("o", "Only the chosen part, or all", () => {
      const alone = list.choice.length === 0 || (list.shown.size === list.choice.length && list.choice.every((k) => list.shown.has(k)));
      if (!alone) list.show(list.all, false);
      list.show(alone ? list.all : list.choice, true);
    });
    controls.key("l", "Look at the chosen part", () => this.look());
    controls.key("Escape", "Choose nothing", () => list.choose(null));
  }

  // ---------------------------------------------------------------- picking

  tap(point) {
    this.list.choose(this.pick(point));
  }

  /** The node of what is seen at a place of the canvas, in its own pixels from above; null where nothing is. */
  pick(point) {
    const { canvas } = this.page;
    const [x, above] = point.map((v) => v * (canvas.width / canvas.clientWidth));
    const y = canvas.height - above;
    const pane = this.panes().find(({ clip: [left, top, width, height] }) => x >= left && x < left + width && above >= top && above < top + height);
    if (pane?.kind !== "field") return null;
    const camera = this.camera(pane.rect);
    const seen = this.seen(camera).filter(({ rect }) => x >= rect[0] && x <= rect[2] && y >= rect[1] && y <= rect[3]);
    const uniformsOf = (part) => ({ ...this.uniforms(part), mark: [...colourOf(part.node), 1] });
    const pixel = this.page.gl ? this.#pixelByGpu(seen, [x, y], uniformsOf) : new Uint8ClampedArray(4);
    if (!this.page.gl) this.partTracer(seen, 1 / camera.focal, uniformsOf)(rayAt(camera, x, y, [0, 0, 0]), pixel, 0, x, y);
    const node = nodeOf(pixel);
    return node < 0 ? null : node;
  }

  #pixelByGpu(seen, place, uniformsOf) {
    const { gl } = this.page;
    const target = targetOf(gl, 1, 1, gl.RGBA8, true);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    // a camera whose only pixel is this one
    const moved = seen.map(({ part, own }) => ({ part, rect: [0, 0, 1, 1], own: { ...own, middle: own.middle.map((v, k) => v + 0.5 - place[k]) } }));
    this.drawParts(moved, 1, target, [0, 0, 1, 1], uniformsOf);
    gl.disable(gl.SCISSOR_TEST);
    const pixel = new Uint8Array(4);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    dropTarget(gl, target);
    return pixel;
  }
}
