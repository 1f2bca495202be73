"""A program as text of a language of the C family."""

from __future__ import annotations

from collections.abc import Iterator

from ..encodings.interpolate import placed
from .clouds import Cloud
from .dialect import PRECISE, Dialect, Parameter
from .expressions import INT, REAL, fetch, name
from .program import Formula, Level, Program, Read
from .tables import Table

__all__ = ["emit"]

_INDENT = "    "


def emit(program: Program, dialect: Dialect) -> str:
    """The whole text."""
    is_unrolled = program.n_weights <= dialect.most_unrolled
    # first, since the head says how they are held
    lines = [*dialect.tables(program.lattices if is_unrolled else program.tables), ""]
    lines = [*dialect.head(program), *lines]
    for level in program.levels:
        lines += [*_level(dialect, level, program.spec.grid.n_inputs), ""]
    for cloud in program.clouds:
        lines += [*_cloud(dialect, cloud, program.spec.grid.n_inputs), ""]
    for k, layer in enumerate(program.layers):
        if layer.activation is not None:
            lines.append(dialect.function(f"{dialect.prefix}_activation{k}", [Parameter("v", REAL)], REAL))
            lines += [f"return {dialect.text(layer.activation, REAL)};", "}", ""]
    begin, end = dialect.sample(program)
    return "\n".join(_indented([*lines, *begin, *_body(dialect, program, is_unrolled), "}", *end])) + "\n"


def _indented(lines: list[str]) -> Iterator[str]:
    depth = 0
    for line in lines:
        depth -= line.startswith("}")
        yield _INDENT * depth + line if line else line
        depth += line.endswith("{")


def _level(d: Dialect, level: Level, n_inputs: int) -> Iterator[str]:
    """The function that adds what a level gives to inputs, or multiplies them with it."""
    axes, f, t = range(len(level.resolution)), level.n_features, level.n_taps
    parameters = [Parameter(f"c{k}", PRECISE) for k in axes] + [Parameter(f"s{k}", PRECISE) for k in axes]
    parameters += [Parameter("first", INT), Parameter("multiplies", INT), Parameter("x", REAL, n_inputs)]
    yield d.function(f"{d.prefix}_read_{level.name}", parameters)
    for k in axes:
        yield d.constant(PRECISE, f"u{k}", d.text(level.place(k, name(f"c{k}"), name(f"s{k}")), PRECISE))
        yield d.constant(PRECISE, f"i{k}", d.text(level.first(name(f"u{k}")), PRECISE))
        weights = level.weights(name(f"f{k}"))
        if len(weights) > 1:  # else they are no functions of it
            yield d.constant(PRECISE, f"f{k}", f"u{k} - i{k}")
        yield d.array(REAL, f"w{k}", t)
        yield d.array(INT, f"j{k}", t)
        for tap, weight in enumerate(weights):
            yield f"w{k}[{tap}] = {d.cast(REAL, d.text(weight, PRECISE))};"
            yield f"j{k}[{tap}] = {d.text(level.vertex(k, name(f'i{k}'), tap), PRECISE)};"
    yield d.array(REAL, "y", f)
    yield from _filled(d, "y", f)
    for k in axes:
        yield d.loop(f"t{k}", t)
    yield d.constant(INT, "row", d.text(level.row([name(f"j{k}[t{k}]", INT) for k in axes])))
    yield d.constant(REAL, "w", " * ".join([d.real(level.step, REAL), *(f"w{k}[t{k}]" for k in axes)]))
    yield d.loop("k", f)
    yield f"y[k] += w * {d.cast(REAL, d.at(level.rows, f'row * {f} + k'))};"
    yield from ["}"] * (len(axes) + 1)
    yield d.loop("k", f)
    x = d.element("x", "first + k")
    yield f"{x} = {d.select('multiplies == 1', f'{x} * y[k]', f'{x} + y[k]')};"
    yield from ["}", "}"]


def _cloud(d: Dialect, cloud: Cloud, n_inputs: int) -> Iterator[str]:
    """The function that adds what a cloud gives to inputs."""
    axes, f, first = range(len(cloud.resolution)), cloud.n_features, cloud.first
    parameters = [Parameter(f"c{k}", PRECISE) for k in axes] + [Parameter("x", REAL, n_inputs)]
    yield d.function(f"{d.prefix}_read_{cloud.name}", parameters)
    for k, n in zip(axes, cloud.resolution):
        yield d.constant(PRECISE, f"u{k}", d.text(placed(name(f"c{k}"), "clamp")[0] * n, PRECISE))
        yield d.constant(INT, f"g{k}", d.text(cloud.along(name(f"u{k}")), PRECISE))
    places, start, point = [name(f"u{k}") for k in axes], name("start", INT), name("point", INT)
    yield d.constant(INT, "cell", d.text(cloud.cell([name(f"g{k}", INT) for k in axes])))
    yield d.constant(INT, "start", d.text(fetch(cloud.starts, name("cell", INT))))
    yield d.constant(INT, "count", d.text(fetch(cloud.starts, name("cell", INT) + 1) - start))
    yield d.loop("i", "count")
    yield d.constant(INT, "point", d.text(fetch(cloud.points, start + name("i", INT))))
    yield d.constant(PRECISE, "rest", d.text(cloud.kernel(places, point), PRECISE))
    yield d.constant(REAL, "w", f"{d.real(cloud.step, REAL)} * {d.cast(REAL, 'rest * rest * rest')}")
    yield d.loop("k", f)
    yield f"{d.element('x', f'{first} + k')} += w * {d.cast(REAL, d.at(cloud.features, f'point * {f} + k'))};"
    yield from ["}", "}", "}"]


