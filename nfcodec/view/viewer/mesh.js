/** The triangles of a source, drawn as the field's surface is: by the same camera and in the same light. */
import { dropTarget, setUniforms, targetOf } from "./gl.js";
import { LIGHT } from "./surface-shader.js";

const NEAR = 0.02;
const FAR = 40;

const VERTEX = `#version 300 es
precision highp float;
in vec3 position, normal, paint;
uniform vec2 middle, frame; // of the pane, of the whole picture in fragments
uniform float grain, focal;
uniform vec3 eye, cameraRight, cameraUp, cameraForward;
out vec3 place, slope, base;
void main() {
  vec3 d = position - eye;
  float depth = dot(d, cameraForward);
  vec2 pixel = middle + focal * vec2(dot(d, cameraRight), dot(d, cameraUp)) / depth;
  vec2 screen = pixel / grain / frame * 2.0 - 1.0;
  gl_Position = vec4(screen * depth, (depth * (${FAR}.0 + ${NEAR}) - 2.0 * ${FAR}.0 * ${NEAR}) / (${FAR}.0 - ${NEAR}), depth);
  place = position;
  slope = normal;
  base = paint;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 place, slope, base;
uniform vec3 eye;
uniform vec4 slice;
uniform int shading;
${LIGHT}
out vec4 colour;
void main() {
  if (slice.xyz != vec3(0.0) && dot(slice.xyz, place) > slice.w) discard;
  vec3 n = normalize(slope);
  if (shading == 2) colour = vec4(0.5 + 0.5 * n, 1.0);
  else colour = vec4(lit(shading == 0 ? base : clay, n, normalize(eye - place)), 1.0);
}`;

/** The parts of a mesh's bytes: see nfcodec/page/source.py. */
export function meshOf({ nVertices, nFaces, colours }, bytes) {
  let at = bytes.byteOffset;
  const take = (Type, n) => {
    const made = new Type(bytes.buffer.slice(at, at + n * Type.BYTES_PER_ELEMENT));
    at += n * Type.BYTES_PER_ELEMENT;
    return made;
  };
  const positions = take(Float32Array, 3 * nVertices);
  const normals = take(Int8Array, 3 * nVertices);
  const paint = colours ? take(Uint8Array, 3 * nVertices) : null;
  return { positions, normals, paint, faces: take(Uint32Array, 3 * nFaces) };
}

export class MeshDrawing {
  constructor(gl, { positions, normals, paint, faces }) {
    this.gl = gl;
    this.count = faces.length;
    this.program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(`shader was not compiled: ${gl.getProgramInfoLog(this.program)}`);
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    const attribute = (name, data, type, normalized) => {
      const place = gl.getAttribLocation(this.program, name);
      if (place < 0 || !data) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, type, normalized, 0, 0);
    };
    attribute("position", positions, gl.FLOAT, false);
    attribute("normal", normals, gl.BYTE, true);
    attribute("paint", paint, gl.UNSIGNED_BYTE, true);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  /** Draws into a target whose scissor is set: once for each view, since strips of a picture would draw all triangles again. */
  draw(uniforms, target, scissor) {
    const { gl } = this;
    const { width, height } = target;
    const view = JSON.stringify([uniforms, width, height]);
    if (view !== this.view) {
      this.view = view;
      if (this.own) dropTarget(gl, this.own);
      this.own = targetOf(gl, width, height, gl.RGBA8, true);
      gl.disable(gl.SCISSOR_TEST);
      gl.viewport(0, 0, width, height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.useProgram(this.program);
      setUniforms(gl, this.program, { ...uniforms, frame: [width, height] });
      gl.enable(gl.DEPTH_TEST);
      gl.bindVertexArray(this.array);
      gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_INT, 0);
      gl.bindVertexArray(null);
      gl.disable(gl.DEPTH_TEST);
      gl.enable(gl.SCISSOR_TEST);
    }
    const [x, y, w, h] = scissor;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.own.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, target.frame);
    gl.blitFramebuffer(x, y, x + w, y + h, x, y, x + w, y + h, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  }
}
