/** Ids and limits: spec/registry.md and spec/format.md, section 12. */

export const KINDS = ["image", "volume", "sdf", "tsdf", "occupancy", "udf"];
export const SURFACES = new Set(["sdf", "tsdf", "occupancy", "udf"]);
export const ROLES = ["other", "distance", "trim", "red", "green", "blue"];
export const DTYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8", "b1"];
export const INTERPOLATIONS = ["linear", "cubic", "mitchell", "nearest", "smoothstep"];
export const BOUNDARIES = ["clamp", "wrap", "reflect"];
export const JOININGS = ["sum", "concatenation"];
/** Fewest and most axes of encodings that are not for all. */
export const AXES = {
  triplane: [3, 3], kplanes: [3, 4], cp: [2, 4], vm: [2, 4], points: [1, 3], mesh: [3, 3], "spherical-harmonics": [2, 3],
};
export const ENCODINGS = {
  0: "dense", 1: "hash", 2: "codebook", 3: "triplane", 4: "kplanes", 5: "cp", 6: "vm", 7: "points", 8: "mesh",
  16: "identity", 17: "frequency", 18: "random-fourier", 19: "one-blob", 20: "super-gaussian", 21: "spherical-harmonics",
};
/** Features at some vertices of a lattice, which is not interpolated. */
export const SCATTERED = new Set(["points", "mesh"]);
export const ACTIVATIONS = [
  "identity", "relu", "prelu", "sine", "tanh", "sigmoid", "silu", "softplus", "gaussian", "quadratic", "multi-quadratic",
  "laplacian", "super-gaussian", "expsin", "gabor", "finer",
];
export const FLAGS = {
  clip: 1, placed: 2, truncated: 4, knee: 8, oneRange: 16, halving: 32, sharedFeatures: 64, fullRange: 128,
};

export const MAX_DIMS = 4;
export const MAX_CHANNELS = 16;
export const MAX_PARTS = 4;
export const MAX_LEVELS = 32;
export const MAX_FEATURES = 16;
export const MAX_RESOLUTION = 2 ** 22;
export const MAX_GRID_INTEGERS = 2 ** 27;
export const MAX_LOG2_HASHMAP_SIZE = 24;
export const MAX_LOG2_CODEBOOK_SIZE = 12;
export const MAX_LOG2_POINTS = 16;
export const MAX_LOG2_VERTICES = 14;
export const MAX_REACH = 2 ** 20;
export const MAX_NEIGHBOURS = 256;
export const MAX_HIDDEN_LAYERS = 15;
export const MAX_NEURONS = 1024;
export const MAX_EXTENT = 2 ** 24;
export const MAX_SCENE_FIELDS = 1000;
export const MAX_SCENE_NODES = 2 ** 14;
export const MAX_SCENE_BYTES = 2 ** 23;
export const MAX_SCENE_DEPTH = 32;
export const MAX_SCENE_SCALE = 1e9;
export const MAX_SCENE_TRANSLATION = 1e18;
export const MAX_NAME_BYTES = 255;
export const MAX_OUTPUT_VALUES = 2 ** 28;

/** Least and greatest of integer dtypes; of others null. */
export function dtypeRange(dtype) {
  if (dtype === "b1") return [0, 1];
  if (dtype[0] === "f") return null;
  const bits = 8 * Number(dtype[1]);
  return dtype[0] === "u" ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}
