/** FHDR, the description of a field: spec/format.md, section 2. */
import { check } from "./bytes.js";
import { factorSizes, factorWidth, structureOf } from "./encodings/factors.js";
import { mostPoints } from "./encodings/points.js";
import { product } from "./entropy/lattice.js";
import * as R from "./registry.js";

/** @returns the description: see FieldSpec in nfcodec.d.ts. Data may follow. budget.left: integers that levels may still have. */
export function readHeader(reader, budget) {
  const spec = readKind(reader);
  spec.extent = Array.from({ length: spec.nAxes }, () => {
    const n = reader.varint();
    check(n >= 1 && n <= R.MAX_EXTENT, "limit-extent", `extent ${n}`);
    return n;
  });
  readValues(reader, spec);
  readParts(reader, spec);
  readNetwork(reader, spec);
  budget.left -= countIntegers(spec);
  check(budget.left >= 0, "limit-grid-integers", "more integers in all levels than may be");
  return spec;
}

function readKind(reader) {
  const kind = R.KINDS[reader.u8()];
  check(kind, "fhdr-kind", "unknown kind of field");
  const flags = reader.u8();
  const nAxes = reader.u8();
  check(nAxes >= 1 && nAxes <= R.MAX_DIMS, "limit-dimensions", `${nAxes} axes`);
  const nChannels = reader.u8();
  check(nChannels >= 1 && nChannels <= R.MAX_CHANNELS, "limit-channels", `${nChannels} channels`);
  const dtype = R.DTYPES[reader.u8()];
  check(dtype, "fhdr-dtype", "unknown dtype");
  const has = Object.fromEntries(Object.entries(R.FLAGS).map(([name, bit]) => [name, (flags & bit) !== 0]));
  return { kind, surface: R.SURFACES.has(kind), flags: has, nAxes, nChannels, dtype };
}

function readValues(reader, spec) {
  const { kind, surface, dtype, flags, nChannels, nAxes } = spec;
  const full = !flags.oneRange && (dtype === "u1" || dtype === "u2");
  check(!flags.fullRange || full, "fhdr-flags", `full range of ${dtype}`);
  spec.offsets = new Array(nChannels).fill(0);
  spec.scales = new Array(nChannels).fill(dtype === "u2" ? 65535 : 255);
  if (!flags.fullRange) {
    for (let c = 0; c < nChannels; c++) {
      const stored = c === 0 || !flags.oneRange;
      spec.offsets[c] = stored ? reader.f32() : spec.offsets[0];
      spec.scales[c] = stored ? reader.f32() : spec.scales[0];
    }
  }
  if (flags.placed) {
    spec.origin = Array.from({ length: nAxes }, () => {
      const x = reader.f64();
      check(Math.abs(x) <= 1e30, "fhdr-origin", `origin ${x}`);
      return x;
    });
    spec.cell = reader.f64();
    check(spec.cell >= 1e-30 && spec.cell <= 1e30, "fhdr-cell", `cell ${spec.cell}`);
  }
  if (flags.truncated) {
    spec.truncation = reader.f32();
    check(spec.truncation > 0, "fhdr-truncation", `truncation ${spec.truncation}`);
  }
  if (flags.knee) {
    spec.knee = reader.f32();
    check(spec.knee > 0, "fhdr-knee", `knee ${spec.knee}`);
  }
  check(flags.placed === surface && flags.truncated === (kind === "tsdf"), "fhdr-kind", `${kind} with other flags than its own`);
  check(kind !== "image" || nAxes === 2, "fhdr-kind", `image of ${nAxes} axes`);
  check(!surface || (nAxes === 3 && dtype === "f4"), "fhdr-kind", `${kind} of ${nAxes} axes in ${dtype}`);
  if (surface) readRoles(reader, spec);
}

function readRoles(reader, spec) {
  spec.roles = ["distance"];
  while (spec.roles.length < spec.nChannels) {
    const role = R.ROLES[reader.u8()];
    check(role, "fhdr-role", "unknown role of a channel");
    spec.roles.push(role);
  }
  const known = spec.roles.filter((role) => role !== "other");
  check(new Set(known).size === known.length, "fhdr-role", `channels ${spec.roles}, expected each role once`);
  const colours = ["red", "green", "blue"].filter((role) => spec.roles.includes(role)).length;
  check(colours === 0 || colours === 3, "fhdr-role", `${colours} of three colours`);
}

