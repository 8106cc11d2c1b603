"""Import rules: who may know whom, and what must not be loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ds2_fast

PACKAGE = Path(ds2_fast.__file__).parent
HEAVY = {
    "aiohttp", "litellm", "onnxruntime", "tokenizers", "huggingface_hub", "onnx", "usearch",
    "polars", "matplotlib", "jinja2",
}  # fmt: skip
# Where a heavy library may be imported, and then only inside a function.
HOMES = {
    "litellm": ("rating",),
    "aiohttp": ("rating",),
    # It must be loaded before usearch, see `knn.hnsw`.
    "onnxruntime": ("embedding", "knn"),
    "tokenizers": ("embedding",),
    "huggingface_hub": ("embedding",),
    "onnx": ("embedding",),
    "usearch": ("knn",),
    "matplotlib": ("page",),
    "jinja2": ("page",),
}
STAGES = (
    "knn", "lexical", "transition", "uncertainty", "information", "curation", "calibration",
    "published", "longtail", "selection", "rerating", "duplicates", "quotas", "kcenter", "trust",
    "verdict", "wording", "agreement", "raters", "spaces", "projection",
)  # fmt: skip
LINE = (
    "__init__", "pipeline", "analysis", "fitting", "choice", "safeguards", "artifacts", "graphing",
    "scoresheet", "account", "report", "panel", "comparing", "explaining", "auto_space",
    "rerate_line", "figures", "verifying", "planning", "strategy_line",
    "strategies.inputs",
)  # fmt: skip
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(module: Path, *, top_level: bool = False) -> set[str]:
    """Every module name that a file imports; with `top_level`, only when it is itself imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            elif not never_runs(child) and not (top_level and runs_later(child)):
                visit(child)

    visit(ast.parse(module.read_text()))
    return found


def never_runs(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def runs_later(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def ours(names: set[str]) -> set[str]:
    return {n.removeprefix("ds2_fast.").split(".")[0] for n in names if n.startswith("ds2_fast.")}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_used(module: Path) -> None:
    name = name_of(module)
    roots = {n.split(".")[0] for n in imports(module)}
    for library, homes in HOMES.items():
        if library in roots:
            assert name.split(".")[0] in homes, f"{name} imports {library}"
    loaded = {n.split(".")[0] for n in imports(module, top_level=True)} & HEAVY
    allowed = {"polars"} if name.split(".")[0] in ("pool", "report") else set()
    assert loaded <= allowed, f"importing {name} loads {loaded}"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_know_neither_files_nor_the_command_line(stage: str) -> None:
    for module in MODULES:
        if name_of(module).split(".")[0] == stage:
            known = ours(imports(module))
            assert known <= {"_core", "errors", "progress", *STAGES}, name_of(module)


@pytest.mark.parametrize(
    "leaf", ["errors", "progress", "presets", "sizes", "atomic", "room", "garbage"]
)
def test_leaves_know_nothing_of_ours_but_errors(leaf: str) -> None:
    assert ours(imports(PACKAGE / f"{leaf}.py")) <= {"errors"}


@pytest.mark.parametrize("package", ["pool", "embedding", "rating", "budget"])
def test_packages_of_the_line_do_not_know_the_line(package: str) -> None:
    for module in (PACKAGE / package).rglob("*.py"):
        known = ours(imports(module))
        assert not known & {"pipeline", "line", "rundir", "cli", "report", "terminal"}, name_of(
            module
        )
        assert not known & ({"pool", "embedding", "rating", "budget"} - {package}), name_of(module)


def test_losses_stand_on_the_engines_of_embedding_and_rating() -> None:
    for module in (PACKAGE / "losses").rglob("*.py"):
        known = ours(imports(module))
        assert known <= {"losses", "embedding", "rating", "errors", "progress"}, name_of(module)


def test_tagging_stands_on_the_engine_of_rating() -> None:
    for module in (PACKAGE / "tagging").rglob("*.py"):
        assert ours(imports(module)) <= {"tagging", "rating"}, name_of(module)


def test_only_the_line_knows_several_stages() -> None:
    for module in MODULES:
        if name_of(module) not in (*LINE, *STAGES):
            assert len(ours(imports(module)) & set(STAGES)) <= 1, name_of(module)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["select", "--help"], ["neighbors", "--help"], ["model", "--help"]],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from ds2_fast.cli import main; main(sys.argv[1:]); "
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "ds2-fast" in done.stdout


def test_the_core_crate_does_not_know_python() -> None:
    manifest = (Path(__file__).parent.parent / "rust" / "ds2-core" / "Cargo.toml").read_text()
    assert not any(word in manifest for word in ("pyo3", "numpy", "polars"))
