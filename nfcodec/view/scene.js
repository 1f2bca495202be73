/** Several fields in one file, placed by nodes: spec/scene.md. */
import { ByteReader, NfldError, check } from "./bytes.js";
import { CHUNK, CODEC, isAncillary } from "./container.js";
import {
  MAX_NAME_BYTES, MAX_SCENE_BYTES, MAX_SCENE_DEPTH, MAX_SCENE_FIELDS, MAX_SCENE_NODES, MAX_SCENE_SCALE, MAX_SCENE_TRANSLATION,
} from "./registry.js";
import { unzstd } from "./zstd.js";

const FLAG = { translation: 1, rotation: 2, scale: 4 };
const ROUNDED = 1e-6;

/** Whether a chunk is one of a scene. */
export const isOfScene = ({ type }) => type === CHUNK.SCNE || type === CHUNK.PART;

const square = ([x, y, z, w]) => x * x + y * y + z * z + w * w;

function normalised(q) {
  const length = Math.sqrt(square(q));
  return q.map((number) => number / length);
}

/** Rows of the rotation matrix of a quaternion. */
export function turnOf(rotation) {
  const [x, y, z, w] = normalised(rotation);
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
  ];
}

/** Placement in the world of what `own` places in a node that lies at `above`. */
function below(above, own) {
  const [ax, ay, az, aw] = above.rotation;
  const [bx, by, bz, bw] = own.rotation;
  const [x, y, z] = own.translation;
  const turn = turnOf(above.rotation);
  return {
    translation: above.translation.map((t, k) => t + above.scale * (turn[k][0] * x + turn[k][1] * y + turn[k][2] * z)),
    rotation: normalised([
      aw * bx + ax * bw + ay * bz - az * by,
      aw * by - ax * bz + ay * bw + az * bx,
      aw * bz + ax * by - ay * bx + az * bw,
      aw * bw - ax * bx - ay * by - az * bz,
    ]),
    scale: above.scale * own.scale,
  };
}

function readPlacement(reader, number) {
  const flags = reader.u8();
  check(flags < 8, "node-flags", `node ${number} has flags ${flags}, expected three bits`);
  const numbers = (flag, n, usual) => (flags & flag ? Array.from({ length: n }, () => reader.f64()) : usual);
  const translation = numbers(FLAG.translation, 3, [0, 0, 0]);
  check(translation.every((x) => Math.abs(x) <= MAX_SCENE_TRANSLATION), "node-translation", `node ${number} is moved by ${translation}`);
  const rotation = numbers(FLAG.rotation, 4, [0, 0, 0, 1]);
  check(Math.abs(square(rotation) - 1) <= ROUNDED, "node-rotation", `node ${number} has the quaternion ${rotation}`);
  const [scale] = numbers(FLAG.scale, 1, [1]);
  const size = Math.abs(scale);
  check(size >= 1 / MAX_SCENE_SCALE && size <= MAX_SCENE_SCALE, "node-scale", `node ${number} has the scale ${scale}`);
  return { translation, rotation, scale };
}

function readName(reader, number) {
  const length = reader.varint();
  check(length <= MAX_NAME_BYTES, "limit-name", `node ${number} has a name of ${length} bytes`);
  const bytes = reader.take(length);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NfldError("node-name", `node ${number} has a name that is not UTF-8`);
  }
}

/** The content of SCNE: `{nodes, nFields}`, nodes with their placement in the world. */
export function readNodes(bytes) {
  const reader = new ByteReader(bytes, "SCNE");
  const nFields = reader.varint();
  check(nFields >= 1 && nFields <= MAX_SCENE_FIELDS, "limit-scene-fields", `scene of ${nFields} fields`);
  const nNodes = reader.varint();
  check(nNodes >= 1 && nNodes <= MAX_SCENE_NODES, "limit-scene-nodes", `scene of ${nNodes} nodes`);
  const nodes = [];
  const depths = [];
  for (let number = 0; number < nNodes; number++) {
    const parent = reader.varint() - 1;
    check(parent < number, "node-parent", `node ${number} has the parent ${parent}, expected an earlier node`);
    depths.push(parent < 0 ? 1 : depths[parent] + 1);
    check(depths[number] <= MAX_SCENE_DEPTH, "limit-scene-depth", `node ${number} is ${depths[number]} nodes deep`);
    const field = reader.varint() - 1;
    check(field < nFields, "node-field", `node ${number} places field ${field} of ${nFields}`);
    const placement = readPlacement(reader, number);
    const name = readName(reader, number);
    const world = parent < 0 ? placement : below(nodes[parent].world, placement);
    nodes.push({ name, parent: parent < 0 ? null : parent, field: field < 0 ? null : field, placement, world });
  }
  reader.end();
  return { nodes, nFields };
}

