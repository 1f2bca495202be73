/**
 * A field as a function in GLSL ES 3.00, made from its description: `void field(vec4 hi, vec4 lo, int level, out vec4 y[])`, whose
 * coordinate is hi + lo, axes in array order, and which counts levels up to `level`.
 */
import { factorSizes, structureOf } from "../../encodings/factors.js";
import { product } from "../../entropy/lattice.js";
import { tableRows } from "../../header.js";
import { Atlas } from "./atlas.js";
import { CloudShader } from "./clouds.js";
import { COORDINATES } from "./coordinates.js";
import { TAPS, atlasSource, latticeFunctions, tapsCall, tapsFunction, tapsStruct } from "./lattices.js";
import { networkShader, quads, valueTransform } from "./network.js";
import { component } from "./text.js";

const LATTICES = new Set(["dense", "hash", "codebook"]);
const MAX_INPUTS = 128;
const MAX_NEURONS = 128;
const MAX_CLOUDS = 8; // of the 16 textures that every WebGL 2 has
const MAX_UNIFORM = 1024; // vec4 that every WebGL 2 has in a block

/** Why a field has no shader, in words, or null. */
export function withoutShader(spec) {
  const known = ({ encoding }) => encoding === "points" || LATTICES.has(encoding) || structureOf(encoding, spec.nAxes) || COORDINATES[encoding];
  const odd = spec.parts.find((part) => !known(part));
  if (odd) return `the encoding ${odd.encoding}`;
  const nClouds = spec.parts.reduce((sum, { encoding, levels }) => sum + (encoding === "points" ? levels.length : 0), 0);
  if (nClouds > MAX_CLOUDS) return `${nClouds} levels of points`;
  if (spec.nInputs > MAX_INPUTS || spec.nNeurons > MAX_NEURONS) return `a network of ${spec.nInputs} inputs and ${spec.nNeurons} neurons`;
  return null;
}

/** Lattices of a level of a part, one for each factor, with their places in the atlas. */
function latticesOf(part, level, index, nAxes, atlas) {
  const { resolution, nFeatures } = level;
  const structure = structureOf(part.encoding, nAxes);
  const all = resolution.map((_, k) => k);
  const factors = structure?.factors ?? [all];
  const sizes = structure ? factorSizes(part.encoding, resolution) : [part.encoding === "hash" ? tableRows(part, level) : product(resolution)];
  const hashed = part.encoding === "hash" && sizes[0] < product(resolution) ? sizes[0] : 0;
  return factors.map((axes, i) => ({
    name: `lattice${index}_${i}`,
    axes,
    shape: axes.map((k) => resolution[k]),
    taps: TAPS[part.interpolation],
    place: atlas.place(sizes[i], nFeatures),
    hashed,
    factor: structure ? i : -1,
  }));
}

export class FieldShader {
  /** spec, network: of a field as decoded; its levels are given to `write` as they come. */
  constructor(spec, network) {
    this.spec = spec;
    this.atlas = new Atlas();
    this.levels = []; // {part, level, lattices, cloud}, without a grid or a cloud null
    for (const part of spec.parts) {
      for (const level of part.levels) {
        const cloud = part.encoding === "points" ? new CloudShader(`cloud${this.levels.length}`, level) : null;
        const lattices = part.grid && !cloud ? latticesOf(part, level, this.levels.length, spec.nAxes, this.atlas) : null;
        this.levels.push({ part, level, lattices, cloud });
      }
    }
    const { source, weights } = networkShader(spec, network);
    this.weights = weights;
    this.weightsInTexture = weights.length / 4 > MAX_UNIFORM;
    this.source = this.#source(source);
  }

  get clouds() {
    return this.levels.flatMap(({ cloud }) => cloud ?? []);
  }

