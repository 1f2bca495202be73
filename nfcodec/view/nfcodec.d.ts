/** Types of nfcodec.js. Axes are in array order, slowest first: (y, x) for images, (z, y, x) for volumes and surfaces. */

export type Kind = "image" | "volume" | "sdf" | "tsdf" | "occupancy" | "udf";
export type Dtype = "u1" | "u2" | "u4" | "i1" | "i2" | "i4" | "f2" | "f4" | "f8" | "b1";
export type Role = "other" | "distance" | "trim" | "red" | "green" | "blue";

/** Samples in a dtype; f2 as the bits of its numbers, b1 as 0 and 1. */
export type Samples =
  | Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** A file that cannot be read. */
export class NfldError extends Error {
  /** The stable name of the rule that the file breaks: spec/format.md, section 12. */
  readonly code: string;
}

export interface Level {
  /** Vertices along each axis; null for encodings without a grid. */
  resolution: number[] | null;
  nFeatures: number;
  step?: number;
}

/** An encoding, whose features the network sees beside those of the others. */
export interface Part {
  encoding: string;
  grid: boolean;
  interpolation?: string;
  boundaries?: ("clamp" | "wrap" | "reflect")[];
  joining?: "sum" | "concatenation";
  log2Size?: number;
  levels: Level[];
  /** Features that the network sees of it. */
  width: number;
}

/** What FHDR says. */
export interface FieldSpec {
  kind: Kind;
  surface: boolean;
  nAxes: number;
  nChannels: number;
  dtype: Dtype;
  /** Samples of the source along each axis. */
  extent: number[];
  offsets: number[];
  scales: number[];
  knee?: number;
  truncation?: number;
  /** Of surfaces: the world position of the corner at coordinate 0, and the edge of the cells. */
  origin?: number[];
  cell?: number;
  roles?: Role[];
  parts: Part[];
  nLevels: number;
  nInputs: number;
  activation: string;
  nHidden: number;
  nNeurons: number;
}

/** Integers of a level, in C order, by the names of spec/README.md. */
export interface LevelIntegers {
  latents?: Int32Array[];
  table?: Int32Array;
  codebook?: Int32Array;
  indices?: Int32Array;
  widths?: Int32Array;
  positions?: Int32Array;
  sizes?: Int32Array;
  features?: Int32Array;
  reach?: Int32Array;
  faces?: Int32Array;
  /** factor0, factor1 ..: an array for each feature. */
  [factor: `factor${number}`]: Int32Array[];
}

export interface LatticeOptions {
  /** Factor on the source's extent; 1 if neither it nor shape is given. */
  scale?: number;
  /** Samples along each axis. */
  shape?: number[];
  /** [a, b] for each axis, within [0, 1]. */
  region?: [number, number][];
  /** Only levels up to this one count, coarse first. */
  level?: number;
}

export class Field {
  readonly spec: FieldSpec;
  readonly levels: LevelIntegers[];
  readonly nLevels: number;
  /** Whether decode() gives the source's samples within a guaranteed error: what RESI says, or null. */
  readonly residual: { step: number; bound: number } | null;
  /** Chunks that are cut off. */
  readonly missing: number;
  /** JSON of META, or null. */
  readonly meta: Record<string, unknown> | null;
  readonly warnings: string[];
  /** Values (N x C) at coords (N x d), in [0, 1]. */
  sample(coords: ArrayLike<number>, options?: { level?: number }): Float32Array;
  /**
   * Values of a lattice before the cast, C order, channels last; coarser than the source they are means, but for surfaces and
   * where `average` is false.
   */
  lattice(options?: LatticeOptions & { average?: boolean }): { shape: number[]; data: Float32Array };
  /** The same in the source's dtype; exact where a residual was added. */
  decode(options?: LatticeOptions): { shape: number[]; data: Samples; dtype: Dtype; exact: boolean };
}

/** A zstd decompressor for compressed metadata, in place of the one that comes along. */
export type Decompress = (frame: Uint8Array) => Uint8Array;

export interface OpenOptions {
  /** Accept a file that is cut off, from its first level on. */
  truncated?: boolean;
  decompress?: Decompress;
}

export interface RemoteOptions {
  fetch?: (url: string, init: { headers: Record<string, string> }) => Promise<Response>;
  decompress?: Decompress;
}

/** Where a node lies: local points are turned, scaled (mirrored below 0), moved. */
export interface Placement {
  /** x, y, z. */
  translation: number[];
  /** A unit quaternion x, y, z, w. */
  rotation: number[];
  scale: number;
}

export interface SceneNode {
  name: string;
  /** Number of an earlier node. */
  parent: number | null;
  /** Number of the field that it places. */
  field: number | null;
  placement: Placement;
  world: Placement;
}

/** Several fields in one file. */
export class Scene {
  readonly nodes: SceneNode[];
  /** Null where the file is cut off. */
  readonly fields: (Field | null)[];
  /** Nodes that place a field that is there. */
  readonly parts: SceneNode[];
  readonly missing: number;
  readonly meta: Record<string, unknown> | null;
  readonly warnings: string[];
  /** Signed distances (N) from the union of all parts at points (N x 3: x, y, z) of the world. */
  distance(points: ArrayLike<number>, options?: { level?: number }): Float64Array;
}

/** The field or the scene in the bytes of a file. Throws NfldError. */
export function openFile(data: ArrayBuffer | Uint8Array, options?: OpenOptions): Field | Scene;

/** What openFile gives, as it grows: fields of growing detail, or scenes of more and more fields, of which the first has none. Throws NfldError. */
export function stagesIn(data: ArrayBuffer | Uint8Array, options?: OpenOptions): Generator<Field | Scene, void, void>;

/** The field in the bytes of a file. Throws NfldError; an Error for a scene. */
export function openField(data: ArrayBuffer | Uint8Array, options?: OpenOptions): Field;

/** Fields of growing detail from the bytes of a file; the last one is whole. Throws NfldError. */
export function levelsIn(data: ArrayBuffer | Uint8Array, options?: OpenOptions): Generator<Field, void, void>;

/** Fields of growing detail from a URL, by HTTP ranges; the last one is whole. */
export function levelsOf(url: string, options?: RemoteOptions): AsyncGenerator<Field, void, void>;

/** The whole field of a URL; onLevel sees those of fewer levels before it. */
export function openUrl(url: string, options?: RemoteOptions & { onLevel?: (field: Field) => unknown }): Promise<Field>;
