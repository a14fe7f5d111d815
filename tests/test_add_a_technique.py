"""The recipe of CONTRIBUTING, tried: a script, an entry in the list and a page are all that a technique takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from memlab.results.techniques import TECHNIQUES

ROOT = Path(__file__).parents[1]
DEMOS = ROOT / "demos"

SCRIPT = '''"""Run it: python demos/embeddings.py

Trains the embedding alone.
"""

from memlab import Demo, launch


def build(lab):
    model = lab.load_model("float32")
    model.requires_grad_(False)  # NEW
    model.get_input_embeddings().requires_grad_(True)  # NEW
    return model, lab.optimizer(model)


DEMO = Demo("embeddings", build, lr=1e-4)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''
ENTRY = '    Technique("embeddings", "embeddings alone", "trains the embedding and nothing else"),\n'
PAGE = "# Embeddings alone\n\nOne matrix is trained, and all others are frozen.\n\nThat is the whole idea.\n"

PROGRAM = """
import sys
from pathlib import Path

from memlab.options.setup import Setup
from memlab.plan import command, grid, search
from memlab.predicting.predict import predict
from memlab.publishing import headline, readme
from memlab.results.files import HOME
from memlab.sweeps import reference, suite
from memlab.validate import draw
from records import make_record
from steelyard.checks import TECHNIQUES
from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app.database import migrate

root = Path(sys.argv[1])
assert HOME == root / "demos"

# known wherever techniques are listed
assert "embeddings" in TECHNIQUES
assert {"embeddings"} < {technique for technique, _ in grid.TECHNIQUE_SETUPS}
assert {"embeddings"} < {variant.technique for variant in draw.VARIANTS}
assert "embeddings.py" in [command.strip() for command in suite.commands("")] and "embeddings.py --precision bf16" in reference.COMMANDS

# predicted, and planned
setup = Setup(model="tiny", predict=True, for_="cuda")
told = predict("embeddings", None, setup)
assert told.status == "ok" and told.memory.peak_bytes, told.message
search.TECHNIQUE_SETUPS = tuple(arm for arm in grid.TECHNIQUE_SETUPS if arm[0] == "embeddings")
found, left_out = search.search(setup, 2**40, [1], [64])
assert [option.name for option in found] == ["embeddings"] and not left_out
command._show(found, left_out, "tiny", "1024GiB")

# tabled and drawn
pure = {"precision": "bf16", "autocast": None, "base_dtype": "bfloat16"}
for record in (make_record("baseline"), make_record("baseline", **pure), make_record("embeddings", rank=None)):
    record.write(HOME / "results" / "cpu")
readme.regenerate(HOME)
assert "[`embeddings.py`](embeddings.py)" in (HOME / "README.md").read_text()
assert "embeddings alone" in [bar.name for bar in headline.bars(HOME / "results")]

# served
app = create_app(Settings(
    data=root / "data", questions=root / "questions", results=HOME / "results", pages=HOME / "pages", demos=HOME,
    database_url=f"sqlite:///{root}/site.sqlite3", secret_key="a secret for tests only", trusted_hosts=("localhost",),
))
migrate(app)
page = app.test_client().get("/techniques/embeddings").text
assert "Embeddings alone" in page and "One matrix is trained" in page and "get_input_embeddings" in page
assert "Embeddings alone" in app.test_client().get("/techniques").text
"""


def test_a_script_a_line_and_a_page_add_a_technique(tmp_path):
    """It is listed, predicted on the tiny model, planned, tabled, drawn and served, and nothing else is touched."""
    demos = tmp_path / "demos"
    shutil.copytree(DEMOS, demos, ignore=shutil.ignore_patterns("results", "out", "__pycache__"))
    shutil.copytree(DEMOS / "memlab" / "results", demos / "memlab" / "results")
    (demos / "results").mkdir()
    (tmp_path / "questions").mkdir()
    (demos / "embeddings.py").write_text(SCRIPT)
    (demos / "pages" / "embeddings.en.md").write_text(PAGE)
    techniques = demos / "memlab" / "results" / "techniques.py"
    listed, end, rest = techniques.read_text().partition(')\n"""In the order')
    techniques.write_text(listed + ENTRY + end + rest)

    paths = [demos, ROOT / "site", ROOT / "tests" / "support"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "embeddings: trains the embedding and nothing else." in done.stdout


def test_every_technique_has_a_script_and_pages_in_both_languages():
    assert sorted(TECHNIQUES) == sorted(path.stem for path in DEMOS.glob("*.py"))
    pages = {f"{name}.{language}.md" for name in TECHNIQUES for language in ("en", "ja")}
    assert pages == {path.name for path in (DEMOS / "pages").iterdir()}


def test_the_readme_of_the_demos_lists_the_scripts_in_the_order_of_the_list():
    text = (DEMOS / "README.md").read_text(encoding="utf-8")
    order = re.findall(r"^\d+\. \[`(\w+)\.py`\]", text, flags=re.MULTILINE)

    assert tuple(order) == TECHNIQUES
