/** What views of three axes share: a camera, panes, slices, pictures in time, and lattices of fields that are made anew when they change. */
import { CpuPainter, GlPainter, fitted } from "./canvas.js";
import { isSoftware, programOf } from "./gl.js";
import { gestures } from "./gestures.js";
import { Orbit } from "./orbit.js";
import { clipOf, grabLine, labelPanes, panesOf } from "./panes.js";
import { Progressive } from "./progressive.js";

const STEP = 1.25;
// vertices along the longest axis, and of all fields together, of lattices that the decoder makes
const SIZES = [24, 64, 128];
const MOST_VERTICES = 6e6;
const GPU_SIZES = [64, 256];
const MOST_GPU_VERTICES = 3e7;
const LEAST_SIZE = 24;
const MOST_SHADERS = 64; // compiling takes long: of more fields the smaller ones are drawn from their lattices

export class SpaceView {
  /**
   * page: see main.js. size: edges of the box that is looked at, along x, y, z, of which the longest is 1; up: the axis that is. Kinds of views give
   * `drawnOf(field)`, `drawField(camera, grain, target, clip)`, `tracer(camera, pixel)`, `ownControls()`, `loadSource()` and `drawSource()`.
   */
  constructor(page, size, up) {
    this.page = page;
    this.size = size;
    this.orbit = new Orbit(size, up);
    this.software = page.gl ? isSoftware(page.gl) && !page.wish.has("gl") : false;
    this.level = page.facts.nLevels - 1;
    this.compare = "off";
    this.wipe = 0.5;
    this.axis = -1; // of the slice: 0 to 2 for x, y, z
    this.cut = 0.5;
    this.time = 0.5; // along the first of four axes
    /** Those that are there: see drawn.js. */
    this.drawn = [];
    this.programs = new Map();
    this.turn = 0;
    this.baking = true; // until the lattices of the whole file are there
  }

