/**
 * GLSL of clouds of points: spec/format.md, section 4.8. A level is a texture of vec4: its reach and where the lists and the points begin; its cells
 * along each axis; for each cell where its list begins and how long that is; the lists, four numbers of points a texel; and the points, each with its
 * position and what the square of a distance is multiplied by, and its features.
 */
import { cellShape, pointsOfCells } from "../../encodings/points.js";
import { product } from "../../entropy/lattice.js";
import { smooth } from "../gl.js";
import { WIDTH_BITS } from "./atlas.js";
import { quads } from "./network.js";
import { float } from "./text.js";

const WIDTH = 1 << WIDTH_BITS;
const MOST_CELLS = 1 << 20;
const FIRST_CELL = 2;

/** Numbers of the texture of a level, whose cells are made larger than its reach where there were too many. */
function texelsOf({ resolution, nFeatures, step }, integers) {
  const { positions, sizes, features, reach: [reach] } = integers;
  const d = resolution.length;
  let edge = reach;
  while (product(cellShape(resolution, edge)) > MOST_CELLS) edge *= 2;
  const shape = cellShape(resolution, edge);
  const lists = pointsOfCells(resolution, integers, edge);
  const nCells = product(shape);
  const width = 1 + quads(nFeatures);
  const nListed = [...lists.values()].reduce((sum, list) => sum + list.length, 0);
  const firstList = FIRST_CELL + nCells;
  const firstPoint = firstList + Math.ceil(nListed / 4);
  const rows = Math.ceil((firstPoint + sizes.length * width) / WIDTH);
  const data = new Float32Array(4 * rows * WIDTH);
  data.set([edge, firstList, firstPoint], 0);
  data.set(shape, 4);
  let listed = 0;
  for (const [cell, list] of lists) {
    data.set([listed, list.length], 4 * (FIRST_CELL + cell));
    data.set(list, 4 * firstList + listed);
    listed += list.length;
  }
  sizes.forEach((size, i) => {
    const at = 4 * (firstPoint + i * width);
    for (let k = 0; k < d; k++) data[at + k] = positions[i * d + k];
    data[at + 3] = 16 / (reach * reach * (16 - size));
    for (let f = 0; f < nFeatures; f++) data[at + 4 + f] = features[i * nFeatures + f] * step;
  });
  return { rows, data };
}

export class CloudShader {
  /** name: of its texture, and of the function (hi, lo, out g[]) that gives the features. */
  constructor(name, level) {
    Object.assign(this, { name, level });
  }

  get source() {
    const { name, level: { resolution, nFeatures } } = this;
    const n = quads(nFeatures);
    const padded = Array.from({ length: 4 }, (_, k) => float(resolution[k] ?? 0));
    const cells = resolution.map((_, k) => `cell = cell * int(shape[${k}]) + min(int((away[${k}] + 0.5) / head.x), int(shape[${k}]) - 1);`);
    return `uniform highp sampler2D ${name};
vec4 ${name}At(int at) { return texelFetch(${name}, ivec2(at & ${WIDTH - 1}, at >> ${WIDTH_BITS}), 0); }
void ${name}Sum(vec4 hi, vec4 lo, out vec4 g[${n}]) {
  for (int q = 0; q < ${n}; q++) g[q] = vec4(0.0);
  vec4 head = ${name}At(0), shape = ${name}At(1), size = vec4(${padded.join(", ")});
  if (head.x < 0.5) return; // it is not there yet
  for (int k = 0; k < ${resolution.length}; k++) if (hi[k] + lo[k] < 0.0 || hi[k] + lo[k] > 1.0) { hi[k] = clamp(hi[k] + lo[k], 0.0, 1.0); lo[k] = 0.0; }
  vec4 away = (hi + lo) * size - 0.5;
  int cell = 0;
  ${cells.join("\n  ")}
  vec4 list = ${name}At(${FIRST_CELL} + cell);
  for (int i = 0; i < int(list.y); i++) {
    int at = int(list.x) + i;
    int point = int(head.z) + int(${name}At(int(head.y) + (at >> 2))[at & 3]) * ${1 + n};
    vec4 centre = ${name}At(point);
    vec3 d = ((hi * size).xyz - centre.xyz) + ((lo * size).xyz - 0.5);
    ${resolution.length < 3 ? `for (int k = ${resolution.length}; k < 3; k++) d[k] = 0.0;` : ""}
    float rest = max(1.0 - dot(d, d) * centre.w, 0.0);
    for (int q = 0; q < ${n}; q++) g[q] += rest * rest * rest * ${name}At(point + 1 + q);
  }
}`;
  }

  /** Makes a texture that says that nothing is there. */
  allocate(gl) {
    this.#fill(gl, { rows: 1, data: new Float32Array(4 * WIDTH) });
  }

  write(gl, integers) {
    gl.deleteTexture(this.texture);
    this.#fill(gl, texelsOf(this.level, integers));
  }

  #fill(gl, { rows, data }) {
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, WIDTH, rows);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDTH, rows, gl.RGBA, gl.FLOAT, data);
    smooth(gl, gl.TEXTURE_2D, gl.NEAREST);
  }
}
