/** A field that rays pass through: a lattice of it, made anew when it changes, and where there is a GPU programs that hold its shader. */
import { Bake } from "./bake.js";
import { bindTexture, fill, setUniforms } from "./gl.js";
import { FieldShader, withoutShader } from "./shader/field.js";

export class DrawnField {
  /**
   * view: a SpaceView. field: see decoding.js. kind: what it is to rays, `{packing, fragment(shader)}`: for Bake, and the text of the program that draws
   * it from the lattice alone (shader null) or with the field's shader.
   */
  constructor(view, field, kind) {
    const { gl } = view.page;
    Object.assign(this, { view, field, kind, gl, nWritten: 0 });
    if (gl && !view.software && !withoutShader(field.spec)) {
      this.shader = new FieldShader(field.spec, field.network);
      this.shader.allocate(gl);
    }
    // drawing into half floats is what the GPU's own lattice takes
    this.byGpu = Boolean(this.shader && gl.getExtension("EXT_color_buffer_float"));
    this.bake = new Bake(gl, field, this.byGpu ? this.shader : null, kind.packing, () => view.time);
    this.rough = this.exact = null;
  }

  get lattice() {
    return this.bake.ready;
  }

  /** Until it can be drawn. */
  async start() {
    if (this.gl) this.rough ??= await this.view.program(this.kind.fragment(null));
  }

  /** Until it can be drawn with its shader, if it has one. */
  async sharpen() {
    if (this.shader) this.exact ??= await this.view.program(this.kind.fragment(this.shader));
  }

  /** Takes levels of the field that have come; whether there were any. */
  write() {
    const { levels } = this.field;
    const first = this.nWritten;
    levels.slice(first).forEach((integers, i) => this.shader?.write(first + i, integers));
    this.nWritten = levels.length;
    return levels.length > first;
  }

  /** A lattice of `size` vertices along the longest axis; false where something newer came. */
  async make(size, level) {
    await this.start();
    return this.bake.make(size, Math.min(level, this.field.spec.nLevels - 1));
  }

  /** Makes the program for pixels of `grain` of the screen the one in use: `[program, the first texture unit that is free]`. */
  use(grain) {
    const program = (grain <= 2 && this.exact) || this.rough;
    this.gl.useProgram(program);
    return [program, program === this.exact ? this.shader.bind(program) : 0];
  }
}

/** Rays through a lattice `{textures}` by the program in use, which holds RAYS. */
export function drawLattice(gl, [program, unit], { textures }, uniforms, { width, height }) {
  textures.forEach((texture, i) => bindTexture(gl, program, ["first", "second"][i], texture, unit + i, gl.TEXTURE_3D));
  setUniforms(gl, program, uniforms);
  fill(gl, [0, 0, width, height]);
}
