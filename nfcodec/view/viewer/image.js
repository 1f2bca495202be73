/** A picture: the field at each pixel of the screen, beside the samples of its source, nearest or bilinear, at any zoom. */
import { CpuPainter, GlPainter, fitted } from "./canvas.js";
import { isLight, shownBytes } from "./display.js";
import { bindTexture, fill, finished, programOf, setUniforms, targetOf, textureOf } from "./gl.js";
import { gestures } from "./gestures.js";
import { SAMPLES, imageFragment } from "./image-shader.js";
import { clipOf, grabLine, labelPanes, panesOf } from "./panes.js";
import { Progressive } from "./progressive.js";
import { FieldShader } from "./shader/field.js";

const MAX_ZOOM = 4096; // device pixels for a sample of the source
const MAX_BOX = 4; // samples of the field for a pixel, along each axis, where the picture is made smaller
const STEP = 1.4;
const COARSE = 4096; // the part of a coordinate that has few digits

/** The part of a coordinate with few digits, and the rest. */
function split(x) {
  const high = Math.round(x * COARSE) / COARSE;
  return [high, x - high];
}

export class ImageView {
  /** page: see main.js. */
  constructor(page) {
    this.page = page;
    const { spec } = page.field;
    [this.height, this.width] = spec.extent;
    this.level = spec.nLevels - 1;
    this.exposure = 1;
    this.wipe = 0.5;
    this.compare = "off";
    this.reference = "nearest";
    this.middle = [this.width / 2, this.height / 2]; // sample of the source in the middle of a pane, x and y
    this.fits = true;
  }

  async start() {
    const { page } = this;
    this.painter = page.gl ? await this.#glPainter() : this.#cpuPainter();
    this.progress = new Progressive(this.painter, page.onState);
    this.#controls();
    // of a view that gave up the canvas is taken away, which is a change of size too
    new ResizeObserver(() => page.view === this && this.resized()).observe(page.canvas);
    this.resized();
  }

  resized() {
    fitted(this.page.canvas);
    if (this.fits) this.fit();
    else this.changed();
  }

  changed() {
    this.#labels();
    return this.progress.request();
  }

  /** Device pixels for a sample at which all of the picture is seen. */
  get fitting() {
    const { rect } = this.panes()[0];
    return Math.min(rect[2] / this.width, rect[3] / this.height);
  }

  fit() {
    this.fits = true;
    this.middle = [this.width / 2, this.height / 2];
    this.zoom = this.fitting;
    this.changed();
  }

  panes() {
    const kinds = this.compare === "beside" ? ["field", "bilinear", "nearest"] : ["field", this.reference];
    return panesOf(this.page.canvas, this.compare, kinds, this.wipe);
  }

  /** Where the middle lies in a pane, in device pixels from above: so that the picture begins with a whole one. */
  place(rect) {
    return this.middle.map((at, k) => Math.round(rect[k] + rect[2 + k] / 2 - at * this.zoom) + at * this.zoom);
  }

  // ---------------------------------------------------------------- drawing

  async #glPainter() {
    const { gl, field } = this.page;
    const { spec, network } = field;
    this.shader = new FieldShader(spec, network);
    if (this.shader.atlas.height > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("the field is larger than the GPU's textures");
    this.shader.allocate(gl);
    this.programs = { field: await programOf(gl, imageFragment(this.shader, spec)), samples: await programOf(gl, SAMPLES) };
    return GlPainter.make(gl, (scale, strip, target) => this.#draw(scale, strip, target));
  }

  #draw(scale, [, stripFrom, , stripRows], target) {
    const { gl } = this.page;
    const { height } = this.page.canvas;
    gl.clearColor(0, 0, 0, 0);
    gl.scissor(0, stripFrom, target.width, stripRows);
    gl.clear(gl.COLOR_BUFFER_BIT);
    for (const pane of this.panes()) {
      const { kind, rect } = pane;
      const clip = clipOf(pane, height, scale, [stripFrom, stripRows]);
      if (!clip) continue;
      gl.scissor(...clip);
      const [x, y] = this.place(rect);
      this.#pane(kind, [x, height - y], scale, [0, 0, target.width, target.height]);
    }
  }

