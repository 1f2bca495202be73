/** A surface: rays step by its distance, the lattice far from it and the field near it; orbit, light, normals, a slice and levels. */
import { spanOf, trilinear } from "./box.js";
import { MeshDrawing, meshOf } from "./mesh.js";
import { surfacePacking, surfaceFragment, surfaceWords } from "./surface-shader.js";
import { SpaceView } from "./space.js";

const SHADINGS = ["colours", "clay", "normals"];
const CLAY = [0.86, 0.83, 0.79];
const MOST_STEPS = 200;

export class SurfaceView extends SpaceView {
  constructor(page) {
    super(page);
    this.words = surfaceWords(this.spec);
    this.packing = surfacePacking(this.spec);
    this.shading = this.words.colours ? 0 : 1;
    this.iso = 0; // in edges of 1
  }

  fragment(shader) {
    return surfaceFragment(this.spec, shader);
  }

  uniforms({ shape }) {
    const cell = 1 / Math.max(...shape);
    const own = 1 / Math.max(...this.spec.extent);
    const { occupancy } = this.words;
    // a distance without sign has its surface where it is least: a thin shell around it is shown
    const shell = this.spec.kind === "udf" ? 0.6 : 0;
    return {
      shading: { int: this.shading }, shift: [this.iso + shell * cell, this.iso + shell * own], band: occupancy ? 10 : 2 * cell,
      stride: occupancy ? cell / 2 : 0, reach: this.programs?.exact ? own / 4 : cell / 2,
    };
  }

  ownControls(controls, change) {
    const options = [...(this.words.colours ? [["0", "Colours"]] : []), ["1", "Clay"], ["2", "Normals"]];
    controls.choice("Shading", options, String(this.shading), change((value) => {
      this.shading = Number(value);
    }), "n");
    if (this.words.occupancy) return;
    const { unit } = this.words;
    const most = 0.1;
    const says = (v) => `${v > 0 ? "+" : ""}${Number((v / unit).toPrecision(2))}`;
    controls.slider("Level", { min: -most, max: most, step: most / 50, value: 0, says, keys: [",", "."] }, change((value) => {
      this.iso = Math.abs(value) < most / 1000 ? 0 : value;
    }));
  }

  async loadSource({ facts, inflated }) {
    this.mesh = new MeshDrawing(this.page.gl, meshOf(facts, await inflated()));
    this.painted = facts.colours;
  }

  drawSource(camera, grain, target, clip) {
    const shading = this.shading === 0 && !this.painted ? 1 : this.shading;
    this.mesh?.draw({ ...camera, grain, shading: { int: shading } }, target, clip);
  }

  /** The function (ray, out, at) that writes the RGBA of what a ray meets: as the shader, by numbers of the lattice. */
  rays(lattice, { eye, cameraRight, cameraUp, cameraForward, slice }, pixel) {
    const { shading, size } = this;
    const { shift: [shift], stride, reach } = this.uniforms(lattice);
    const read = (p, k) => trilinear(lattice.first, lattice.shape, 2, k, p, size);
    const value = (p) => read(p, 0) - shift;
    const at = (ray, t) => eye.map((e, k) => e + t * ray[k]);
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const key = unit([0, 1, 2].map((k) => 0.5 * cameraUp[k] - 0.35 * cameraRight[k] - cameraForward[k]));
    const cutAxis = slice.indexOf(1);
    const high = size.map((s, k) => (k === cutAxis ? slice[3] : s));

    const show = (ray, t, out, to) => {
      const p = at(ray, t);
      const h = Math.max(reach, pixel * t);
      let n = [0, 1, 2].map((k) => {
        const side = (d) => value(p.map((v, j) => (j === k ? v + d : v)));
        return side(h) - side(-h);
      });
      n = unit(n);
      let c;
      if (SHADINGS[shading] === "normals") c = n.map((v) => 0.5 + 0.5 * v);
      else {
        const base = SHADINGS[shading] === "colours" ? [0, 1, 2].map((k) => trilinear(lattice.second, lattice.shape, 4, k, p, size) / 255) : CLAY;
        if (dot(n, ray) > 0) n = n.map((v) => -v);
        const light = 0.32 + 0.18 * dot(n, cameraUp) + 0.62 * Math.max(dot(n, key), 0);
        const shine = 0.08 * Math.max(dot(n, unit(key.map((v, k) => v - ray[k]))), 0) ** 24;
        c = base.map((v) => v * light + shine);
      }
      for (let k = 0; k < 3; k++) out[to + k] = 255 * c[k];
      out[to + 3] = 255;
    };

    return (ray, out, to) => {
      const [near, far, through] = spanOf(ray, eye, high);
      let t = near + 1e-5;
      if (t >= far) return;
      let last = value(at(ray, t));
      if (through === cutAxis && cutAxis >= 0 && ray[cutAxis] < 0 && last < 0) {
        out.set([237, 158, 82, 255], to);
        return;
      }
      for (let i = 0, before = t; i < MOST_STEPS; i++) {
        t += stride || Math.max(0.9 * Math.abs(last), 0.5 * pixel * t);
        if (t >= far) return;
        const d = value(at(ray, t));
        if (d * last < 0) {
          const hit = before + ((t - before) * last) / (last - d);
          if (read(at(ray, hit), 1) <= 0) {
            show(ray, hit, out, to);
            return;
          }
        }
        before = t;
        last = d;
      }
    };
  }
}

function unit(v) {
  const length = Math.hypot(...v) || 1;
  return v.map((x) => x / length);
}
