"""The subset of Kaitai Struct that spec/nfld.ksy uses, interpreted: a description -> what a file holds."""

import re
from types import SimpleNamespace

_INTEGERS = {"u1": 1, "u2": 2, "u4": 4}


class Sequence(list):
    """With Kaitai's name for its length."""

    @property
    def size(self):
        return len(self)


class Stream:
    """Bytes that are read once."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, n):
        taken = self.data[self.position : self.position + n]
        assert len(taken) == n, "the data end early"
        self.position += n
        return taken


def python_of(expression):
    """Kaitai's expressions are nearly Python's."""
    text = re.sub(r"\(([^()?]+) \? ([^()]+) : ([^()]+)\)", r"((\2) if (\1) else (\3))", str(expression).strip())
    assert "?" not in text and "::" not in text
    return text


def parse(description, data):
    """The root object of a whole file."""
    stream = Stream(data)
    root = _Parser(description).object(description, stream, {}, None)
    assert stream.position == len(data), "something follows"
    return root


class _Parser:
    def __init__(self, description):
        self.types = {description["meta"]["id"]: description, **description["types"]}
        self.enums = description["enums"]

    def evaluate(self, expression, found, **names):
        if isinstance(expression, int):
            return expression
        return eval(python_of(expression), {"__builtins__": {}}, {**vars(found), **names})  # noqa: S307

    def object(self, form, stream, parameters, parent):
        found = SimpleNamespace(**parameters)
        found._parent = parent
        for part in form["seq"]:
            assert set(part) <= {"id", "type", "enum", "repeat", "repeat-expr", "repeat-until", "size", "size-eos", "contents", "valid", "doc"}
            setattr(found, part["id"], self.attribute(part, stream, found))
        for label, instance in form.get("instances", {}).items():
            setattr(found, label, self.evaluate(instance["value"], found))
        return found

    def attribute(self, part, stream, found):
        if "repeat" not in part:
            return self.one(part, stream, found, 0)
        values = Sequence()
        if part["repeat"] == "expr":
            for index in range(self.evaluate(part["repeat-expr"], found)):
                values.append(self.one(part, stream, found, index))
        else:
            assert part["repeat"] == "until"
            while not values or not self.evaluate(part["repeat-until"], found, _=values[-1]):
                values.append(self.one(part, stream, found, 0))
        return values

    def one(self, part, stream, found, index):
        if "contents" in part:
            assert stream.take(len(part["contents"])) == bytes(part["contents"])
            return part["contents"]
        if part.get("size-eos"):
            return stream.take(len(stream.data) - stream.position)
        kind = part.get("type")
        if "size" in part:
            stream = Stream(stream.take(self.evaluate(part["size"], found)))
        if isinstance(kind, dict):
            value = self.evaluate(kind["switch-on"], found)
            cases = {case.split("::")[1]: name for case, name in kind["cases"].items()}
            kind = cases.get(value)
        if kind is None:
            return stream.data
        if kind in _INTEGERS:
            value = int.from_bytes(stream.take(_INTEGERS[kind]), "little")
            assert value == part.get("valid", value)
            return self.enums[part["enum"]].get(value, value) if "enum" in part else value
        name, _, argument = kind.partition("(")
        form = self.types[name]
        names = [parameter["id"] for parameter in form.get("params", [])]
        values = [self.evaluate(argument.rstrip(")"), found, _index=index)] if argument else []
        return self.object(form, stream, dict(zip(names, values, strict=True)), found)
