"""The plan of the house, held by reading syntax trees.

Arrows point from who knows to who is known and never back; the other rules
here are those a reviewer would otherwise have to remember. Each rule is
proven on a small house that breaks it.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import pytest

PACKAGES = ("functions", "gateway", "bridge", "infra")

# Which of our modules each part may import, longest prefix first in effect:
# the most specific line that covers a module is the one that holds.
ARROWS: Mapping[str, tuple[str, ...]] = {
    "functions.domain": ("functions.domain",),
    "functions.contract": ("functions.contract", "functions.domain"),
    "functions.storage": ("functions.domain",),
    "functions.ports": ("functions.storage", "functions.contract", "functions.domain"),
    "functions.handlers": (
        "functions.handlers",
        "functions.ports",
        "functions.storage",
        "functions.contract",
        "functions.domain",
    ),
    "functions.adapters": (
        "functions.adapters",
        "functions.ports",
        "functions.storage",
        "functions.contract",
        "functions.domain",
    ),
    "functions.route": ("functions.ports", "functions.contract", "functions.domain"),
    "functions.routes": ("functions.route", "functions.handlers", "functions.contract", "functions.domain"),
    "functions.plugins": ("functions.route", "functions.contract", "functions.domain"),
    "functions.runtime": (
        "functions.runtime",
        "functions.route",
        "functions.ports",
        "functions.storage",
        "functions.contract",
        "functions.domain",
    ),
    "functions.testing": (
        "functions.adapters",
        "functions.ports",
        "functions.storage",
        "functions.contract",
        "functions.domain",
    ),
    "functions.checks": ("functions.testing", "functions.ports", "functions.storage", "functions.domain"),
    "functions.audit_checks": ("functions.testing", "functions.ports", "functions.storage", "functions.domain"),
    "functions.settings": ("functions.route", "functions.contract", "functions.domain"),
    "functions": ("functions",),
    "gateway": ("gateway", "functions.contract", "functions.domain"),
    "bridge": ("bridge", "functions.contract", "functions.domain"),
    "infra": ("infra", "functions", "bridge", "gateway"),
}

COMPOSITION_ROOTS = ("app.py", "__main__.py")
MODULE_LINES = 400
# All that a handler may touch reads best on one page.
LONG_MODULES = {"functions/ports.py": 540}
FUNCTION_LINES = 40

# Calls that reach outside the process or start something: never while a module is imported.
_DEEDS = frozenset({
    "open", "connect", "socket", "create_connection", "Popen", "run", "check_call", "check_output", "system",
    "mkdir", "makedirs", "touch", "unlink", "read_text", "read_bytes", "write_text", "write_bytes", "urlopen",
    "start", "serve", "basicConfig", "configure", "print",
})  # fmt: skip
# Lines that only register what is defined beside them.
_REGISTRATIONS = frozenset({"add_typer", "command", "callback", "register", "include_router", "model_rebuild"})


@dataclass(frozen=True)
class Module:
    """One source file: its path below the root, its dotted name, its text and its tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]


Rule = Callable[[Module], Iterator[str]]


def modules(root: Path) -> Iterator[Module]:
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            path = file.relative_to(root)
            parts = path.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = file.read_text(encoding="utf-8")
            yield Module(path.as_posix(), name, text, ast.parse(text, str(file)))


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Every module named by an import, at any depth of the tree, with its line.

    ``from a import b`` names ``a.b``: it may be a module, and if it is a
    name of ``a`` the longer word is covered by whatever covers ``a``.
    """
    package = module.name if module.file == "__init__.py" else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield node.lineno, named.value


def _covers(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _called(node: ast.Call) -> str:
    """The last word of what is called: ``command`` of both ``app.command()`` and ``app.command()(f)``."""
    if isinstance(node.func, ast.Call):
        return _called(node.func)
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def arrows(module: Module) -> Iterator[str]:
    """Imports follow the arrows."""
    part = max((part for part in ARROWS if _covers(part, module.name)), key=len)
    for line, name in imports(module):
        if name.partition(".")[0] not in (*PACKAGES, "tests"):
            continue
        if not any(_covers(allowed, name) for allowed in ARROWS[part]):
            yield f"{module.path}:{line}: {part} may not import {name}; it may import {', '.join(ARROWS[part])}"


def pure_domain(module: Module) -> Iterator[str]:
    """The domain imports only the standard library."""
    if not _covers("functions.domain", module.name):
        return
    for line, name in imports(module):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in PACKAGES:
            yield f"{module.path}:{line}: the domain imports {top}, which is not the standard library"


def environment(module: Module) -> Iterator[str]:
    """Only composition roots, which the commands are too, name os.environ."""
    if module.file in COMPOSITION_ROOTS or _covers("infra.cli", module.name):
        return
    for node in ast.walk(module.tree):
        words: list[tuple[int, str]] = []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            words = [(node.lineno, node.attr)]
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            words = [(node.lineno, alias.name) for alias in node.names]
        for line, word in words:
            if word in ("environ", "environb", "getenv", "putenv"):
                yield f"{module.path}:{line}: os.{word} outside a composition root ({', '.join(COMPOSITION_ROOTS)})"


def named_exceptions(module: Module) -> Iterator[str]:
    """Only the runtime catches Exception and goes on; to clean up and raise it again is no catching."""
    if _covers("functions.runtime", module.name):
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler) or _raises_again(node):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in caught:
            word = kind.id if isinstance(kind, ast.Name) else "" if kind is not None else "everything"
            if word in ("Exception", "BaseException", "everything"):
                yield f"{module.path}:{node.lineno}: 'except {word}' outside functions/runtime; catch what you can name"


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def short_modules(module: Module) -> Iterator[str]:
    """Modules are 400 lines at most."""
    lines, most = module.text.count("\n"), LONG_MODULES.get(module.path, MODULE_LINES)
    if lines > most:
        yield f"{module.path}: {lines} lines; a module has at most {most}"


def short_functions(module: Module) -> Iterator[str]:
    """Functions are 40 lines at most: without docstrings and functions within, a block of text as one line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            body = node.body[1:] if documented else node.body
            inner = list(_functions_within(body))
            whole = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            lines = whole - sum(map(_span, inner)) - _text_lines(body, inner)
            if lines > FUNCTION_LINES:
                yield f"{module.path}:{node.lineno}: {node.name}() has {lines} lines; at most {FUNCTION_LINES}"


