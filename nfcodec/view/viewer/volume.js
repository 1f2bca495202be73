/** A volume: rays gather light through a lattice of the field by a transfer function; slices are the field itself. */
import { edgesOf, spanOf, trilinear } from "./box.js";
import { DrawnField, drawLattice } from "./drawn.js";
import { smooth } from "./gl.js";
import { SpaceView } from "./space.js";
import { MAP_NAMES, transferOf } from "./transfer.js";
import { volumeFragment, volumePacking, volumeRange } from "./volume-shader.js";

const ENTRIES = 256;
const CPU_STEPS = 160; // for an edge of 1

export class VolumeView extends SpaceView {
  constructor(page) {
    const { spec } = page.field;
    super(page, edgesOf(spec, page.facts.spacing), 2);
    this.spec = spec;
    this.channel = 0;
    const { offsets, scales } = spec;
    this.mode = "light";
    // values of two signs have a map of two sides
    this.map = offsets[0] < 0 && offsets[0] + scales[0] > 0 && offsets[0] + scales[0] < -3 * offsets[0] ? "coolwarm" : "grey";
    this.window = [0, 1];
    this.density = 32;
  }

  /** Least value and range of the channel. */
  get range() {
    return volumeRange(this.spec, this.channel);
  }

  drawnOf(field) {
    this.drawn[0] ??= new DrawnField(this, field, { packing: volumePacking(this), fragment: (shader) => volumeFragment(this.spec, shader) });
    return this.drawn[0];
  }

  drawField(camera, grain, target) {
    const [drawn] = this.drawn;
    if (drawn?.lattice) this.#drawBox(drawn.use(grain), drawn.lattice, camera, grain, target);
  }

