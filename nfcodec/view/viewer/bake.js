/**
 * A field on a lattice, as textures of three axes that rays pass through quickly. It is made in slabs, and no further where something newer
 * is asked for. The GPU makes it by the field's shader, or the decoder does.
 */
import { fill, finished, programOf, setUniforms, smooth } from "./gl.js";
import { Pace } from "./pace.js";
import { quads } from "./shader/network.js";
import { placeOf } from "./shader/text.js";

const SLAB = 1 << 15; // samples that are asked for at once
const TURN_MS = 40;
const SMALL = 32; // vertices along the longest axis that the decoder has before a GPU has compiled its program

const fragment = (shader, packing) => `precision highp float;
precision highp int;
${shader.source}
${packing.head}
uniform vec3 shape; // along x, y, z
uniform float layer, time;
uniform int level;
layout(location = 0) out vec4 first;
${packing.colours ? "layout(location = 1) out vec4 second;" : ""}
void main() {
  vec3 q = vec3(gl_FragCoord.xy, layer) / shape;
  vec4 y[${quads(shader.spec.nChannels)}];
  field(vec4(0.0), ${placeOf(shader.spec, "q")}, level, y);
  ${packing.source}
}`;

export class Bake {
  /**
   * field: see decoding.js. shader: a FieldShader, or null for the decoder. packing: `{head, source, uniforms, pack, colours}`: GLSL that makes `first`
   * (two numbers) and `second` (a colour) of y, with its head and uniforms; the same as a function (values, i, first, second, j); whether there is a
   * second. time(): the place along the first of four axes.
   */
  constructor(gl, field, shader, packing, time) {
    Object.assign(this, { gl, field, shader, packing, time });
    /** What is there: `{shape, first, second}`, arrays and where there is WebGL textures; shape along z, y, x. */
    this.ready = null;
    this.turn = 0;
    this.pace = new Pace(0.01, TURN_MS);
  }

  /** The lattice of `size` vertices along the longest axis, never more than the source has, as `ready`; false where something newer came. */
  async make(size, level) {
    const turn = ++this.turn;
    const extent = this.field.spec.extent.slice(-3);
    const shape = extent.map((n) => Math.max(2, Math.min(n, Math.round((n * size) / Math.max(...extent)))));
    const made = await (this.shader && size > SMALL ? this.#byGpu(shape, level, turn) : this.#byDecoder(shape, level, turn));
    if (!made) return false;
    this.#drop(this.ready);
    this.ready = made;
    return true;
  }

  #textures([depth, height, width]) {
    const { gl, packing } = this;
    const formats = packing.colours ? [gl.RG16F, gl.RGBA8] : [gl.RG16F];
    return formats.map((format) => {
      const texture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_3D, texture);
      gl.texStorage3D(gl.TEXTURE_3D, 1, format, width, height, depth);
      smooth(gl, gl.TEXTURE_3D, gl.LINEAR);
      return texture;
    });
  }

  #drop(made) {
    for (const texture of made?.textures ?? []) this.gl.deleteTexture(texture);
  }

  async #byDecoder(shape, level, turn) {
    const { gl, packing, field } = this;
    const [depth, height, width] = shape;
    const made = { shape, textures: gl ? this.#textures(shape) : [] };
    if (!gl) Object.assign(made, { first: new Float32Array(2 * depth * height * width), second: packing.colours ? new Uint8Array(4 * depth * height * width) : null });
    const layers = Math.max(1, Math.floor(SLAB / (height * width)));
    const { nChannels, nAxes, extent } = field.spec;
    const time = this.time();
    // a lattice of one sample has it in the middle of its region
    const around = Math.min(time, 1 - time, 0.5 / extent[0]);
    const [before, one] = nAxes === 4 ? [[[time - around, time + around]], [1]] : [[], []];
    for (let z = 0; z < depth; z += layers) {
      const n = Math.min(layers, depth - z);
      const region = [...before, [z / depth, (z + n) / depth], [0, 1], [0, 1]];
      const { data } = await field.ask("lattice", { region, shape: [...one, n, height, width], level, average: false });
      if (turn !== this.turn) {
        this.#drop(made);
        return null;
      }
      const count = n * height * width;
      const at = gl ? 0 : z * height * width;
      const first = gl ? new Float32Array(2 * count) : made.first;
      const second = gl ? new Uint8Array(4 * count) : made.second;
      for (let i = 0; i < count; i++) packing.pack(data, i * nChannels, first, second, at + i);
      if (gl) this.#upload(made.textures, z, n, shape, first, second);
    }
    return made;
  }

  #upload(textures, z, n, [, height, width], first, second) {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_3D, textures[0]);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, z, width, height, n, gl.RG, gl.FLOAT, first);
    if (!textures[1]) return;
    gl.bindTexture(gl.TEXTURE_3D, textures[1]);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, z, width, height, n, gl.RGBA, gl.UNSIGNED_BYTE, second);
  }

  async #byGpu(shape, level, turn) {
    const { gl, shader, packing } = this;
    this.program ??= await programOf(gl, fragment(shader, packing));
    const [depth, height, width] = shape;
    const textures = this.#textures(shape);
    const frame = gl.createFramebuffer();
    for (let at = 0; at < depth * height && turn === this.turn; ) {
      // rows of a layer, or whole layers
      const rows = Math.max(1, Math.round(this.pace.items / width));
      const last = Math.min(at + rows, depth * height);
      await this.pace.turn((last - at) * width, () => {
        gl.useProgram(this.program);
        shader.bind(this.program);
        gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
        gl.enable(gl.SCISSOR_TEST);
        for (; at < last; ) {
          const z = Math.floor(at / height);
          const n = Math.min(last, (z + 1) * height) - at;
          textures.forEach((texture, i) => gl.framebufferTextureLayer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, texture, 0, z));
          gl.drawBuffers(textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
          gl.scissor(0, at - z * height, width, n);
          setUniforms(gl, this.program, { shape: [width, height, depth], layer: z + 0.5, level: { int: level }, time: this.time(), ...packing.uniforms() });
          fill(gl, [0, 0, width, height]);
          at += n;
        }
        gl.disable(gl.SCISSOR_TEST);
        return finished(gl);
      });
    }
    gl.deleteFramebuffer(frame);
    if (turn === this.turn) return { shape, textures };
    this.#drop({ textures });
    return null;
  }
}
