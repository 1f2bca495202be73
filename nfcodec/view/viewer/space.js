/** What views of three axes share: a camera, panes, rays into a box, and a lattice of the field that is made anew when it changes. */
import { CpuPainter, GlPainter, fitted } from "./canvas.js";
import { bindTexture, fill, isSoftware, programOf, setUniforms } from "./gl.js";
import { gestures } from "./gestures.js";
import { Bake } from "./bake.js";
import { Orbit } from "./orbit.js";
import { clipOf, grabLine, labelPanes, panesOf } from "./panes.js";
import { Progressive } from "./progressive.js";
import { FieldShader, withoutShader } from "./shader/field.js";

const STEP = 1.25;
const SIZES = [24, 64, 128]; // vertices along the longest axis that the decoder makes
const GPU_SIZES = [64, 256];

/** Rays of a pane in units of the box's longest edge: origin `eye`, direction `rayOf()`, and where they meet the box. */
export const RAYS = `precision highp float;
precision highp int;
precision highp sampler3D;
uniform vec2 middle;
uniform float grain, focal;
uniform vec3 eye, cameraRight, cameraUp, cameraForward, size;
uniform vec4 slice; // axis as a unit vector, and where along it; all 0 without
uniform sampler3D first, second;
out vec4 colour;
vec3 rayOf() {
  vec2 p = (gl_FragCoord.xy * grain - middle) / focal;
  return normalize(cameraForward + p.x * cameraRight + p.y * cameraUp);
}
// entry and exit, of the part that the slice leaves: what is before it along its axis
vec2 spanOf(vec3 ray) {
  vec3 inverse = 1.0 / (ray + vec3(equal(ray, vec3(0.0))) * 1e-9);
  vec3 high = mix(size, slice.xyz * slice.w, vec3(greaterThan(slice.xyz, vec3(0.5))));
  vec3 a = -eye * inverse, b = (high - eye) * inverse;
  vec3 near = min(a, b), far = max(a, b);
  return vec2(max(max(max(near.x, near.y), near.z), 0.0), min(min(far.x, far.y), far.z));
}
// whether a ray has come through the slice to p
bool onSlice(vec3 p, vec3 ray) {
  return slice.xyz != vec3(0.0) && abs(dot(slice.xyz, p) - slice.w) < 1e-4 && dot(slice.xyz, ray) < 0.0;
}
`;

export class SpaceView {
  /** page: see main.js. Kinds of views give `packing`, `fragment(exact)`, `uniforms(grain)`, `rays()` and `ownControls()`. */
  constructor(page) {
    this.page = page;
    const { spec } = page.decoding;
    this.spec = spec;
    this.level = spec.nLevels - 1;
    const spacing = page.facts.spacing.slice(-3);
    const edges = spec.extent.slice(-3).map((n, k) => n * (spec.surface ? 1 : spacing[k]));
    /** Edges of the box along x, y, z; the longest is 1. */
    this.size = edges.map((edge) => edge / Math.max(...edges)).reverse();
    this.orbit = new Orbit(this.size, spec.surface ? 1 : 2);
    this.compare = "off";
    this.wipe = 0.5;
    this.axis = -1; // of the slice: 0 to 2 for x, y, z
    this.cut = 0.5;
    this.time = 0.5; // along the first of four axes
  }