function readParts(reader, spec) {
  spec.parts = [];
  spec.nLevels = 0;
  for (let more = true; more; ) {
    const id = reader.u8();
    more = id >= 128;
    const encoding = R.ENCODINGS[id & 127];
    check(encoding, "fhdr-encoding", `unknown encoding ${id & 127}`);
    const part = (id & 127) < 16 ? readGrid(reader, spec, encoding) : readCoordinates(reader, spec, encoding);
    spec.parts.push(part);
    spec.nLevels += part.levels.length;
    check(spec.parts.length <= R.MAX_PARTS, "limit-parts", `more than ${R.MAX_PARTS} encodings`);
    check(spec.nLevels <= R.MAX_LEVELS, "limit-levels", `${spec.nLevels} levels`);
  }
  const names = spec.parts.map((part) => part.encoding);
  check(new Set(names).size === names.length, "fhdr-encoding", `encodings ${names}, expected each once`);
}

const LOG2_LIMIT = { hash: R.MAX_LOG2_HASHMAP_SIZE, codebook: R.MAX_LOG2_CODEBOOK_SIZE, points: R.MAX_LOG2_POINTS, mesh: R.MAX_LOG2_VERTICES };

function checkAxes(encoding, nAxes) {
  const [fewest, most] = R.AXES[encoding] ?? [1, R.MAX_DIMS];
  check(nAxes >= fewest && nAxes <= most, "fhdr-encoding", `${encoding} of ${nAxes} axes`);
}

function readGrid(reader, spec, encoding) {
  const { nAxes, flags } = spec;
  checkAxes(encoding, nAxes);
  const part = { encoding, grid: true, ...readInterpolation(reader, nAxes) };
  const plain = part.interpolation === "linear" && !part.bounded;
  check(!R.SCATTERED.has(encoding) || plain, "fhdr-interpolation", `${encoding} with an interpolation`);
  if (encoding === "triplane") {
    part.joining = R.JOININGS[reader.u8()];
    check(part.joining, "fhdr-joining", "unknown joining of planes");
  }
  part.log2Size = reader.u8();
  check(part.log2Size <= (LOG2_LIMIT[encoding] ?? 0), "limit-log2_size", `log2_size ${part.log2Size} of ${encoding}`);
  const n = reader.u8();
  check(n >= 1 && n <= R.MAX_LEVELS, "limit-levels", `${n} levels`);
  const levels = readResolutions(reader, n, nAxes, flags.halving).map((resolution) => ({ resolution }));
  const features = Array.from({ length: flags.sharedFeatures ? 2 : n }, () => {
    const f = reader.u8();
    check(f >= 1 && f <= R.MAX_FEATURES, "limit-features", `${f} features`);
    return f;
  });
  check(!flags.sharedFeatures || n >= 2, "fhdr-flags", "shared features of one level");
  levels.forEach((level, l) => {
    level.nFeatures = features[flags.sharedFeatures ? Number(l === n - 1) : l];
    level.width = structureOf(encoding, nAxes) ? factorWidth(part, nAxes, level.nFeatures) : level.nFeatures;
  });
  for (const level of levels) level.step = readStep(reader);
  for (const level of levels) {
    if (part.interpolation === "mitchell") [level.b64, level.c64] = [reader.i8(), reader.i8()];
    else [level.b64, level.c64] = [0, 32];
  }
  part.surrounded = 0;
  if (part.interpolation === "mitchell") {
    part.surrounded = reader.u8();
    const finest = levels[n - 1].resolution;
    const allowed = encoding === "dense" && finest.every((size, k) => size === spec.extent[k]);
    check(part.surrounded <= (allowed ? n : 0), "limit-surrounded-levels", `${part.surrounded} surrounded levels`);
  }
  part.levels = levels;
  part.width = levels.reduce((sum, level) => sum + level.width, 0);
  for (const level of levels.slice(n - part.surrounded)) part.width += 2 * nAxes * level.width;
  return part;
}

/** The interpolation, and for each axis what lies beyond it. */
function readInterpolation(reader, nAxes) {
  const id = reader.u8();
  const interpolation = R.INTERPOLATIONS[id & 127];
  check(interpolation, "fhdr-interpolation", "unknown interpolation");
  const bounded = id >= 128;
  const bits = bounded ? reader.u8() : 0;
  const boundaries = Array.from({ length: nAxes }, (_, k) => R.BOUNDARIES[(bits >> (2 * k)) & 3]);
  const known = boundaries.every(Boolean) && bits >> (2 * nAxes) === 0 && (bits > 0 || !bounded);
  check(known, "fhdr-boundary", `boundaries ${bits}`);
  return { interpolation, boundaries, bounded };
}