  #pane(kind, middle, grain, area) {
    const { gl } = this.page;
    const program = kind === "field" ? this.programs.field : this.programs.samples;
    if (kind !== "field" && !this.samples) return;
    const [y, x] = [split(this.middle[1] / this.height), split(this.middle[0] / this.width)];
    gl.useProgram(program);
    const unit = kind === "field" ? this.shader.bind(program) : 0;
    if (kind !== "field") bindTexture(gl, program, "samples", this.samples, unit);
    setUniforms(gl, program, {
      middle, grain, anchorHigh: [y[0], x[0]], anchorLow: [y[1], x[1]], exposure: this.exposure,
      perPixel: [1 / (this.zoom * this.height), 1 / (this.zoom * this.width)], bilinear: { int: Number(kind === "bilinear") },
      level: { int: this.level }, box: { int: Math.min(Math.max(Math.ceil(1 / this.zoom - 0.01), 1), grain > 1 ? 1 : MAX_BOX) },
    });
    fill(gl, area);
  }

  /** Rows of the picture from the decoder, where no shader is at hand. */
  #cpuPainter() {
    return new CpuPainter(this.page.canvas, async (scale, from, to, width) => {
      const out = new Uint8ClampedArray(4 * width * (to - from));
      for (const { kind, rect, clip } of this.panes()) {
        const [left, right] = [clip[0], clip[0] + clip[2]].map((x) => Math.round(x / scale));
        const [top, bottom] = [clip[1], clip[1] + clip[3]].map((y) => Math.round(y / scale));
        const rows = [Math.max(top, from), Math.min(bottom, to)];
        // samples of the source at the middles of pixels
        const place = this.place(rect);
        const at = (pixel, k) => ((pixel + 0.5) * scale - place[k]) / this.zoom + this.middle[k];
        const within = (first, last, k) => {
          let [a, b] = [first, last];
          while (a < b && at(a, k) < 0) a++;
          while (b > a && at(b - 1, k) > [this.width, this.height][k]) b--;
          return [a, b];
        };
        const [x0, x1] = within(left, right, 0);
        const [y0, y1] = within(...rows, 1);
        if (x1 <= x0 || y1 <= y0) continue;
        const bytes = await this.#pixels(kind, [y0, y1].map((y) => at(y - 0.5, 1)), [x0, x1].map((x) => at(x - 0.5, 0)), [y1 - y0, x1 - x0]);
        for (let y = y0; y < y1; y++) {
          out.set(bytes.subarray(4 * (y - y0) * (x1 - x0), 4 * (y - y0 + 1) * (x1 - x0)), 4 * ((y - from) * width + x0));
        }
      }
      return out;
    });
  }

  async #pixels(kind, ys, xs, shape) {
    const { field } = this.page;
    if (kind === "field") {
      const clip = (v) => Math.min(Math.max(v, 0), 1);
      const region = [ys.map((y) => clip(y / this.height)), xs.map((x) => clip(x / this.width))];
      const { data } = await field.ask("lattice", { region, shape, level: this.level, average: false });
      return shownBytes(field.spec, data, this.exposure);
    }
    const bytes = new Uint8ClampedArray(4 * shape[0] * shape[1]);
    if (!this.sampleBytes) return bytes;
    const smooth = kind === "bilinear";
    for (let j = 0, at = 0; j < shape[0]; j++) {
      const y = ys[0] + ((j + 0.5) / shape[0]) * (ys[1] - ys[0]);
      for (let i = 0; i < shape[1]; i++, at += 4) {
        const x = xs[0] + ((i + 0.5) / shape[1]) * (xs[1] - xs[0]);
        for (let k = 0; k < 4; k++) bytes[at + k] = smooth ? this.#bilinear(y - 0.5, x - 0.5, k) : this.#sample(Math.floor(y), Math.floor(x), k);
      }
    }
    return bytes;
  }

  #sample(y, x, k) {
    const clip = (i, n) => Math.min(Math.max(i, 0), n - 1);
    return this.sampleBytes[4 * (clip(y, this.height) * this.width + clip(x, this.width)) + k];
  }

  #bilinear(y, x, k) {
    const [j, i] = [Math.floor(y), Math.floor(x)];
    const [g, f] = [y - j, x - i];
    const row = (r) => (1 - f) * this.#sample(r, i, k) + f * this.#sample(r, i + 1, k);
    return (1 - g) * row(j) + g * row(j + 1);
  }

  // ---------------------------------------------------------------- samples to compare with

  /** Integers of new levels are there. */
  async grown(field, first) {
    if (this.page.gl) field.levels.slice(first).forEach((integers, i) => this.shader.write(first + i, integers));
    await this.changed();
  }

  /** The samples of the source, or of the field where there is none; called when they are asked for first. */
  async #loadSamples() {
    if (this.loading) return;
    this.loading = true;
    const { page } = this;
    const { gl, field } = page;
    try {
      if (page.source) {
        const picture = await createImageBitmap(page.source.blob(), { premultiplyAlpha: "premultiply", colorSpaceConversion: "none" });
        if (gl) {
          this.samples = textureOf(gl, gl.RGBA8, this.width, this.height);
          gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, picture);
        } else {
          const canvas = new OffscreenCanvas(this.width, this.height);
          canvas.getContext("2d").drawImage(picture, 0, 0);
          this.sampleBytes = canvas.getContext("2d").getImageData(0, 0, this.width, this.height).data;
        }
      } else if (gl && field.guaranteed === null) this.samples = await this.#ownSamples();
      else {
        const { data } = await field.ask("decode");
        this.sampleBytes = shownBytes(field.spec, data, this.exposure);
        if (gl) {
          this.samples = textureOf(gl, gl.RGBA8, this.width, this.height);
          gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
          gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.width, this.height, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(this.sampleBytes.buffer));
          gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
        }
      }
    } catch (error) {
      page.onError(`the samples to compare with: ${error.message}`);
    }
    this.changed();
  }

  /** The field at the source's samples, drawn by the GPU. */
  async #ownSamples() {
    const { gl } = this.page;
    const { width, height } = this;
    const target = targetOf(gl, width, height);
    const program = this.programs.field;
    const rows = Math.max(1, Math.ceil(65536 / width));
    for (let row = 0; row < height; row += rows) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
      gl.useProgram(program);
      this.shader.bind(program);
      // the first row of a texture is the uppermost sample
      setUniforms(gl, program, {
        middle: [0, 0], grain: 1, anchorHigh: [0, 0], anchorLow: [0, 0], perPixel: [-1 / height, 1 / width], exposure: this.exposure,
        level: { int: this.page.field.spec.nLevels - 1 }, box: { int: 1 },
      });
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(0, row, width, rows);
      fill(gl, [0, 0, width, height]);
      gl.disable(gl.SCISSOR_TEST);
      await finished(gl);
    }
    return target.texture;
  }

  // ---------------------------------------------------------------- what people do

  /** Zooms by a factor about a point of the element. */
  zoomBy(factor, [x, y] = []) {
    const { canvas } = this.page;
    const ratio = canvas.width / canvas.clientWidth;
    const pane = this.panes().find(({ clip }) => x * ratio >= clip[0] && x * ratio < clip[0] + clip[2] && y * ratio >= clip[1] && y * ratio < clip[1] + clip[3]);
    const { rect } = pane ?? this.panes()[0];
    const place = this.place(rect);
    const from = x === undefined ? [0, 0] : [x * ratio - place[0], y * ratio - place[1]];
    const before = this.zoom;
    this.zoom = Math.min(Math.max(before * factor, Math.min(this.fitting, 1) / 2), MAX_ZOOM);
    this.#move(from.map((d) => d / before - d / this.zoom));
  }

  panBy(dx, dy) {
    const ratio = this.page.canvas.width / this.page.canvas.clientWidth;
    this.#move([(-dx * ratio) / this.zoom, (-dy * ratio) / this.zoom]);
  }

  #move([dx, dy]) {
    this.fits = false;
    this.middle = [Math.min(Math.max(this.middle[0] + dx, 0), this.width), Math.min(Math.max(this.middle[1] + dy, 0), this.height)];
    this.changed();
  }

  #controls() {
    const { page } = this;
    const { controls, canvas } = page;
    const source = page.facts.source ? "source" : "decoded samples";
    this.compareChoice = controls.choice("Compare", [["off", "Off"], ["wipe", "Wipe"], ["beside", "Side by side"]], "off", (value) => {
      this.compare = value;
      this.referenceChoice.box.hidden = value !== "wipe";
      if (value !== "off" && page.complete) this.#loadSamples();
      if (this.fits) this.fit();
      else this.changed();
    }, "c");
    this.referenceChoice = controls.choice(`With the ${source}`, [["nearest", "Nearest"], ["bilinear", "Bilinear"]], this.reference, (value) => {
      this.reference = value;
      this.changed();
    }, "i");
    this.referenceChoice.box.hidden = true;
    page.levelSlider((level) => {
      this.level = level;
      this.changed();
    });
    if (isLight(page.field.spec)) {
      controls.slider("Exposure", { min: -8, max: 8, step: 0.5, value: 0, says: (v) => `${v > 0 ? "+" : ""}${v} EV`, keys: ["e", "E"] }, (value) => {
        this.exposure = 2 ** value;
        this.changed();
      });
    }
    controls.buttons([["−", "Zoom out", () => this.zoomBy(1 / STEP)], ["+", "Zoom in", () => this.zoomBy(STEP)], ["1:1", "A pixel of the screen for each sample", () => this.actual()], ["Fit", "All of the picture", () => this.fit()]]);
    controls.key(["+", "="], "Zoom in", () => this.zoomBy(STEP));
    controls.key("-", "Zoom out", () => this.zoomBy(1 / STEP));
    controls.key("1", "A pixel of the screen for each sample", () => this.actual());
    controls.key(["f", "0"], "All of the picture", () => this.fit());
    for (const [key, says, dx, dy] of [["ArrowLeft", "Left", 1, 0], ["ArrowRight", "Right", -1, 0], ["ArrowUp", "Up", 0, 1], ["ArrowDown", "Down", 0, -1]]) {
      controls.key(key, says, () => this.panBy(dx * 60, dy * 60));
    }
    gestures(canvas, {
      start: grabLine(canvas, this),
      drag: (dx, dy) => this.panBy(dx, dy),
      zoom: (factor, point) => this.zoomBy(factor, point),
      double: (point) => this.zoomBy(STEP ** 3, point),
    });
  }

  actual() {
    this.zoom = 1;
    this.#move([0, 0]);
  }

  /** The whole file is there. */
  completed() {
    if (this.compare !== "off") this.#loadSamples();
  }

  #labels() {
    const { page } = this;
    const source = page.facts.source ? "source" : "decoded samples";
    labelPanes(page, this.panes(), this, { field: "field", nearest: `${source}, nearest`, bilinear: `${source}, bilinear` });
    page.tell(this.zoom >= 10 ? `${Math.round(this.zoom)}×` : `${Number(this.zoom.toPrecision(2))}×`);
  }
}
