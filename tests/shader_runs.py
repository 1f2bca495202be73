"""Shaders run here: GLSL by OpenGL without a window, WGSL by WebGPU; in software too."""

import contextlib

import numpy as np

with contextlib.suppress(ImportError):
    import triton  # noqa: F401 - after the LLVM of a driver in software, that of Triton ends the process

from nfcodec import codegen
from nfcodec.codegen.glsl import texture_size

_VERTEX = "#version 300 es\nin vec2 corner; void main() { gl_Position = vec4(corner, 0.0, 1.0); }"
_FRAGMENT = """
uniform highp sampler2D places;
out vec4 found;
void main() { vec4 q = texelFetch(places, ivec2(int(gl_FragCoord.x), 0), 0); found = nfld(%s); }
"""
_COMPUTE = """
@group(1) @binding(0) var<storage, read> places: array<vec4<f32>>;
@group(1) @binding(1) var<storage, read_write> found: array<vec4<f32>>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let q = places[id.x];
    found[id.x] = nfld(%s);
}
"""
_VECTORS = {1: "q.x", 2: "q.xy", 3: "q.xyz", 4: "q"}


def places_of(coords):
    """Coordinates (N, d) as (N, 4) of x, y, z, t."""
    places = np.zeros((len(coords), 4), np.float32)
    places[:, : coords.shape[1]] = coords[:, ::-1]
    return places


def fragment_shader(field, text=None):
    """The whole of one that evaluates a field."""
    text = codegen.generate(field, "glsl").text.decode() if text is None else text
    return "#version 300 es\n" + text + _FRAGMENT % _VECTORS[field.spec.n_dims]


def run_glsl(context, field, coords):
    """(N, 4) float32 of a moderngl context at coords (N, d)."""
    import moderngl

    code = codegen.generate(field, "glsl")
    context.__enter__()  # current again, whatever else draws here
    program = context.program(_VERTEX, fragment_shader(field, code.text.decode()))
    places = context.texture((len(coords), 1), 4, places_of(coords).tobytes(), dtype="f4")
    places.use(0)
    if "places" in program:  # it is left out of a program that does not depend on it
        program["places"] = 0
    if code.data:
        data = context.texture(texture_size(len(code.data)), 1, code.data, dtype="i1", alignment=1)
        data.filter = moderngl.NEAREST, moderngl.NEAREST
        data.use(1)
        program["nfld_data"] = 1
    target = context.framebuffer([context.texture((len(coords), 1), 4, dtype="f4")])
    target.use()
    corners = context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32).tobytes())
    context.vertex_array(program, corners, "corner").render(moderngl.TRIANGLES)
    return np.frombuffer(target.read(components=4, dtype="f4"), np.float32).reshape(-1, 4)


def run_wgsl(device, field, coords):
    """As `run_glsl`, of a wgpu device."""
    import wgpu

    code = codegen.generate(field, "wgsl")
    text = code.text.decode() + _COMPUTE % _VECTORS[field.spec.n_dims]
    usage = wgpu.BufferUsage
    places = device.create_buffer_with_data(data=places_of(coords), usage=usage.STORAGE)
    found = device.create_buffer(size=places.size, usage=usage.STORAGE | usage.COPY_SRC)
    groups = {1: [places, found]}
    if code.data:
        groups[0] = [device.create_buffer_with_data(data=code.data, usage=usage.STORAGE)]
    stage = {"module": device.create_shader_module(code=text), "entry_point": "main"}
    pipeline = device.create_compute_pipeline(layout="auto", compute=stage)
    encoder = device.create_command_encoder()
    turn = encoder.begin_compute_pass()
    turn.set_pipeline(pipeline)
    for group, buffers in groups.items():
        entries = [{"binding": k, "resource": {"buffer": b, "offset": 0, "size": b.size}} for k, b in enumerate(buffers)]
        layout = pipeline.get_bind_group_layout(group)
        turn.set_bind_group(group, device.create_bind_group(layout=layout, entries=entries))
    turn.dispatch_workgroups(len(coords))
    turn.end()
    device.queue.submit([encoder.finish()])
    return np.frombuffer(device.queue.read_buffer(found), np.float32).reshape(-1, 4)
