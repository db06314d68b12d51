"""API pages."""
from mkdocs.structure.files import File
import pathlib
def on_files(files, config):
    root=pathlib.Path(config.config_file_path).parent
    for sub in sorted((root/"espnet2_cltm").iterdir()):
        if not (sub/"__init__.py").exists() or sub.name=="bin": continue
        text=f"# {sub.name}\n\n"
        for m in sorted(sub.rglob("*.py")):
            if m.name=="__init__.py": continue
            text+="::: "+".".join(m.relative_to(root).with_suffix("").parts)+"\n\n"
        files.append(File.generated(config, f"reference/api/{sub.name}.md", content=text))
    return files
