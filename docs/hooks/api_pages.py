"""Reference of the package, a page for each module, listed in the site's navigation.

mkdocstrings reads the sources without importing them. Commands have a page of their own
(:mod:`command_pages`), so ``espnet2_cltm.bin`` is left out, as are modules that begin
with an underscore.
"""

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = "espnet2_cltm"
INTRODUCTION = f"""# Package {PACKAGE}

What each module holds.
[Contributing](../../contributing.md#what-belongs-where) says which package may import
which.
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of modules in the section "Reference" of the navigation."""
    root = Path(config.config_file_path).parent
    pages: list = ["reference/api/index.md"]
    for package, modules in packages(root).items():
        pages.append({package: [{name: _page(package, name)} for name in modules]})
    reference = next(
        item["Reference"] for item in config.nav or () if "Reference" in item
    )
    reference.append({"Package": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of modules."""
    root = Path(config.config_file_path).parent
    index = INTRODUCTION
    for package, modules in packages(root).items():
        index += f"\n## {package}\n\n| module | |\n|---|---|\n"
        for name, path in modules.items():
            page = _page(package, name)
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            content = f"::: {module}\n    options: {{heading_level: 1}}\n"
            files.append(File.generated(config, page, content=content))
            link = page.removeprefix("reference/api/")
            index += f"| [`{name}`]({link}) | {_first_line(path)} |\n"
    files.append(File.generated(config, "reference/api/index.md", content=index))
    return files


def packages(root: Path) -> dict[str, dict[str, Path]]:
    """Return the files of public modules by package and name within it."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root / PACKAGE).with_suffix("").parts
        if parts[0] != "bin" and not any(part.startswith("_") for part in parts):
            package = parts[0] if len(parts) > 1 else PACKAGE
            found.setdefault(package, {})[".".join(parts[-1:])] = path
    return found


def _page(package: str, name: str) -> str:
    return f"reference/api/{package}/{name}.md"


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("|", r"\|")
