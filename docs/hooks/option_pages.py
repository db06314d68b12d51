"""Reference of run.sh's options, made from their declarations.

Options that every task has, such as ``--gender_budget``, are listed once, as
``--<task>_budget``.
"""

from collections.abc import Iterable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from espnet2_cltm.experiment.recipe import BY_TASK, GROUPS, recipe_options
from espnet2_cltm.options import TEXT, Option
from espnet2_cltm.registry import corpus_names, task_names

INTRODUCTION = f"""# Options of run.sh

Written `--name value` or `--name=value`; `-` and `_` in names are the same, and a value
with spaces stands in quotes. All options are checked before the first stage begins.
`./run.sh --help` prints this list, with the tasks and corpora that are installed.

Tasks that come with cltm: {", ".join(f"`{name}`" for name in task_names())}.
Corpora: {", ".join(f"`{name}`" for name in corpus_names())}.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of options."""
    text = INTRODUCTION
    options = list(options_once())
    for group in GROUPS:
        text += f"\n## {group}\n\n| option | meaning | default |\n|---|---|---|\n"
        text += "".join(_row(option) for option in options if option.group == group)
    files.append(File.generated(config, "reference/options.md", content=text))
    return files


def options_once() -> Iterable[Option]:
    """Yield every option of run.sh, those that every task has once."""
    by_task = {f"{task}_{name}" for task in task_names() for name in BY_TASK}
    for name, (meaning, kind, stages) in BY_TASK.items():
        yield Option(f"<task>_{name}", meaning, kind, "", stages)
    for name, option in recipe_options().items():
        if name not in by_task:
            yield option


def _row(option: Option) -> str:
    default = f"`{option.default}`" if option.default else ""
    meaning = option.help
    if option.kind is not TEXT:
        meaning += f"; takes {option.kind.wanted}"
    cells = [f"`--{option.name}`", meaning, default]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"