  async start() {
    const { page, spec } = this;
    const { gl } = page;
    this.software = gl ? isSoftware(gl) && !page.wish.has("gl") : false;
    if (gl) {
      if (!withoutShader(spec) && !this.software) {
        this.shader = new FieldShader(spec, page.decoding.network);
        this.shader.allocate(gl);
      }
      this.programs = { rough: await programOf(gl, this.fragment(null)) };
      this.painter = await GlPainter.make(gl, (scale, strip, target) => this.#draw(scale, strip, target));
    } else this.painter = new CpuPainter(page.canvas, (scale, from, to, width) => this.#rows(scale, from, to, width));
    // drawing into half floats is what the GPU's own lattice takes
    const byGpu = this.shader && gl.getExtension("EXT_color_buffer_float");
    this.sizes = byGpu ? GPU_SIZES : SIZES;
    this.bake = new Bake(page, byGpu ? this.shader : null, this.packing, () => this.time);
    this.progress = new Progressive(this.painter, (state) => this.onState(state));
    this.#controls();
    new ResizeObserver(() => this.resized()).observe(page.canvas);
    this.resized();
    // takes the longest, and there is something to see without it
    if (this.shader) programOf(gl, this.fragment(this.shader)).then((program) => this.#sharpen(program), page.onFailure);
  }

  #sharpen(program) {
    this.programs.exact = program;
    this.changed();
  }

  /** The picture is not done before its lattice is. */
  onState(state) {
    this.drawn = state;
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

  /** Integers of new levels are there. */
  async grown(first) {
    this.page.decoding.levels.slice(first).forEach((integers, i) => this.shader?.write(first + i, integers));
    await this.refield(!this.page.complete);
  }

  completed() {
    return this.refield(false);
  }

  /** The field is another one: the lattice is made anew, only a coarse one where more is to come. */
  async refield(more) {
    this.baking = true;
    const finished = await this.bake.make(more ? this.sizes.slice(0, 1) : this.sizes, this.level, () => this.changed());
    if (!finished) return;
    this.baking = false;
    this.onState(this.drawn);
    await this.changed();
  }

  // ---------------------------------------------------------------- drawing

  #draw(scale, [, stripFrom, , stripRows], target) {
    const { gl, canvas } = this.page;
    gl.clearColor(0, 0, 0, 0);
    gl.scissor(0, stripFrom, target.width, stripRows);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.bake.ready) return;
    for (const pane of this.panes()) {
      const clip = clipOf(pane, canvas.height, scale, [stripFrom, stripRows]);
      if (!clip) continue;
      gl.scissor(...clip);
      const camera = this.camera(pane.rect);
      if (pane.kind === "source") this.drawSource(camera, scale, target, clip);
      else this.#drawField(camera, scale, target);
    }
  }

  #drawField(camera, grain, target) {
    const { gl } = this.page;
    const program = (grain <= 2 && this.programs.exact) || this.programs.rough;
    gl.useProgram(program);
    const unit = program === this.programs.exact ? this.shader.bind(program) : 0;
    this.drawBox(program, this.bake.ready, camera, grain, target, unit);
  }

  /** Rays through a lattice `{shape, textures}` by a program that holds RAYS. */
  drawBox(program, lattice, camera, grain, target, unit = 0) {
    const { gl } = this.page;
    lattice.textures.forEach((texture, i) => bindTexture(gl, program, ["first", "second"][i], texture, unit + i, gl.TEXTURE_3D));
    setUniforms(gl, program, { ...camera, grain, level: { int: this.level }, time: this.time, ...this.uniforms(lattice) });
    fill(gl, [0, 0, target.width, target.height]);
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
    if (!this.bake.ready) return out;
    const { canvas } = this.page;
    const camera = this.camera([0, 0, canvas.width, canvas.height]);
    const trace = this.rays(this.bake.ready, camera, scale / camera.focal);
    const { cameraRight: r, cameraUp: u, cameraForward: f, middle, focal } = camera;
    const ray = [0, 0, 0];
    for (let row = from, at = 0; row < to; row++) {
      const py = (canvas.height - (row + 0.5) * scale - middle[1]) / focal;
      for (let column = 0; column < width; column++, at += 4) {
        const px = ((column + 0.5) * scale - middle[0]) / focal;
        for (let k = 0; k < 3; k++) ray[k] = f[k] + px * r[k] + py * u[k];
        const length = Math.hypot(...ray);
        for (let k = 0; k < 3; k++) ray[k] /= length;
        trace(ray, out, at);
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
      this.refield(false);
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
