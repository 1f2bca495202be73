/** A surface on a lattice by numbers: what a ray meets, and its colour, as the shader of surface-shader.js has it. */
import { spanOf, trilinear } from "./box.js";
import { CLAY } from "./surface-shader.js";

const MOST_STEPS = 200;

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function unit(v) {
  const length = Math.hypot(...v) || 1;
  return v.map((x) => x / length);
}

/**
 * The function (ray, out, at, most) that writes the RGBA of what a ray meets before `most`, and returns where that is, Infinity where it meets
 * nothing. lattice: see bake.js; camera and uniforms: those of the shader.
 */
export function surfaceRays({ first, second, shape }, { eye, cameraRight, cameraUp, cameraForward, size, slice }, uniforms, pixel) {
  const { shading: { int: shading }, shift: [shift], stride, reach, plain, turn, mark } = uniforms;
  const read = (p, k) => trilinear(first, shape, 2, k, p, size);
  const value = (p) => read(p, 0) - shift;
  const at = (ray, t) => eye.map((e, k) => e + t * ray[k]);
  const key = unit([0, 1, 2].map((k) => 0.5 * cameraUp[k] - 0.35 * cameraRight[k] - cameraForward[k]));

  const write = (c, out, to) => {
    for (let k = 0; k < 3; k++) out[to + k] = 255 * (c[k] + mark[3] * (mark[k] - c[k]));
    out[to + 3] = 255;
  };

  const show = (ray, t, out, to) => {
    const p = at(ray, t);
    const h = Math.max(reach, pixel * t);
    let n = unit([0, 1, 2].map((k) => {
      const side = (d) => value(p.map((v, j) => (j === k ? v + d : v)));
      return side(h) - side(-h);
    }));
    if (shading === 2) {
      write([0, 1, 2].map((k) => 0.5 + 0.5 * (turn[k] * n[0] + turn[3 + k] * n[1] + turn[6 + k] * n[2])), out, to);
      return;
    }
    const own = () => (second ? [0, 1, 2].map((k) => trilinear(second, shape, 4, k, p, size) / 255) : plain);
    const base = shading === 0 ? own() : CLAY;
    if (dot(n, ray) > 0) n = n.map((v) => -v);
    const light = 0.32 + 0.18 * dot(n, cameraUp) + 0.62 * Math.max(dot(n, key), 0);
    const shine = 0.08 * Math.max(dot(n, unit(key.map((v, k) => v - ray[k]))), 0) ** 24;
    write(base.map((v) => v * light + shine), out, to);
  };

  return (ray, out, to, most = Infinity) => {
    const [near, far, cut] = spanOf(ray, eye, size, slice);
    const end = Math.min(far, most);
    let t = near + 1e-5;
    if (t >= end) return Infinity;
    let last = value(at(ray, t));
    if (cut && last < 0) {
      write([0.93, 0.62, 0.32], out, to);
      return t;
    }
    for (let i = 0, before = t; i < MOST_STEPS; i++) {
      t += stride || Math.max(0.9 * Math.abs(last), 0.5 * pixel * t);
      if (t >= end) return Infinity;
      const d = value(at(ray, t));
      if (d * last < 0) {
        const hit = before + ((t - before) * last) / (last - d);
        if (read(at(ray, hit), 1) <= 0) {
          show(ray, hit, out, to);
          return hit;
        }
      }
      before = t;
      last = d;
    }
    return Infinity;
  };
}