  #source(network) {
    const { spec, levels } = this;
    const grids = levels.filter(({ lattices }) => lattices);
    const unique = (texts) => [...new Set(texts)];
    const head = [
      ...Object.entries(this.atlas.rows).filter(([, rows]) => rows).map(([channels]) => atlasSource(channels)),
      this.weightsInTexture
        ? "uniform highp sampler2D weights;\nvec4 W(int i) { return texelFetch(weights, ivec2(i & 1023, i >> 10), 0); }"
        : `layout(std140) uniform Weights { vec4 weights[${this.weights.length / 4}]; };\nvec4 W(int i) { return weights[i]; }`,
      ...unique(grids.map(({ part }) => tapsStruct(TAPS[part.interpolation]))),
      ...unique(grids.flatMap(({ part }) => part.boundaries.map((boundary) => tapsFunction(part.interpolation, boundary)))),
      ...grids.flatMap(({ lattices }) => lattices.map(latticeFunctions)),
      ...this.clouds.map(({ source }) => source),
    ];
    return `${head.join("\n")}
void field(vec4 hi, vec4 lo, int level, out vec4 y[${quads(spec.nChannels)}]) {
  vec4 f[${quads(spec.nInputs)}];
  ${Array.from({ length: quads(spec.nInputs) }, (_, i) => `f[${i}] = vec4(0.0);`).join(" ")}
  ${this.#features().join("\n  ")}
  ${network}
  ${valueTransform(spec)}
}`;
  }

  /** Statements that fill f, level by level. */
  #features() {
    const { spec } = this;
    const out = [];
    let column = 0;
    let index = 0;
    for (const part of spec.parts) {
      const finest = part.levels.at(-1).resolution;
      let around = column + part.levels.reduce((sum, level) => sum + level.width, 0);
      part.levels.forEach((level, l) => {
        const lines = [];
        const put = (texts, at) => texts.forEach((text, i) => lines.push(`${component("f", at + i)} = ${text};`));
        const { cloud } = this.levels[index];
        if (cloud) {
          lines.push(`vec4 g[${quads(level.nFeatures)}]; ${cloud.name}Sum(hi, lo, g);`);
          put(Array.from({ length: level.nFeatures }, (_, i) => component("g", i)), column);
        } else if (!part.grid) {
          lines.push("vec4 x = clamp(hi + lo, 0.0, 1.0);");
          put(COORDINATES[part.encoding](part, spec.nAxes), column);
        } else {
          lines.push(...level.resolution.map((_, k) => `Taps${TAPS[part.interpolation]} t${k} = ${tapsCall(part, level, k)};`));
          lines.push(...this.#read(index, column));
          if (l >= part.levels.length - (part.surrounded ?? 0)) {
            for (let axis = 0; axis < spec.nAxes; axis++) {
              for (const s of [-1, 1]) {
                const offset = (s * level.resolution[axis]) / finest[axis];
                const moved = `Taps${TAPS[part.interpolation]} t${axis} = ${tapsCall(part, level, axis, offset)};`;
                lines.push(`{ ${moved}`, ...this.#read(index, around), "}");
                around += level.width;
              }
            }
          }
        }
        out.push(`if (level >= ${index}) {\n    ${lines.join("\n    ")}\n  }`);
        column += level.width;
        index += 1;
      });
      column = around;
    }
    return out;
  }

  /** Statements that read the features of a level with the taps t0, t1 .. to f from `column` on. */
  #read(index, column) {
    const { part, level, lattices } = this.levels[index];
    const { terms } = structureOf(part.encoding, this.spec.nAxes) ?? { terms: [[0]] };
    const { texels } = lattices[0].place;
    const F = level.nFeatures;
    const lines = [];
    for (let texel = 0; texel < texels; texel++) {
      const reads = lattices.map(({ name, axes }) => `${name}_0(0, ${axes.map((k) => `t${k}`).join(", ")}, ${texel})`);
      const values = terms.map((factors) => factors.map((i) => `v${i}`).join(" * "));
      const width = Math.min(4, F - 4 * texel);
      lines.push("{", ...reads.map((read, i) => `vec4 v${i} = ${read};`));
      const joined = part.joining === "sum" ? [values.join(" + ")] : values;
      joined.forEach((value, t) => {
        lines.push(`{ vec4 v = ${value};`);
        for (let j = 0; j < width; j++) lines.push(`${component("f", column + t * F + 4 * texel + j)} = v[${j}];`);
        lines.push("}");
      });
      lines.push("}");
    }
    return lines;
  }

  /** Makes what programs need. WebGL 2 only. */
  allocate(gl) {
    this.gl = gl;
    this.textures = this.atlas.allocate(gl);
    this.clouds.forEach((cloud) => cloud.allocate(gl));
    if (this.weightsInTexture) {
      const rows = Math.ceil(this.weights.length / 4096);
      const data = new Float32Array(rows * 4096);
      data.set(this.weights);
      this.weightTexture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, this.weightTexture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, 1024, rows, 0, gl.RGBA, gl.FLOAT, data);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    } else {
      this.block = gl.createBuffer();
      gl.bindBuffer(gl.UNIFORM_BUFFER, this.block);
      gl.bufferData(gl.UNIFORM_BUFFER, this.weights, gl.STATIC_DRAW);
    }
  }

  /** Frees what allocate made. */
  release() {
    const { gl } = this;
    for (const texture of [...Object.values(this.textures), ...this.clouds.map((cloud) => cloud.texture), this.weightTexture]) if (texture) gl.deleteTexture(texture);
    if (this.block) gl.deleteBuffer(this.block);
  }

  /** Takes the integers of a level. */
  write(index, integers) {
    const { level, lattices, cloud } = this.levels[index];
    cloud?.write(this.gl, integers);
    const { nFeatures, step } = level;
    for (const { place, factor } of lattices ?? []) {
      const planes = integers.latents ?? integers[`factor${factor}`];
      const { indices, codebook, table } = integers;
      let number;
      if (planes) number = (i, f) => planes[f][i] * step;
      else if (indices) number = (i, f) => codebook[indices[i] * nFeatures + f] * step;
      else number = (i, f) => table[i * nFeatures + f] * step;
      this.atlas.write(this.gl, place, number);
    }
  }

  /** Binds textures and weights for a program that holds `source`, from texture unit `unit` on. */
  bind(program, unit = 0) {
    const { gl } = this;
    const bindTexture = (name, texture) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(gl.getUniformLocation(program, name), unit++);
    };
    for (const [channels, texture] of Object.entries(this.textures)) bindTexture(`atlas${channels}`, texture);
    for (const { name, texture } of this.clouds) bindTexture(name, texture);
    if (this.weightsInTexture) bindTexture("weights", this.weightTexture);
    else {
      gl.uniformBlockBinding(program, gl.getUniformBlockIndex(program, "Weights"), 0);
      gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, this.block);
    }
    return unit;
  }
}
