/** GLSL that reads lattices: spec/format.md, sections 4.1 to 4.7 and 5. */
import { WIDTH_BITS } from "./atlas.js";
import { float } from "./text.js";

export const TAPS = { nearest: 1, linear: 2, smoothstep: 2, cubic: 4, mitchell: 4 };
const PRIMES = ["1u", "2654435761u", "805459861u", "3674653429u"];

/** Where a coordinate hi + lo counts, as hi + lo again. */
const PLACE = {
  clamp: "if (hi + lo < 0.0 || hi + lo > 1.0) { lo = clamp(hi + lo, 0.0, 1.0); hi = 0.0; }",
  wrap: "lo = hi + lo - floor(hi + lo); hi = 0.0;",
  reflect: "lo = hi + lo - 2.0 * floor((hi + lo) / 2.0); if (lo > 1.0) lo = 2.0 - lo; hi = 0.0;",
};

const FOLD = {
  clamp: "clamp(j, 0, n - 1)",
  wrap: "((j % n) + n) % n",
  reflect: "min(((j % (2 * n)) + 2 * n) % (2 * n), 2 * n - 1 - ((j % (2 * n)) + 2 * n) % (2 * n))",
};

const WEIGHTS = {
  nearest: "t.w = 1.0;",
  linear: "t.w.x = 1.0 - f; t.w.y = f;",
  smoothstep: "f = (3.0 - 2.0 * f) * f * f; t.w.x = 1.0 - f; t.w.y = f;",
  mitchell: `t.w.x = (((-(b + 6.0 * c) * f + 3.0 * b + 12.0 * c) * f - (3.0 * b + 6.0 * c)) * f + b) / 6.0;
  t.w.y = (((12.0 - 9.0 * b - 6.0 * c) * f - 18.0 + 12.0 * b + 6.0 * c) * f * f + 6.0 - 2.0 * b) / 6.0;
  t.w.z = ((((9.0 * b + 6.0 * c - 12.0) * f + 18.0 - 15.0 * b - 12.0 * c) * f + 3.0 * b + 6.0 * c) * f + b) / 6.0;
  t.w.w = (((b + 6.0 * c) * f - 6.0 * c) * f * f) / 6.0;`,
};
WEIGHTS.cubic = WEIGHTS.mitchell;

const FIRST = { 1: "i", 2: "i", 4: "i - 1" };

export const tapsName = (interpolation, boundary) => `taps_${interpolation}_${boundary}`;

/**
 * The function (hi, lo, n, offset, b, c) -> vertices and weights along an axis. A coordinate comes in two floats, of which the first has
 * few digits, so that far inside a picture hi * n loses none; their sum is the coordinate.
 */
export function tapsFunction(interpolation, boundary) {
  const taps = TAPS[interpolation];
  const half = interpolation === "nearest" ? "" : " - 0.5";
  return `Taps${taps} ${tapsName(interpolation, boundary)}(float hi, float lo, int n, float offset, float b, float c) {
  ${PLACE[boundary]}
  float whole = floor(hi * float(n));
  float f = (hi * float(n) - whole) + lo * float(n)${half} + offset;
  int i = int(whole) + int(floor(f));
  f -= floor(f);
  Taps${taps} t;
  int j;
  ${Array.from({ length: taps }, (_, k) => `j = ${FIRST[taps]} + ${k}; ${tap("t", "i", k, taps)} = ${FOLD[boundary]};`).join(" ")}
  ${WEIGHTS[interpolation]}
  return t;
}`;
}

const TYPES = { 1: ["int", "float"], 2: ["ivec2", "vec2"], 4: ["ivec4", "vec4"] };
const NAMES = ["x", "y", "z", "w"];
/** Component t of the vertices (i) or weights (w) along an axis. */
const tap = (axis, part, t, taps) => (taps === 1 ? `${axis}.${part}` : `${axis}.${part}.${NAMES[t]}`);

export const tapsStruct = (taps) => `struct Taps${taps} { ${TYPES[taps][0]} i; ${TYPES[taps][1]} w; };`;

/**
 * The functions that give up to four features of a lattice `{name, shape, taps, place, hashed}`: one for each axis, the last one
 * first, whose arguments are the rows so far, the taps of this axis and of those after it, and which texel of a vertex is meant.
 */
export function latticeFunctions({ name, shape, taps, place, hashed }) {
  const d = shape.length;
  const sum = (term) => Array.from({ length: taps }, (_, t) => term(t)).join("\n    + ");
  return shape
    .map((_, k) => {
      const rest = Array.from({ length: d - k }, (_, i) => `Taps${taps} a${k + i}`).join(", ");
      const row = (t) => {
        const vertex = tap(`a${k}`, "i", t, taps);
        if (!hashed) return k === 0 ? vertex : `row * ${shape[k]} + ${vertex}`;
        const part = `int(uint(${vertex}) * ${PRIMES[d - 1 - k]})`;
        return k === 0 ? part : `(row ^ ${part})`;
      };
      const inner = (t) => {
        if (k < d - 1) {
          const others = Array.from({ length: d - 1 - k }, (_, i) => `a${k + 1 + i}`).join(", ");
          return `${name}_${k + 1}(${row(t)}, ${others}, texel)`;
        }
        const at = hashed ? `(${row(t)} & ${hashed - 1})` : row(t);
        return `texel${place.channels}(${place.base} + ${place.texels > 1 ? `(${at}) * ${place.texels} + texel` : at})`;
      };
      return `vec4 ${name}_${k}(int row, ${rest}, int texel) {
  return ${sum((t) => `${tap(`a${k}`, "w", t, taps)} * ${inner(t)}`)};
}`;
    })
    .reverse()
    .join("\n");
}

/** Declares the texture of texels with so many channels. */
export const atlasSource = (channels) => `uniform highp sampler2D atlas${channels};
vec4 texel${channels}(int at) { return texelFetch(atlas${channels}, ivec2(at & ${(1 << WIDTH_BITS) - 1}, at >> ${WIDTH_BITS}), 0); }`;

/** The call for the taps of axis k of a level, moved by `offset` vertices. */
export function tapsCall(part, level, k, offset = 0) {
  const bc = `${float(level.b64 / 64)}, ${float(level.c64 / 64)}`;
  const name = tapsName(part.interpolation, part.boundaries[k]);
  return `${name}(hi[${k}], lo[${k}], ${level.resolution[k]}, ${float(offset)}, ${bc})`;
}