def _span(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines from a function's first decorator to its end."""
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def _functions_within(nodes: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The outermost functions that are defined inside; each is measured by itself."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        else:
            yield from _functions_within(ast.iter_child_nodes(node))


def _text_lines(body: list[ast.stmt], inner: Iterable[ast.AST]) -> int:
    """The lines that strings take beyond the first of each: templates are long without being involved."""
    elsewhere = {id(part) for function in inner for part in ast.walk(function)}
    inside = [part for statement in body for part in ast.walk(statement) if id(part) not in elsewhere]
    within = {id(part) for text in inside if isinstance(text, ast.JoinedStr) for part in text.values}
    texts = [text for text in inside if _is_text(text) and id(text) not in within]
    return sum((text.end_lineno or text.lineno) - text.lineno for text in texts)


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant | ast.JoinedStr]:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def quiet_imports(module: Module) -> Iterator[str]:
    """Importing a module does nothing but define names."""
    if module.file == "__main__.py":
        return
    for node in module.tree.body:
        if _is_main_guard(node):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if _called(node.value) not in _REGISTRATIONS:
                yield f"{module.path}:{node.lineno}: {ast.unparse(node.value)[:60]} runs when the module is imported"
        elif isinstance(node, ast.For | ast.While | ast.With):
            yield f"{module.path}:{node.lineno}: a {type(node).__name__.lower()} block runs when the module is imported"
        else:
            yield from (
                f"{module.path}:{call.lineno}: {_called(call)}() runs when the module is imported"
                for call in _calls_now(node)
                if _called(call) in _DEEDS
            )


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _calls_now(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that a statement makes as it is executed: not those inside the functions it defines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and child in node.body:
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls_now(child)


def silence(module: Module) -> Iterator[str]:
    """Only commands print, and a process its faulty settings, before it has a log."""
    if _covers("infra.cli", module.name) or module.file in COMPOSITION_ROOTS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{module.path}:{node.lineno}: print() outside infra/cli; log an event or return a value"


RULES: tuple[Rule, ...] = (
    arrows,
    pure_domain,
    environment,
    named_exceptions,
    short_modules,
    short_functions,
    quiet_imports,
    silence,
)


def _sentence(rule: Rule) -> str:
    return (rule.__doc__ or rule.__name__).strip()


def _house() -> Path:
    """Where the packages lie: the checkout, or the environment that the wheel was installed into."""
    found = importlib.util.find_spec("functions")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent.parent


@pytest.mark.parametrize("rule", RULES, ids=_sentence)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    broken = [text for module in modules(_house()) for text in rule(module)]

    assert not broken, "\n".join([_sentence(rule), *broken])


def test_every_package_is_read() -> None:
    assert {module.name.partition(".")[0] for module in modules(_house())} == set(PACKAGES)


_LONG_FUNCTION = "def f():\n    '''Says.'''\n" + "    x = 1\n" * 41
_LONG_METHOD = "class A:\n" + "".join(f"    {line}\n" for line in _LONG_FUNCTION.splitlines())

BROKEN: tuple[tuple[Rule, str, str, str], ...] = (
    (arrows, "functions/domain/twins.py", "from functions.contract import bus", "may not import functions.contract"),
    (arrows, "functions/contract/bus.py", "import functions.ports", "may not import functions.ports"),
    (arrows, "functions/handlers/twins.py", "def f():\n    from functions.adapters import kv", "functions.adapters.kv"),
    (arrows, "functions/handlers/twins.py", "import functions.runtime.calls", "may not import functions.runtime.calls"),
    (arrows, "functions/runtime/calls.py", "from functions.routes import ROUTES", "may not import functions.routes"),
    (arrows, "functions/runtime/calls.py", "from ..handlers import twins", "may not import functions.handlers.twins"),
    (arrows, "functions/adapters/kv.py", "from . import kept\nfrom .. import routes", "functions.routes"),
    (arrows, "functions/app.py", "import infra", "may not import infra"),
    (arrows, "functions/app.py", "from tests import broker", "may not import tests.broker"),
    (arrows, "functions/app.py", "import importlib\nimportlib.import_module('infra.x')", "may not import infra.x"),
    (arrows, "gateway/app.py", "from functions import ports", "may not import functions.ports"),
    (arrows, "gateway/app.py", "from bridge.mqtt import topics", "may not import bridge.mqtt.topics"),
    (arrows, "bridge/mqtt/pump.py", "from functions.handlers import twins", "may not import functions.handlers.twins"),
    (pure_domain, "functions/domain/twins.py", "def f():\n    import pydantic", "pydantic"),
    (environment, "functions/settings.py", "import os\nHOME = os.environ['HOME']", "os.environ"),
    (environment, "bridge/settings.py", "from os import getenv", "os.getenv"),
    (named_exceptions, "bridge/mqtt/pump.py", "try:\n    pass\nexcept Exception:\n    pass", "except Exception"),
    (named_exceptions, "infra/node.py", "try:\n    pass\nexcept (OSError, BaseException):\n    pass", "BaseException"),
    (named_exceptions, "gateway/app.py", "try:\n    pass\nexcept:\n    pass", "everything"),
    (short_modules, "infra/node.py", "x = 1\n" * 401, "401 lines"),
    (short_functions, "infra/node.py", _LONG_FUNCTION, "f() has 41 lines"),
    (short_functions, "infra/node.py", _LONG_METHOD, "41 lines"),
    (short_functions, "infra/node.py", _LONG_METHOD.replace("class A:", "def g():"), "f() has 41 lines"),
    (quiet_imports, "infra/node.py", "from pathlib import Path\nTEXT = Path('x').read_text()", "read_text()"),
    (quiet_imports, "bridge/mqtt/pump.py", "import logging\nlogging.disable()", "logging.disable()"),
    (quiet_imports, "gateway/app.py", "def f(x=open('y')):\n    pass", "open()"),
    (quiet_imports, "gateway/app.py", "class A:\n    x = open('y')", "open()"),
    (quiet_imports, "gateway/app.py", "for x in ():\n    pass", "for block"),
    (silence, "functions/handlers/twins.py", "def f():\n    print('hello')", "print()"),
)  # fmt: skip

SOUND = {
    "functions/domain/twins.py": "import json\nfrom functions.domain.names import DeviceId\n",
    "functions/handlers/twins.py": "from functions.ports import Call, Hub\nfrom functions.handlers import registry\n",
    "functions/runtime/calls.py": "try:\n    pass\nexcept Exception:\n    pass\n",
    "functions/app.py": "import os\nfrom functions.routes import ROUTES\nx = os.environ\n",
    "bridge/mqtt/pump.py": "import paho\nfrom functions.contract import bus\nfrom bridge.broker import keeper\n",
    "gateway/app.py": "def f():\n    return open('x')\n",
    "infra/node.py": "try:\n    pass\nexcept BaseException:\n    raise\n",
    "infra/stack/nats_server.py": f"def f():\n    return f'''{'line {x}' + chr(10)}{'line' + chr(10) * 60}'''\n",
    "infra/cli/twin.py": "app = make()\napp.add_typer(app)\napp.command()(print)\n\ndef f():\n    print('x')\n",
}


def _build(root: Path, files: Mapping[str, str]) -> list[Module]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return list(modules(root))


@pytest.mark.parametrize(("rule", "path", "text", "told"), BROKEN)
def test_a_house_that_breaks_a_rule_is_told_where(tmp_path: Path, rule: Rule, path: str, text: str, told: str) -> None:
    found = [line for module in _build(tmp_path, {path: text}) for line in rule(module)]

    assert len(found) == 1, found
    assert path in found[0]
    assert told in found[0]


@pytest.mark.parametrize("rule", RULES, ids=_sentence)
def test_a_sound_house_is_left_in_peace(tmp_path: Path, rule: Rule) -> None:
    assert [line for module in _build(tmp_path, SOUND) for line in rule(module)] == []


def test_every_rule_is_proven_on_a_house_that_breaks_it() -> None:
    assert {rule.__name__ for rule, *_ in BROKEN} == {rule.__name__ for rule in RULES}
