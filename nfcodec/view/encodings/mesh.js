/** Features on the faces of a mesh: spec/format.md, section 4.9. */
import { check } from "../bytes.js";
import { readFaces } from "../entropy/faces.js";
import { readTable } from "../entropy/streams.js";
import { mostPoints } from "./points.js";

const FACES_A_VERTEX = 4;
const MOST = 2 ** 24; // of a number of a vertex

/** `{positions, faces, features}` of a level. */
export function readMesh(bytes, part, level) {
  const { resolution, nFeatures } = level;
  const most = mostPoints(part, level);
  const n = bytes.varint();
  const nFaces = bytes.varint();
  check(n <= most && nFaces <= FACES_A_VERTEX * most, "limit-mesh", `${n} vertices, ${nFaces} faces of a level`);
  const width = 3 + nFeatures;
  const faces = nFaces ? readFaces(bytes, n, nFaces) : new Int32Array(0);
  const rows = Float64Array.from(readTable(bytes, n, width));
  bytes.end();
  addExpected(rows, width, below(faces, n));
  const positions = new Int32Array(n * 3);
  const features = new Int32Array(n * nFeatures);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < 3; k++) {
      const place = rows[i * width + k];
      check(place >= 0 && place < resolution[k], "mesh-place", `vertex at ${place} of ${resolution[k]}`);
      positions[i * 3 + k] = place;
    }
    for (let f = 0; f < nFeatures; f++) features[i * nFeatures + f] = rows[i * width + 3 + f];
  }
  for (let t = 0; t < nFaces; t++) {
    check(!isFlat(positions, ...faces.subarray(3 * t, 3 * t + 3)), "mesh-face", `face ${t} has no area`);
  }
  return { positions, faces, features };
}

/** For each vertex those with lower numbers that an edge joins to it. */
function below(faces, n) {
  const found = Array.from({ length: n }, () => new Set());
  for (let t = 0; t < faces.length; t += 3) {
    for (let k = 0; k < 3; k++) {
      const [p, q] = [faces[t + k], faces[t + ((k + 1) % 3)]];
      found[Math.max(p, q)].add(Math.min(p, q));
    }
  }
  return found;
}

/** Adds to each row what is likely there: the rounded mean of the rows below it, or else the row before. */
function addExpected(rows, width, below) {
  below.forEach((vertices, v) => {
    for (let k = 0; k < width; k++) {
      let expected = v ? rows[(v - 1) * width + k] : 0;
      if (vertices.size) {
        let sum = 0;
        for (const u of vertices) sum += rows[u * width + k];
        expected = Math.floor((2 * sum + vertices.size) / (2 * vertices.size));
      }
      rows[v * width + k] += expected;
    }
    const row = rows.subarray(v * width, (v + 1) * width);
    check(row.every((x) => Math.abs(x) <= MOST), "mesh-value", `${row.join(", ")} at vertex ${v}`);
  });
}

/** Whether a face has no area: its integers are below 2^22, so that all of this is exact. */
function isFlat(positions, a, b, c) {
  const [p, q] = [b, c].map((corner) => [0, 1, 2].map((k) => positions[3 * corner + k] - positions[3 * a + k]));
  return [0, 1, 2].every((k) => p[(k + 1) % 3] * q[(k + 2) % 3] === p[(k + 2) % 3] * q[(k + 1) % 3]);
}

const dot = (x, y) => x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
const minus = (x, y) => [x[0] - y[0], x[1] - y[1], x[2] - y[2]];

/** Barycentric weights of the point of a triangle that is closest to u. */
function closestWeights(u, [a, b, c]) {
  const [ab, ac] = [minus(b, a), minus(c, a)];
  const [d1, d2, d3, d4, d5, d6] = [a, b, c].flatMap((corner) => [dot(ab, minus(u, corner)), dot(ac, minus(u, corner))]);
  const [va, vb, vc] = [d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2];
  if (d1 <= 0 && d2 <= 0) return [1, 0, 0];
  if (d3 >= 0 && d4 <= d3) return [0, 1, 0];
  if (d6 >= 0 && d5 <= d6) return [0, 0, 1];
  if (vc <= 0 && d1 >= 0 && d3 <= 0) return [1 - d1 / (d1 - d3), d1 / (d1 - d3), 0];
  if (vb <= 0 && d2 >= 0 && d6 <= 0) return [1 - d2 / (d2 - d6), 0, d2 / (d2 - d6)];
  if (va <= 0 && d4 >= d3 && d5 >= d6) {
    const t = (d4 - d3) / (d4 - d3 + (d5 - d6));
    return [0, 1 - t, t];
  }
  const sum = va + vb + vc;
  return [va / sum, vb / sum, vc / sum];
}

export class MeshLevel {
  constructor(part, level, integers) {
    this.level = level;
    this.integers = integers;
    this.features = Float32Array.from(integers.features, (v) => v * level.step);
    const { positions, faces } = integers;
    this.triangles = Array.from({ length: faces.length / 3 }, (_, t) => {
      const corners = [0, 1, 2].map((k) => Array.from(positions.subarray(3 * faces[3 * t + k], 3 * faces[3 * t + k] + 3)));
      const ends = (pick) => [0, 1, 2].map((axis) => pick(...corners.map((corner) => corner[axis])));
      return { corners, low: ends(Math.min), high: ends(Math.max) };
    });
  }

  /** The closest face to u and the weights of its corners there; null without faces. */
  closest(u) {
    let best = null;
    let least = Infinity;
    this.triangles.forEach(({ corners, low, high }, face) => {
      let gap = 0;
      for (let k = 0; k < 3; k++) gap += Math.max(low[k] - u[k], u[k] - high[k], 0) ** 2;
      if (gap > least) return;
      const weights = closestWeights(u, corners);
      let square = 0;
      for (let k = 0; k < 3; k++) {
        square += (u[k] - (weights[0] * corners[0][k] + weights[1] * corners[1][k] + weights[2] * corners[2][k])) ** 2;
      }
      if (square < least) {
        least = square;
        best = { face, weights };
      }
    });
    return best;
  }

  /** The function (x, out, at) that writes the features at x, in 0..1. */
  pointFeatures() {
    const { features } = this;
    const { resolution, nFeatures } = this.level;
    const { faces } = this.integers;
    const u = new Float64Array(3);
    return (x, out, at) => {
      for (let k = 0; k < 3; k++) u[k] = x[k] * resolution[k] - 0.5;
      out.fill(0, at, at + nFeatures);
      const found = this.closest(u);
      if (!found) return;
      found.weights.forEach((weight, k) => {
        const vertex = faces[3 * found.face + k];
        for (let f = 0; f < nFeatures; f++) out[at + f] += weight * features[vertex * nFeatures + f];
      });
    };
  }
}
