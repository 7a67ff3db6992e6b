"""What stands around the arithmetic in each C export: the header, what inputs and answers are, names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdlearn.cells import as_text
from kdlearn.export.c_text import READ, Constants, comment, indent, join, string
from kdlearn.export.plan import Plan


def header(
    name: str, stem: str, steps: Plan, about: Sequence[str], defines: Sequence[str], declarations: Sequence[str]
) -> str:
    """The `.h`: what goes in, what comes out, nothing that takes room."""
    upper = name.upper()
    coded = has_codes(steps)
    names = [f"extern const char *const {name}_classes[{steps.n_out}];"] if steps.classes is not None else []
    code = [
        f"int {name}_code(int column, const char *text); "
        "/* the code for x[column] of a category as it is written above, in UTF-8; -1 for one that has none */"
    ]
    host = [*names, *(code if coded else [])]
    return join(
        f"/* {name}: written by kdlearn. Compile {comment(stem)}.c with your program.",
        *about,
        "*/",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "#include <stdint.h>",
        "",
        f"#define {upper}_INPUTS {steps.n_in}",
        f"#define {upper}_{'OUTPUTS' if steps.classes is None else 'CLASSES'} {steps.n_out}",
        *defines,
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        *declarations,
        f"int {name}_selftest(void); /* in {comment(stem)}_selftest.c: how many of its rows are answered wrongly */",
        *(["#ifndef __AVR__ /* texts would lie in RAM there */", *host, "#endif"] if host else []),
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
    )


def source(
    stem: str,
    texts: Sequence[str],
    constants: Constants,
    functions: Sequence[str],
    signature: str,
    body: Sequence[str],
    first: Sequence[str] = (),
    guards: Sequence[str] = (),
) -> str:
    """The `.c`: constants, the texts of a host, what the function calls, the function; `first` and `guards` on top."""
    return join(
        f'#include "{stem}.h"',
        *first,
        "#include <stddef.h>",
        "#include <string.h>",
        *guards,
        *READ,
        *constants.lines,
        *texts,
        *functions,
        signature,
        "{",
        *indent(body),
        "}",
    )


def describe_columns(
    steps: Plan, missing: str, units: Mapping[str, str], powers: Sequence[str] | None = None
) -> list[str]:
    """A line for each raw column: its place in x, its name, what it holds, what a missing value does."""
    if steps.encoding is None:
        return [f"   x: {steps.n_in} tokens, 0 to {len(steps.steps[0].arrays['W']) - 1}"]
    lines = []
    for i, column in enumerate(steps.encoding.columns):
        used = [f for f in steps.encoding.table if f.column == i]
        text = f"   x[{i}]: {comment(column.name)}" + ("" if powers is None else powers[i])
        text += after_name(column.name, units)
        if column.categories is not None:
            known = [
                f"{k} = " + ("missing" if v in (None, "") else listed(as_text(v)))
                for k, v in enumerate(column.categories)
            ]
            strict = any(f.strict for f in used)
            rest = f"{len(column.categories)}" if column.other else "-1"
            refused = " (refused)" if strict and not column.other else ""
            text += f": a code, {', '.join(known)}, {rest} = any other{refused}"
        if not used:
            text += "; not used"
        elif all(f.fill is not None or f.code < -1 for f in used):
            text += f"; {missing} = missing"
        lines.append(text)
    return lines


def describe_answer(steps: Plan, target: str | None, units: Mapping[str, str]) -> list[str]:
    """A line that says which position is which class, as nothing else does on AVR, or what a number is, if named."""
    what = "" if target is None else comment(target)
    if steps.classes is not None:
        known = ", ".join(f"{k} = {listed(text)}" for k, text in enumerate(class_texts(steps)))
        return [f"   Classes{f' of {what}' if what else ''}: {known}."]
    which = "y[0]" if steps.n_out == 1 else f"y[0] to y[{steps.n_out - 1}]"
    return [f"   {which}: {what}{after_name(target, units)}"] if what else []


def after_name(name: str | None, units: Mapping[str, str]) -> str:
    """What a number counts, after its name."""
    return f", {comment(units[name])}" if name is not None and name in units else ""


def listed(text: str) -> str:
    """A text in a list, in quotes where its ends would not be seen."""
    plain = text and text == text.strip() and not set(text) & set(',;=:"')
    mark = "'" if '"' in text else '"'
    return comment(text, "" if plain else mark)


def class_texts(steps: Plan) -> list[str]:
    """The classes as texts, True as 1."""
    known = [] if steps.classes is None else steps.classes.tolist()
    return [str(int(c)) if isinstance(c, bool) else str(c) for c in known]


def has_codes(steps: Plan) -> bool:
    """Whether a column has categories."""
    return steps.encoding is not None and any(c.categories for c in steps.encoding.columns)


def host_texts(name: str, steps: Plan) -> list[str]:
    """Names of the classes, and the codes of categories; left out on AVR."""
    lines: list[str] = []
    if steps.classes is not None:
        texts = class_texts(steps)
        lines += [f"const char *const {name}_classes[{len(texts)}] = {{", *(f"    {string(t)}," for t in texts), "};"]
    if has_codes(steps):
        columns = [] if steps.encoding is None else steps.encoding.columns
        known = [(i, k, as_text(v)) for i, c in enumerate(columns) for k, v in enumerate(c.categories or ())]
        rest = [f"    if (column == {i}) return {len(c.categories or ())};" for i, c in enumerate(columns) if c.other]
        lines += [
            f"static const struct {{ int column, code; const char *text; }} categories[{len(known)}] = {{",
            *(f"    {{{i}, {k}, {string(v)}}}," for i, k, v in known),
            "};",
            f"int {name}_code(int column, const char *text)",
            "{",
            f"    for (int i = 0; i < {len(known)}; i++)",
            "        if (categories[i].column == column && strcmp(categories[i].text, text) == 0)",
            "            return categories[i].code;",
            *rest,
            "    return -1;",
            "}",
        ]
    return ["#ifndef __AVR__", *lines, "#endif"] if lines else []