def _filled(d: Dialect, array: str, length: int) -> Iterator[str]:
    yield d.loop("k", length)
    yield f"{array}[k] = {d.real(0.0, REAL)};"
    yield "}"


def _body(d: Dialect, program: Program, is_unrolled: bool) -> Iterator[str]:
    """Of the function of all values."""
    n = program.spec.grid.n_inputs
    yield d.array(REAL, "x", n)
    yield from _filled(d, "x", n)
    for op in program.inputs:
        if isinstance(op, Cloud):
            handed = ", ".join([*(f"c{k}" for k in range(len(op.resolution))), d.handed("x")])
            yield f"{d.prefix}_read_{op.name}({handed});"
        else:
            yield from _read(d, op) if isinstance(op, Read) else _formula(d, op)
    yield from (_written_out if is_unrolled else _looped)(d, program)
    for c, value in enumerate(program.values):
        yield d.constant(REAL, f"y{c}", f"y[{c}]")
        yield f"{d.element('values', str(c))} = {d.text(value.renamed(f'y{c}'), REAL)};"


def _written_out(d: Dialect, program: Program) -> Iterator[str]:
    """The network, a line for each neuron; weights of 0 are left out."""
    below = "x"
    for k, layer in enumerate(program.layers):
        is_last = layer is program.layers[-1]
        label = "y" if is_last else f"h{k}"
        yield d.array(REAL, label, layer.n_outputs)
        for o in range(layer.n_outputs):
            terms = [d.real(layer.bias_scale * int(layer.biases.integers[o]), REAL)]
            terms += _products_of(d, layer.weights, layer.weight_scale, o, layer.n_outputs, below)
            if is_last:
                terms += _products_of(d, program.skip, program.skip_scale, o, layer.n_outputs, "x")
            total = " + ".join(terms)
            yield f"{label}[{o}] = {total if is_last else f'{d.prefix}_activation{k}({total})'};"
        below = label


def _products_of(d: Dialect, table: Table, scale: float, output: int, n_outputs: int, below: str) -> list[str]:
    """An output's products that are not 0."""
    row = table.integers.reshape(n_outputs, -1)[output].tolist()
    return [f"{d.text(scale * weight, REAL)} * {below}[{i}]" for i, weight in enumerate(row) if weight]


def _looped(d: Dialect, program: Program) -> Iterator[str]:
    """The network, a loop for each layer."""
    below = "x"
    for k, layer in enumerate(program.layers):
        is_last = layer is program.layers[-1]
        label = "y" if is_last else f"h{k}"
        yield d.array(REAL, label, layer.n_outputs)
        yield d.loop("o", layer.n_outputs)
        yield d.variable(REAL, "v", f"{d.real(layer.bias_scale, REAL)} * {d.cast(REAL, d.at(layer.biases, 'o'))}")
        yield from _products(d, layer.weights, layer.weight_scale, below, layer.n_inputs)
        if is_last:
            yield from _products(d, program.skip, program.skip_scale, "x", program.spec.grid.n_inputs)
        yield f"{label}[o] = {'v' if is_last else f'{d.prefix}_activation{k}(v)'};"
        yield "}"
        below = label


def _products(d: Dialect, table: Table, scale: float, below: str, n: int) -> Iterator[str]:
    """Adds those of output o to v."""
    if n:
        yield d.loop("i", n)
        yield f"v += {d.real(scale, REAL)} * {d.cast(REAL, d.at(table, f'o * {n} + i'))} * {below}[i];"
        yield "}"


def _read(d: Dialect, op: Read) -> Iterator[str]:
    places = [f"c{k}" for k in op.axes] + [d.text(shift, PRECISE) for shift in op.shifts]
    yield f"{d.prefix}_read_{op.level.name}({', '.join([*places, str(op.first), str(int(op.multiplies)), d.handed('x')])});"


def _formula(d: Dialect, op: Formula) -> Iterator[str]:
    for label, value in op.names:
        yield d.constant(PRECISE, label, d.text(value, PRECISE))
    for k, feature in enumerate(op.features):
        yield f"x[{op.first + k}] = {d.cast(REAL, d.text(feature, PRECISE))};"
