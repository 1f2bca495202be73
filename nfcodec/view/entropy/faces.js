/** Faces of a mesh as a walk over their edges: spec/format.md, section 4.9. */
import { check } from "../bytes.js";
import { readIndices, readTable } from "./streams.js";

const [NONE, NEW, AT_FIRST, AT_SECOND, FAR, N_SYMBOLS] = [0, 1, 2, 3, 4, 5];

/** Corners of nFaces faces, three each; nFaces is not 0. */
export function readFaces(bytes, nVertices, nFaces) {
  const nSymbols = bytes.varint();
  const nFar = bytes.varint();
  const isBounded = nSymbols <= 3 * nFaces && nFar <= 3 * nFaces;
  check(isBounded, "limit-mesh", `${nSymbols} edges, ${nFar} corners for ${nFaces} faces`);
  const symbols = readIndices(bytes, nSymbols, N_SYMBOLS);
  const far = readTable(bytes, nFar, 1);
  const faces = new Int32Array(3 * nFaces);
  const edges = new Map(); // by name: {ends, open}
  const waiting = [];
  const around = [];
  let [n, seen, symbolsRead, farRead, waited] = [0, 0, 0, 0, 0];

  const back = () => {
    const steps = farRead < nFar ? far[farRead++] : -1;
    if (steps === 0) return seen++;
    return steps > 0 && steps <= seen ? seen - steps : -1;
  };
  const across = (vertex) => {
    const own = around[vertex];
    while (own.at < own.edges.length && !own.edges[own.at].open) own.at++;
    if (own.at === own.edges.length) return -1;
    const [p, q] = own.edges[own.at].ends;
    return p + q - vertex;
  };
  const next = () => {
    while (waited < waiting.length) {
      const edge = waiting[waited++];
      if (edge.open) {
        edge.open = false;
        return edge.ends;
      }
    }
    return null;
  };
  const add = (corners) => {
    faces.set(corners, 3 * n++);
    corners.forEach((p, k) => {
      const q = corners[(k + 1) % 3];
      const ends = p < q ? [p, q] : [q, p];
      const name = ends[0] * nVertices + ends[1];
      const known = edges.get(name);
      if (known) {
        known.open = false;
        return;
      }
      const edge = { ends, open: true };
      edges.set(name, edge);
      waiting.push(edge);
      for (const end of ends) (around[end] ??= { edges: [], at: 0 }).edges.push(edge);
    });
  };

  while (n < nFaces) {
    const ends = next();
    let corners;
    if (ends === null) corners = [back(), back(), back()];
    else {
      const symbol = symbolsRead < nSymbols ? symbols[symbolsRead++] : N_SYMBOLS;
      if (symbol === NONE) continue;
      let third = -1;
      if (symbol === NEW) third = seen++;
      else if (symbol === AT_FIRST || symbol === AT_SECOND) third = across(ends[symbol - AT_FIRST]);
      else if (symbol === FAR) third = back();
      corners = [...ends, third];
    }
    const sound = Math.min(...corners) >= 0 && seen <= nVertices && new Set(corners).size === 3;
    check(sound, "mesh-face", `face ${n} with the corners ${corners.join(", ")} of ${nVertices} vertices`);
    add(corners);
  }
  check(symbolsRead === nSymbols && farRead === nFar, "mesh-face", "more corners than faces have");
  return faces;
}