/**
 * Scenes of more and more fields from the chunks of one, whose codecs and order were checked: the first has none, the last all. decompress: of zstd;
 * openPart: bytes of a PART -> Field; readRest: metadata and warnings.
 */
export function* readScenes(chunks, missing, decompress, openPart, readRest) {
  const critical = chunks.filter(({ type }) => !isAncillary(type));
  const alone = critical.every(isOfScene);
  check(alone, "chunk-count", "a scene and chunks of a field in one file");
  const found = critical.filter(({ type }) => type === CHUNK.SCNE);
  const cut = found.length === 0 && missing.some((row) => row.type === CHUNK.SCNE);
  check(!cut, "truncated", "file is cut off before its SCNE");
  check(found.length === 1 && found[0].key === 0, "chunk-count", `${found.length} chunks SCNE, expected one of key 0`);
  const [{ codec, bytes: stored }] = found;
  const { nodes, nFields } = readNodes(codec === CODEC.zstd ? unzstd(stored, MAX_SCENE_BYTES, decompress) : stored);
  const fields = [];
  const soFar = () => new Scene(nodes, Array.from({ length: nFields }, (_, k) => fields[k] ?? null), { missing: missing.length, ...readRest() });
  for (const { key, bytes } of critical.slice(1)) {
    yield soFar();
    const number = fields.length;
    check(key === number && number < nFields, "part-order", `part ${key} after ${number} of ${nFields}`);
    fields.push(openPart(bytes, number));
  }
  const partsMissing = missing.some((row) => row.type === CHUNK.PART);
  check(fields.length > 0 || !partsMissing, "truncated", "no complete field of the scene");
  check(fields.length === nFields || partsMissing, "part-count", `${fields.length} fields, expected ${nFields}`);
  yield soFar();
}

export class Scene {
  constructor(nodes, fields, { missing, meta, warnings }) {
    /** Parents first: name, parent and field (numbers or null), placement in the parent and in the world. */
    this.nodes = nodes;
    /** Null where the file is cut off. */
    this.fields = fields;
    this.missing = missing;
    this.meta = meta;
    this.warnings = warnings;
    /** Nodes that place a field that is there. */
    this.parts = nodes.filter(({ field }) => field !== null && fields[field] !== null);
  }

  /** Signed distances (N) from the union of all parts at points (N x 3: x, y, z) of the world: spec/scene.md, section 4. */
  distance(points, { level } = {}) {
    check(points.length % 3 === 0, "limit", `${points.length} numbers are no points of 3 axes`);
    check(this.parts.every(({ field }) => this.fields[field].spec.kind !== "occupancy"), "limit", "occupancy is no distance");
    const out = new Float64Array(points.length / 3).fill(Infinity);
    for (const { field, world } of this.parts) {
      const found = distanceOf(this.fields[field], world, points, level);
      for (let i = 0; i < out.length; i++) out[i] = Math.min(out[i], found[i]);
    }
    return out;
  }
}

function distanceOf(field, { translation, rotation, scale }, points, level) {
  const { origin, cell, extent } = field.spec;
  const turn = turnOf(rotation);
  const n = points.length / 3;
  const coords = new Float64Array(points.length);
  const gaps = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const moved = [0, 1, 2].map((k) => points[3 * i + k] - translation[k]);
    let sum = 0;
    for (let axis = 0; axis < 3; axis++) {
      const k = 2 - axis; // files have axes z, y, x
      const local = (moved[0] * turn[0][k] + moved[1] * turn[1][k] + moved[2] * turn[2][k]) / scale;
      const size = extent[axis] * cell;
      const at = (local - origin[axis]) / size;
      const inside = Math.min(Math.max(at, 0), 1);
      coords[3 * i + axis] = inside;
      sum += ((at - inside) * size) ** 2;
    }
    gaps[i] = Math.sqrt(sum);
  }
  const values = field.sample(coords, { level: level === undefined ? undefined : Math.min(level, field.nLevels - 1) });
  const { nChannels } = field.spec;
  return gaps.map((gap, i) => {
    const value = values[i * nChannels];
    return Math.abs(scale) * (gap > 0 ? Math.sqrt(gap * gap + Math.max(value, 0) ** 2) : value);
  });
}