  async start() {
    const { page } = this;
    this.painter = page.gl
      ? await GlPainter.make(page.gl, (scale, strip, target) => this.#draw(scale, strip, target), this.deep)
      : new CpuPainter(page.canvas, (scale, from, to, width) => this.#rows(scale, from, to, width));
    this.progress = new Progressive(this.painter, (state) => this.onState(state));
    this.#controls();
    // of a view that gave up the canvas is taken away, which is a change of size too
    new ResizeObserver(() => page.view === this && this.resized()).observe(page.canvas);
    this.resized();
  }

  /** Whether what is drawn has a depth. */
  get deep() {
    return false;
  }

  /** A promise of the program of a fragment shader, compiled once however many fields have the same. */
  program(fragment) {
    if (!this.programs.has(fragment)) this.programs.set(fragment, programOf(this.page.gl, fragment));
    return this.programs.get(fragment);
  }

  /** The picture is not done before its lattices are. */
  onState(state) {
    this.painted = state;
    this.page.onState(this.baking ? "busy" : state);
  }

  resized() {
    fitted(this.page.canvas);
    this.changed();
  }

  changed() {
    labelPanes(this.page, this.panes(), this, { field: "field", source: "source" });
    return this.progress.request();
  }

  panes() {
    return panesOf(this.page.canvas, this.compare, ["field", "source"], this.wipe);
  }

  // ---------------------------------------------------------------- lattices

  /** A field has come, or levels of it: a coarse lattice of it is made, since there is more to come. */
  async grown(field) {
    const drawn = this.drawnOf(field);
    if (this.shareOf(drawn) === 0) return;
    const alone = !this.page.decoding.nodes;
    // takes the longest, and there is something to see without it
    if (alone) this.#sharpen();
    if (!drawn.write()) return;
    if (await drawn.make(alone && drawn.byGpu ? GPU_SIZES[0] : SIZES[0], this.level)) await this.changed();
  }

  async completed() {
    await this.refield();
    await this.#sharpen();
  }

  /** How large a field is beside the largest one, 0 where nothing of it is seen. */
  shareOf() {
    return 1;
  }

  /** Shares of fields that are seen, the largest first. */
  #shares() {
    const all = this.drawn.map((drawn) => [drawn, this.shareOf(drawn)]);
    return new Map(all.filter(([, share]) => share > 0).sort(([, a], [, b]) => b - a));
  }

  /** Fields are other ones: their lattices are made anew, coarse ones of all first, the largest field before others. */
  async refield() {
    const turn = ++this.turn;
    this.baking = true;
    const shares = this.#shares();
    const byGpu = this.drawn.some((drawn) => drawn.byGpu);
    const volume = [...shares.values()].reduce((sum, share) => sum + share ** 3, 0);
    const most = Math.cbrt((byGpu ? MOST_GPU_VERTICES : MOST_VERTICES) / volume);
    const made = new Map();
    for (const stage of byGpu ? GPU_SIZES : SIZES) {
      for (const [drawn, share] of shares) {
        const own = Math.max(...drawn.field.spec.extent.slice(-3));
        const size = Math.min(Math.max(Math.round(Math.min(stage, most) * share), LEAST_SIZE), own);
        if (made.get(drawn) === size) continue;
        await drawn.make(size, this.level);
        if (turn !== this.turn) return;
        made.set(drawn, size);
        this.changed();
      }
    }
    this.baking = false;
    this.onState(this.painted);
    await this.changed();
  }

  async #sharpen() {
    for (const drawn of [...this.#shares().keys()].slice(0, MOST_SHADERS)) {
      if (drawn.exact || !drawn.shader) continue;
      await drawn.sharpen();
      this.changed();
    }
  }

  // ---------------------------------------------------------------- drawing

  #draw(scale, [, stripFrom, , stripRows], target) {
    const { gl, canvas } = this.page;
    gl.clearColor(0, 0, 0, 0);
    gl.scissor(0, stripFrom, target.width, stripRows);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const pane of this.panes()) {
      const clip = clipOf(pane, canvas.height, scale, [stripFrom, stripRows]);
      if (!clip) continue;
      gl.scissor(...clip);
      const camera = this.camera(pane.rect);
      if (pane.kind === "source") this.drawSource(camera, scale, target, clip);
      else this.drawField(camera, scale, target, clip);
    }
  }

  /** Uniforms of the camera for a pane. */
  camera([x, y, width, height]) {
    const { eye, right, up, forward } = this.orbit.axes();
    const slice = [0, 0, 0, 0];
    if (this.axis >= 0) {
      slice[this.axis] = 1;
      slice[3] = this.cut * this.size[this.axis];
    }
    return {
      eye, cameraRight: right, cameraUp: up, cameraForward: forward, size: this.size, slice, focal: Orbit.focal(width, height),
      middle: [x + width / 2, this.page.canvas.height - y - height / 2],
    };
  }

  /** Rows by numbers, from above. */
  async #rows(scale, from, to, width) {
    const out = new Uint8ClampedArray(4 * width * (to - from));
    const { canvas } = this.page;
    const camera = this.camera([0, 0, canvas.width, canvas.height]);
    const trace = this.tracer(camera, scale / camera.focal);
    const ray = [0, 0, 0];
    for (let row = from, at = 0; row < to; row++) {
      const y = canvas.height - (row + 0.5) * scale;
      for (let column = 0; column < width; column++, at += 4) {
        const x = (column + 0.5) * scale;
        trace(rayAt(camera, x, y, ray), out, at, x, y);
      }
    }
    // a turn of the page's own, between strips
    return new Promise((resolve) => setTimeout(() => resolve(out), 0));
  }

  // ---------------------------------------------------------------- what people do

  #controls() {
    const { page } = this;
    const { controls, canvas } = page;
    const change = (act) => (...values) => {
      act(...values);
      this.changed();
    };
    this.change = change;
    if (page.source && page.gl) {
      const options = [["off", "Off"], ["wipe", "Wipe"], ["beside", "Side by side"]];
      controls.choice("Compare", options, "off", (value) => this.#compareWith(value), "c");
    }
    this.ownControls(controls, change);
    const axes = [["-1", "Off"], ["0", "x"], ["1", "y"], ["2", "z"]];
    const slice = controls.choice("Slice", axes, "-1", change((value) => {
      this.axis = Number(value);
      cut.box.hidden = this.axis < 0;
    }), "s");
    const cut = controls.slider("at", { min: 0, max: 1, step: 0.005, value: 0.5, says: (v) => `${(100 * v).toFixed(1)} %`, keys: ["<", ">"], named: "Slice at" }, change((value) => {
      this.cut = value;
    }));
    cut.box.hidden = true;
    for (const [k, key] of [..."xyz"].entries()) controls.key(key, `Slice across ${key}`, () => slice.set(slice.value === String(k) ? "-1" : String(k)));
    page.levelSlider((level) => {
      this.level = level;
      this.refield();
    });
    controls.buttons([
      ["−", "Farther", change(() => this.orbit.zoom(1 / STEP))],
      ["+", "Nearer", change(() => this.orbit.zoom(STEP))],
      ["Reset", "As in the beginning", change(() => this.orbit.home())],
    ]);
    controls.key(["+", "="], "Nearer", change(() => this.orbit.zoom(STEP)));
    controls.key("-", "Farther", change(() => this.orbit.zoom(1 / STEP)));
    controls.key(["f", "0"], "As in the beginning", change(() => this.orbit.home()));
    for (const [i, name] of ["x", "y", "z"].entries()) controls.key(String(i + 1), `Look along ${name}`, change(() => this.orbit.face(i)));
    controls.key("u", "Which axis is up: y or z", change(() => {
      this.orbit.up = this.orbit.up === 1 ? 2 : 1;
    }));
    for (const [key, says, dx, dy] of [["ArrowLeft", "Turn left", -30, 0], ["ArrowRight", "Turn right", 30, 0], ["ArrowUp", "Turn up", 0, -30], ["ArrowDown", "Turn down", 0, 30]]) {
      controls.key(key, says, change(() => this.orbit.turn(dx, dy)));
    }
    gestures(canvas, {
      start: grabLine(canvas, this),
      drag: change((dx, dy, second) => (second ? this.orbit.move(dx, dy, canvas.clientHeight) : this.orbit.turn(dx, dy))),
      zoom: change((factor) => this.orbit.zoom(factor)),
      double: change(() => this.orbit.home()),
      tap: this.tap && ((point) => this.tap(point)),
    });
  }

  async #compareWith(value) {
    this.compare = value;
    try {
      if (value !== "off") await (this.loading ??= this.loadSource(this.page.source));
    } catch (error) {
      this.page.onError(`the source: ${error.message}`);
    }
    this.changed();
  }
}

/** The direction of the ray through a place of the screen, from below, written to `ray`. */
export function rayAt({ cameraRight: r, cameraUp: u, cameraForward: f, middle, focal }, x, y, ray) {
  const [px, py] = [(x - middle[0]) / focal, (y - middle[1]) / focal];
  for (let k = 0; k < 3; k++) ray[k] = f[k] + px * r[k] + py * u[k];
  const length = Math.hypot(ray[0], ray[1], ray[2]);
  for (let k = 0; k < 3; k++) ray[k] /= length;
  return ray;
}
