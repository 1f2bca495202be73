/**
 * Reads .nfld files: neural fields of images, volumes and surfaces. Plain JavaScript for browsers and Node, written from the
 * specification in spec/. README.md shows how to embed it.
 */
import { check } from "./bytes.js";
import { CHUNK, isAncillary, readContainer } from "./container.js";
import { Decoder, checkTable } from "./decoder.js";
import { Field } from "./field.js";
import { readMeta } from "./meta.js";
import { MAX_GRID_INTEGERS } from "./registry.js";
import { isOfScene, readScenes } from "./scene.js";
import { decompress as zstd } from "./vendor/fzstd.js";

export { NfldError } from "./bytes.js";
export { Field } from "./field.js";
export { openUrl, levelsOf } from "./remote.js";
export { Scene } from "./scene.js";

const asBytes = (data) => (data instanceof Uint8Array ? data : new Uint8Array(data));
const last = (fields) => [...fields].at(-1);

/**
 * Fields of growing detail from the bytes of a file (ArrayBuffer or Uint8Array), the last one whole. Options: `truncated` accepts a file
 * that is cut off, from its first level on; `decompress` is another zstd decompressor for metadata and nodes than the one that comes along.
 * Throws NfldError, whose `code` names the rule that the file breaks, and an Error for a scene of several fields.
 */
export function* levelsIn(data, options) {
  const file = readFile(data, options);
  if (hasScene(file)) throw new Error("a scene of several fields: open it with openFile");
  yield* levelsOfFile(file);
}

/** The whole field from the bytes of a file: what levelsIn gives last. */
export function openField(data, options) {
  return last(levelsIn(data, options));
}

/**
 * What the bytes of a file hold: a Field, or a Scene of several. Options and errors as of levelsIn; of a scene that is cut off one
 * field at least must be whole.
 */
export function openFile(data, options) {
  return last(stagesIn(data, options));
}

/** What openFile gives, as it grows: Fields of growing detail as by levelsIn, or Scenes of more and more fields, of which the first has none. */
export function* stagesIn(data, options) {
  const file = readFile(data, options);
  if (!hasScene(file)) {
    yield* levelsOfFile(file);
    return;
  }
  checkTable(file.chunks.filter(({ type }) => !isAncillary(type)));
  const budget = { left: MAX_GRID_INTEGERS };
  let rest;
  const readRest = () => (rest ??= { meta: metaOf(file), warnings: file.warnings });
  yield* readScenes(file.chunks, file.missing, file.decompress, (bytes, number) => partOf(bytes, number, file.decompress, budget), readRest);
}

/** Checked chunks, and what it takes to go on. */
function readFile(data, { truncated = false, decompress = zstd } = {}) {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  return { ...readContainer(asBytes(data), { truncated, warn }), decompress, warnings, warn };
}

const hasScene = ({ chunks, missing }) => [...chunks, ...missing].some(isOfScene);

function metaOf({ chunks, decompress, warn }) {
  const metadata = chunks.find((chunk) => chunk.type === CHUNK.META && chunk.key === 0);
  return metadata ? readMeta(metadata, decompress, warn) : null;
}

/** budget: `{left}`, integers that levels may have. */
function* levelsOfFile(file, budget) {
  const { chunks, missing, warnings } = file;
  const decoder = new Decoder(chunks, missing, budget);
  const meta = metaOf(file);
  const soFar = () => new Field(decoder, { missing: missing.length, meta, warnings });
  for (const chunk of chunks.filter(({ type }) => !isAncillary(type))) {
    decoder.add(chunk);
    if (chunk.type === CHUNK.GRID && decoder.levels.length < decoder.spec.nLevels) yield soFar();
  }
  decoder.checkLevels();
  yield soFar();
}

/** The field of a scene's part, which is a whole file. */
function partOf(bytes, number, decompress, budget) {
  const file = readFile(bytes, { decompress });
  checkTable(file.chunks.filter(({ type }) => !isAncillary(type)));
  check(!hasScene(file), "part-nested", `part ${number} is a scene`);
  const field = last(levelsOfFile(file, budget));
  check(field.spec.surface, "part-kind", `part ${number} is of the kind ${field.spec.kind}`);
  return field;
}
