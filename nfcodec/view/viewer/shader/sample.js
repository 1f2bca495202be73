/** Values of a field at points by its shader, as its Field gives them by numbers. */
import { bindTexture, fill, programOf, setUniforms, targetOf, textureOf } from "../gl.js";
import { FieldShader } from "./field.js";
import { quads } from "./network.js";

const WIDTH = 256;

const fragment = (shader, q) => `precision highp float;
precision highp int;
${shader.source}
uniform highp sampler2D points;
uniform int level;
out vec4 values;
void main() {
  vec4 y[${quads(shader.spec.nChannels)}];
  field(vec4(0.0), texelFetch(points, ivec2(gl_FragCoord.xy), 0), level, y);
  values = y[${q}];
}`;

/**
 * A promise of values (N x C, Float32Array) at coords (N x d) of levels up to `level`, by WebGL 2 with EXT_color_buffer_float. field: a Field of
 * an encoding that has a shader (`withoutShader` of field.js).
 */
export async function sampleOnGpu(gl, field, coords, level = field.nLevels - 1) {
  if (!gl.getExtension("EXT_color_buffer_float")) throw new Error("this GPU does not draw float32");
  const { nAxes, nChannels } = field.spec;
  const shader = new FieldShader(field.spec, field.network);
  shader.allocate(gl);
  field.levels.forEach((integers, index) => shader.write(index, integers));
  const n = coords.length / nAxes;
  const height = Math.ceil(n / WIDTH);
  const points = new Float32Array(4 * WIDTH * height);
  for (let i = 0; i < n; i++) for (let k = 0; k < nAxes; k++) points[4 * i + k] = coords[i * nAxes + k];
  const texture = textureOf(gl, gl.RGBA32F, WIDTH, height);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDTH, height, gl.RGBA, gl.FLOAT, points);
  const target = targetOf(gl, WIDTH, height, gl.RGBA32F);
  const out = new Float32Array(n * nChannels);
  const read = new Float32Array(4 * WIDTH * height);
  for (let q = 0; q < quads(nChannels); q++) {
    const program = await programOf(gl, fragment(shader, q));
    gl.useProgram(program);
    bindTexture(gl, program, "points", texture, shader.bind(program));
    setUniforms(gl, program, { level: { int: level } });
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    fill(gl, [0, 0, WIDTH, height]);
    gl.readPixels(0, 0, WIDTH, height, gl.RGBA, gl.FLOAT, read);
    for (let i = 0; i < n; i++) for (let c = 4 * q; c < Math.min(4 * q + 4, nChannels); c++) out[i * nChannels + c] = read[4 * i + c - 4 * q];
    gl.deleteProgram(program);
  }
  shader.release();
  gl.deleteTexture(texture);
  gl.deleteTexture(target.texture);
  gl.deleteFramebuffer(target.frame);
  return out;
}
