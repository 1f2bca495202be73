/** The little of WebGL 2 that the views share: programs that fill a rectangle, and waiting for what was drawn. */

const VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

/** A context that can hold fields, or null. */
export function contextOf(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false, preserveDrawingBuffer: true, premultipliedAlpha: true });
  return gl && !gl.isContextLost() ? gl : null;
}

/** Whether the CPU plays the GPU: WebGL is then slower than the decoder's own code where that shares work along rows. */
export function isSoftware(gl) {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

/** A program from the text of a fragment shader, without blocking the page where the browser compiles beside it. */
export async function programOf(gl, fragment) {
  const program = gl.createProgram();
  const shaders = [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, `#version 300 es\n${fragment}`]].map(([type, source]) => {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    return shader;
  });
  gl.linkProgram(program);
  const parallel = gl.getExtension("KHR_parallel_shader_compile");
  while (parallel && !gl.isContextLost() && !gl.getProgramParameter(program, parallel.COMPLETION_STATUS_KHR)) await pause(5);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const logs = [...shaders.map((shader) => gl.getShaderInfoLog(shader)), gl.getProgramInfoLog(program)];
    throw new Error(`shader was not compiled: ${logs.filter(Boolean).join(" ").trim().split("\n")[0]}`);
  }
  return program;
}

const places = new WeakMap();

/** Where a uniform is in a program, null if the shader dropped it; asked once, since asking takes long. */
function placeOf(gl, program, name) {
  if (!places.has(program)) places.set(program, new Map());
  const known = places.get(program);
  if (!known.has(name)) known.set(name, gl.getUniformLocation(program, name));
  return known.get(name);
}

/** Sets uniforms by name: a number, an array of 2 to 4 or 9, or an integer as `{int}`; those that the shader dropped are passed over. */
export function setUniforms(gl, program, values) {
  for (const [name, value] of Object.entries(values)) {
    const place = placeOf(gl, program, name);
    if (place === null) continue;
    if (typeof value === "number") gl.uniform1f(place, value);
    else if (value.int !== undefined) gl.uniform1i(place, value.int);
    else if (value.length === 9) gl.uniformMatrix3fv(place, false, value);
    else gl[`uniform${value.length}fv`](place, value);
  }
}

export function bindTexture(gl, program, name, texture, unit, target = gl.TEXTURE_2D) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(target, texture);
  gl.uniform1i(placeOf(gl, program, name), unit);
}

/** A texture of this format and size, with its filter for both ways and edges that go on. */
export function textureOf(gl, format, width, height, filter = gl.NEAREST) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
  smooth(gl, gl.TEXTURE_2D, filter);
  return texture;
}

export function smooth(gl, target, filter) {
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, name, filter);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(target, name, gl.CLAMP_TO_EDGE);
}

/** A picture to draw into: `{texture, frame, width, height}`, and `depth` where it has one. */
export function targetOf(gl, width, height, format = gl.RGBA8, deep = false) {
  const texture = textureOf(gl, format, width, height, gl.LINEAR);
  const frame = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  if (!deep) return { texture, frame, width, height };
  const depth = gl.createRenderbuffer();
  gl.bindRenderbuffer(gl.RENDERBUFFER, depth);
  gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
  gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, depth);
  return { texture, frame, width, height, depth };
}

export function dropTarget(gl, { texture, frame, depth }) {
  gl.deleteTexture(texture);
  if (depth) gl.deleteRenderbuffer(depth);
  gl.deleteFramebuffer(frame);
}

/** Fills the rectangle [x, y, width, height] of the bound picture, counted from below, as far as the scissor lets it. */
export function fill(gl, [x, y, width, height]) {
  gl.viewport(x, y, width, height);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until the GPU has done what it was told so far. */
export async function finished(gl) {
  const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  while (sync && !gl.isContextLost() && gl.clientWaitSync(sync, 0, 0) === gl.TIMEOUT_EXPIRED) await pause(0);
  gl.deleteSync(sync);
}
