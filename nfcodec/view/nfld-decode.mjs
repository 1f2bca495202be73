#!/usr/bin/env node
/**
 * A decoder under test, as spec/conformance/README.md asks for it: requests on standard input, one JSON object a line, answers
 * on standard output; or the answer for one file that is named on the command line.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { NfldError, Scene, openFile } from "./nfcodec.js";

const sha256 = (...arrays) => {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest("hex");
};

/** Integers of a level by name: SHA-256 of int32, C order. */
const hashes = (level) =>
  Object.fromEntries(Object.entries(level).map(([name, array]) => [name, sha256(...(Array.isArray(array) ? array : [array]))]));

function inRows(values, width) {
  return Array.from({ length: values.length / width }, (_, i) => Array.from(values.subarray(i * width, (i + 1) * width)));
}

function answerOfScene(scene, { points, level }) {
  const nodes = scene.nodes.map(({ name, parent, field }) => ({ name, parent, field }));
  const worlds = scene.nodes.map(({ world }) => [...world.translation, ...world.rotation, world.scale]);
  const fields = scene.fields.map((field) => field && { levels: field.levels.map(hashes) });
  const out = { nodes, worlds, fields, complete: scene.missing === 0 };
  if (points) out.distances = inRows(scene.distance(points.flat(), { level }), 1);
  if (scene.meta) out.meta = scene.meta;
  return out;
}

function answer({ file, truncated = false, ...request }) {
  try {
    const found = openFile(readFileSync(file), { truncated });
    return found instanceof Scene ? answerOfScene(found, request) : answerOfField(found, request);
  } catch (error) {
    if (error instanceof NfldError) return { error: error.code, message: error.message };
    return { failure: String(error.stack ?? error) };
  }
}

function answerOfField(field, { coords, level, shape, decode = false }) {
  const { nChannels } = field.spec;
  const out = { levels: field.levels.map(hashes), complete: field.missing === 0 };
  if (field.residual) {
    out.residual = field.exact().planes.map((planes) => sha256(...planes));
    out.decoded = sha256(field.decode().data);
  } else if (decode) out.decoded = sha256(field.decode().data);
  if (coords) out.values = inRows(field.sample(Float64Array.from(coords.flat()), { level }), nChannels);
  if (shape) out.lattice = inRows(field.lattice({ shape, level }).data, nChannels);
  if (field.meta) out.meta = field.meta;
  return out;
}

if (process.argv.length > 2) {
  const result = answer({ file: process.argv[2] });
  console.log(JSON.stringify(result));
  process.exitCode = result.levels || result.nodes ? 0 : 1;
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) console.log(JSON.stringify(answer(JSON.parse(line))));
  }
}