function readResolutions(reader, n, nAxes, halving) {
  const read = Array.from({ length: halving ? 1 : n }, () =>
    Array.from({ length: nAxes }, () => {
      const size = reader.varint();
      check(size >= 1 && size <= R.MAX_RESOLUTION, "limit-resolution", `resolution ${size}`);
      return size;
    }),
  );
  while (read.length < n) read.unshift(read[0].map((size) => (size + 1) >> 1));
  return read;
}

/** The upper 16 bits of an f32. */
function readStep(reader) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, reader.u16());
  const step = view.getFloat32(0);
  check(Number.isFinite(step) && step > 0, "fhdr-step", `step ${step}`);
  return step;
}

function readCoordinates(reader, spec, encoding) {
  const { nAxes } = spec;
  const within = (name, value, low, high) => {
    check(value >= low && value <= high, "fhdr-parameter", `${name} ${value} of ${encoding}, expected ${low} to ${high}`);
    return value;
  };
  const part = { encoding, grid: false, levels: [{ resolution: null, nFeatures: 0 }] };
  switch (encoding) {
    case "identity":
      part.width = nAxes;
      break;
    case "frequency":
      part.nFrequencies = within("n_frequencies", reader.varint(), 1, 24);
      part.width = 2 * nAxes * part.nFrequencies;
      break;
    case "random-fourier":
      part.nFrequencies = within("n_frequencies", reader.varint(), 1, 1024);
      part.sigma = within("sigma", reader.f32(), 1e-3, 1e4);
      part.seed = within("seed", reader.varint(), 0, 2 ** 32 - 1);
      part.width = 2 * part.nFrequencies;
      break;
    case "one-blob":
      part.nBins = within("n_bins", reader.varint(), 1, 256);
      part.width = nAxes * part.nBins;
      break;
    case "super-gaussian":
      part.nPlaces = within("n_places", reader.varint(), 1, 256);
      part.power = within("power", reader.f32(), 1e-2, 100);
      part.width = nAxes * part.nPlaces;
      break;
    case "spherical-harmonics":
      part.degree = within("degree", reader.varint(), 1, 8);
      checkAxes(encoding, nAxes);
      part.width = part.degree ** 2;
  }
  part.levels[0].nFeatures = part.levels[0].width = part.width;
  return part;
}

function readNetwork(reader, spec) {
  spec.activation = R.ACTIVATIONS[reader.u8()];
  check(spec.activation, "fhdr-activation", "unknown activation");
  spec.nHidden = reader.u8();
  check(spec.nHidden <= R.MAX_HIDDEN_LAYERS, "limit-hidden-layers", `${spec.nHidden} hidden layers`);
  spec.nNeurons = 0;
  if (spec.nHidden > 0) {
    spec.nNeurons = reader.varint();
    check(spec.nNeurons >= 1 && spec.nNeurons <= R.MAX_NEURONS, "limit-neurons", `${spec.nNeurons} neurons`);
  }
  spec.nInputs = spec.parts.reduce((n, part) => n + part.width, 0);
}

/** Rows of a level's table: of vertices, or those that they share. */
export function tableRows(part, level) {
  return Math.min(product(level.resolution), 2 ** part.log2Size);
}

/** Whether the context network of a dense part looks at the plane before. */
export const isMulti = (dense) => dense.levels.some((level) => level.nFeatures > 1);

function countIntegers(spec) {
  let total = 0;
  for (const part of spec.parts) {
    for (const level of part.levels) {
      if (part.encoding === "super-gaussian") total += part.width;
      if (!part.grid) continue;
      const vertices = product(level.resolution);
      if (structureOf(part.encoding, spec.nAxes)) {
        total += factorSizes(part.encoding, level.resolution).reduce((sum, n) => sum + n * level.nFeatures, 0);
      } else if (part.encoding === "dense") total += vertices * level.nFeatures;
      else if (part.encoding === "points") total += (spec.nAxes + 1 + level.nFeatures) * mostPoints(part, level) + 1;
      else if (part.encoding === "mesh") total += (15 + level.nFeatures) * mostPoints(part, level);
      else if (part.encoding === "hash") total += tableRows(part, level) * level.nFeatures;
      else total += vertices + 2 ** part.log2Size * level.nFeatures;
    }
  }
  return total;
}