  #uniforms({ shape }) {
    return {
      level: { int: this.level }, time: this.time,
      mode: { int: Number(this.mode === "largest") }, window: this.window, density: this.density, stride: 0.5 / Math.max(...shape, 64),
      transfer: { int: this.transferUnit }, ...this.drawn[0].kind.packing.uniforms(),
    };
  }

  #drawBox([program, unit], lattice, camera, grain, target) {
    const { gl } = this.page;
    this.transferUnit = unit + lattice.textures.length;
    gl.activeTexture(gl.TEXTURE0 + this.transferUnit);
    if (!this.transfer) {
      this.transfer = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, this.transfer);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, ENTRIES, 1);
      smooth(gl, gl.TEXTURE_2D, gl.LINEAR);
    }
    gl.bindTexture(gl.TEXTURE_2D, this.transfer);
    if (this.mapped !== this.map) {
      this.mapped = this.map;
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ENTRIES, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(transferOf(this.map, ENTRIES).buffer));
    }
    drawLattice(gl, [program, unit], lattice, { ...camera, grain, ...this.#uniforms(lattice) }, target);
  }

  ownControls(controls, change) {
    const says = (part) => String(Number((this.range[0] + part * this.range[1]).toPrecision(3)));
    const { nChannels, nAxes, extent } = this.spec;
    if (nChannels > 1) {
      const all = Array.from({ length: nChannels }, (_, c) => [String(c), String(c + 1)]);
      controls.choice("Channel", all, "0", (value) => {
        this.channel = Number(value);
        this.refield();
      }, "v");
    }
    if (nAxes === 4) {
      const n = extent[0];
      controls.slider("Time", { min: 1, max: n, step: n > 200 ? 1 : 0.25, value: (n + 1) / 2, keys: ["j", "k"] }, (value) => {
        this.time = (value - 0.5) / n;
        this.refield();
      });
    }
    controls.choice("Show", [["light", "Light"], ["largest", "Largest"]], this.mode, change((value) => {
      this.mode = value;
      density.box.hidden = value === "largest";
    }), "m");
    controls.choice("Colours", MAP_NAMES.map((name) => [name, name]), this.map, change((value) => {
      this.map = value;
    }), "p");
    const bound = (label, i, keys, named) =>
      controls.slider(label, { min: 0, max: 1, step: 0.01, value: this.window[i], says, keys, named }, change((value) => {
        this.window[i] = value;
        // never empty
        if (this.window[1] - this.window[0] < 0.01) this.window[1 - i] = i === 0 ? value + 0.01 : value - 0.01;
      }));
    bound("From", 0, ["q", "w"], "From");
    bound("to", 1, ["a", "e"], "Up to");
    const density = controls.slider("Density", { min: 0, max: 8, step: 0.25, value: Math.log2(this.density), says: (v) => (2 ** v).toFixed(0), keys: [",", "."] }, change((value) => {
      this.density = 2 ** value;
    }));
  }

  async loadSource({ facts, inflated }) {
    this.sourceFacts = facts;
    this.sourceBytes = await inflated();
    this.sourceLattice = null;
  }

  /** The source's samples of the channel and the time as a texture. */
  #sourceOf() {
    const { gl } = this.page;
    const { shape } = this.sourceFacts;
    const [depth, height, width] = shape.slice(-3);
    const frame = shape.length === 4 ? Math.min(Math.floor(this.time * shape[0]), shape[0] - 1) : 0;
    const made = this.sourceLattice;
    if (made?.frame === frame && made.channel === this.channel) return made;
    if (made) gl.deleteTexture(made.textures[0]);
    const { nChannels } = this.spec;
    const n = depth * height * width;
    const bytes = new Uint8Array(n);
    for (let i = 0, at = frame * n * nChannels + this.channel; i < n; i++, at += nChannels) bytes[i] = this.sourceBytes[at];
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.texStorage3D(gl.TEXTURE_3D, 1, gl.R8, width, height, depth);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, width, height, depth, gl.RED, gl.UNSIGNED_BYTE, bytes);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    smooth(gl, gl.TEXTURE_3D, gl.LINEAR);
    return (this.sourceLattice = { shape: [depth, height, width], textures: [texture], frame, channel: this.channel });
  }

  drawSource(camera, grain, target) {
    if (!this.sourceFacts) return;
    const { rough } = this.drawn[0];
    const lattice = this.#sourceOf();
    this.page.gl.useProgram(rough);
    this.#drawBox([rough, 0], lattice, camera, grain, target);
  }

  /** The function (ray, out, at) that writes the RGBA of a ray: as the shader but for slopes, by numbers of the lattice. */
  tracer({ eye, slice }) {
    if (!this.drawn[0]?.lattice) return () => {};
    const { first, shape } = this.drawn[0].lattice;
    const { size, window, density, mode } = this;
    const transfer = transferOf(this.map, ENTRIES);
    const entry = (v) => 4 * Math.round((ENTRIES - 1) * Math.min(Math.max((v - window[0]) / (window[1] - window[0]), 0), 1));
    const stride = 1 / CPU_STEPS;
    const p = [0, 0, 0];
    const value = (ray, t) => {
      for (let k = 0; k < 3; k++) p[k] = eye[k] + t * ray[k];
      return trilinear(first, shape, 2, 0, p, size);
    };
    return (ray, out, to) => {
      const [near, far, cut] = spanOf(ray, eye, size, slice);
      if (near >= far) return;
      if (cut) {
        const e = entry(value(ray, near));
        for (let k = 0; k < 3; k++) out[to + k] = transfer[e + k];
        out[to + 3] = 255;
        return;
      }
      let clear = 1;
      let largest = -Infinity;
      const light = [0, 0, 0];
      for (let t = near + stride / 2; t < far && clear > 0.01; t += stride) {
        const v = value(ray, t);
        if (mode === "largest") {
          largest = Math.max(largest, v);
          continue;
        }
        const e = entry(v);
        const opacity = 1 - Math.exp((-density * stride * transfer[e + 3]) / 255);
        for (let k = 0; k < 3; k++) light[k] += clear * opacity * transfer[e + k];
        clear *= 1 - opacity;
      }
      if (mode === "largest") {
        const e = entry(largest);
        for (let k = 0; k < 3; k++) out[to + k] = transfer[e + k];
        out[to + 3] = (255 * e) / (4 * (ENTRIES - 1));
      } else if (clear < 1) {
        for (let k = 0; k < 3; k++) out[to + k] = light[k] / (1 - clear);
        out[to + 3] = 255 * (1 - clear);
      }
    };
  }
}
