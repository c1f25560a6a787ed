"""For each rule, small trees and the places where the rule must find a breach; [] where it must find none."""

Planted = list[tuple[dict[str, str], list[str]]]


def _one(path: str, text: str, *where: str) -> tuple[dict[str, str], list[str]]:
    return {path: text}, list(where)


NN = "src/qkv/nn/part.py"
VERB = "src/qkv/verbs/part.py"
A, A_FILES, B = (f"src/qkv/models/{name}.py" for name in ("a", "a_files", "b"))
LINEAGE = "src/qkv/lineage.toml"

PLANTED: dict[str, Planted] = {
    "floors": [
        _one("src/qkv/base/files.py", "from qkv.nn import block\n", "src/qkv/base/files.py"),
        _one("src/qkv/ops/attend.py", "def f():\n    import qkv.text.tokenizer\n", "src/qkv/ops/attend.py::f"),
        _one("src/qkv/attic/old.py", "", "src/qkv/attic/old.py"),
        _one("src/qkv/training/loop.py", "import qkv\n", "src/qkv/training/loop.py"),
        ({"src/qkv/nn/a.py": "from qkv.nn.b import B\nfrom qkv.ops import masks\n", "src/qkv/ops/masks.py": ""}, []),
    ],
    "circles": [
        (
            {"src/qkv/nn/a.py": "from qkv.nn import b\n", "src/qkv/nn/b.py": "import qkv.nn.a\n"},
            ["qkv.nn.a"],
        ),
        ({"src/qkv/nn/a.py": "from qkv.nn.b import a\n", "src/qkv/nn/b.py": "import torch\n"}, []),
    ],
    "imports_at_the_top": [
        _one(NN, "def f():\n    import torch\n", f"{NN}::f"),
        _one(NN, "def f():\n    from qkv.ops import masks\n", f"{NN}::f"),
        _one(VERB, "import matplotlib.pyplot\n", VERB),
        ({NN: "import qkv.nn.figure\n", "src/qkv/nn/figure.py": "import matplotlib\n"}, [NN]),
        ({NN: "def f():\n    import qkv.nn.figure\n", "src/qkv/nn/figure.py": "import matplotlib\n"}, []),
        _one(NN, "from __future__ import annotations\n", NN),
        _one(NN, "from .block import Block\n", NN),
        _one(NN, "def f():\n    import matplotlib.pyplot\n"),
        _one(VERB, "def f():\n    import torch\n    from qkv.nn import block\n"),
    ],
    "empty_rooms": [
        _one("src/qkv/nn/__init__.py", "import torch\n", "src/qkv/nn/__init__.py"),
        _one(NN, "", "src/qkv/nn"),
        ({NN: "", "src/qkv/nn/__init__.py": ""}, []),
    ],
    "families_apart": [
        ({A: "FAMILY = 1\n", B: "from qkv.models.a_files import x\nFAMILY = 2\n", A_FILES: "x = 1\n"}, [B]),
        ({A: "FAMILY = 1\n", B: "from qkv.models import a\nFAMILY = 2\n"}, [B]),
        (
            {
                A: "from qkv.models.a_files import x\nfrom qkv.models.shared import y\nFAMILY = 1\n",
                A_FILES: "x = 1\n",
                B: "FAMILY = 2\n",
                "src/qkv/models/shared.py": "y = 1\n",
            },
            [],
        ),
    ],
    "read_whole": [
        _one("src/qkv/models/bert.py", "class Bert:\n" + "    x = 1\n" * 350, "src/qkv/models/bert.py"),
        (
            {
                "src/qkv/nn/block.py": "def f():\n" + "    x = 1\n" * 200,
                "src/qkv/nn/mlp.py": "@mark\ndef f():\n" + "    x = 1\n" * 148,
            },
            ["src/qkv/models/bert.py"],
        ),
        _one(
            "src/qkv/models/bert.py",
            'def f():\n    """Told.\n' + "    told\n" * 9 + '    """\n' + "    x = 1\n\n" * 349,
        ),
        _one("src/qkv/models/bert.py", "x = 1\n# a comment\n" * 400),
    ],
    "file_sizes": [
        _one(NN, "x = 1\n" * 301, NN),
        _one("tests/nn/test_part.py", "x = 1\n" * 301, "tests/nn/test_part.py"),
        _one(NN, "x = 1\n" * 300),
    ],
    "function_sizes": [
        _one(NN, "def f():\n" + "    x = 1\n" * 60, f"{NN}::f"),
        _one(NN, "class A:\n    def f(self):\n" + "        x = 1\n" * 60, f"{NN}::A.f"),
        _one(NN, 'def f():\n    """Told.\n' + "    more\n" * 60 + '    """\n' + "    x = 1\n" * 59),
    ],
    "budgets": [
        _one(
            NN,
            "class Attention:\n    def forward(self, a, b, c, d, e, f, *, g, h, i): ...\n",
            f"{NN}::Attention.forward",
        ),
        _one(NN, "class Block:\n    def __init__(self, **options): ...\n", f"{NN}::Block.__init__"),
        _one(NN, "class Attention:\n    def forward(self, a, b, c, d, e, f, *, g, h): ...\n"),
    ],
    "names": [
        _one("src/qkv/nn/utils.py", "", "src/qkv/nn/utils.py"),
        _one("tests/nn/test_common.py", "", "tests/nn/test_common.py"),
        _one(NN, "class BaseBlock: ...\nclass RunManager: ...\n", f"{NN}::BaseBlock", f"{NN}::RunManager"),
        _one(NN, "class Baseline: ...\n"),
    ],
    "protocols": [
        _one(NN, "class Seat(Protocol): ...\n", f"{NN}::Seat"),
        _one(NN, "@runtime_checkable\nclass Seat(Protocol): ...\n"),
    ],
    "rooms_and_functions": [
        ({VERB: "def data(): ...\n", "src/qkv/data/pairs.py": ""}, [f"{VERB}::data"]),
        (
            {"src/qkv/__init__.py": "PLACES = {'data': 'qkv.verbs.data'}\n", "src/qkv/data/pairs.py": ""},
            ["src/qkv/__init__.py"],
        ),
        ({VERB: "def check_data(): ...\n", "src/qkv/data/pairs.py": ""}, []),
    ],
    "banned_code": [
        _one(NN, "def f(x):\n    assert x\n", f"{NN}::f"),
        _one(NN, "print(1)\n", NN),
        _one(NN, "eval('1')\n", NN),
        _one(NN, "exec('1')\n", NN),
        _one(NN, "import pickle\n", NN),
        _one(NN, "from pickle import loads\n", NN),
        _one(NN, "torch.load('x')\n", NN),
        _one("src/qkv/cli.py", "print(1)\n"),
        _one(NN, "net.eval()\nconsole.print(1)\n"),
    ],
    "caught_and_raised": [
        _one(NN, "try:\n    f()\nexcept Exception:\n    pass\n", NN),
        _one(NN, "try:\n    f()\nexcept:\n    pass\n", NN),
        _one(NN, "try:\n    f()\nexcept (OSError, Exception):\n    pass\n", NN),
        _one(NN, "with contextlib.suppress(Exception):\n    f()\n", NN),
        _one(NN, "raise ValueError('no')\n", NN),
        _one(NN, "raise NotImplementedError\n", NN),
        _one(NN, "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"),
        _one(NN, "raise ShapeError('no')\n"),
    ],
    "left_behind": [
        _one(NN, "x = 1  # TODO: later\n", NN),
        _one(NN, "x = 'FIXMEs'\n"),
    ],
    "one_writer": [
        _one(NN, "open('x', 'w')\n", NN),
        _one(NN, "open('x', mode='ab')\n", NN),
        _one(NN, "path.open('w')\n", NN),
        _one(NN, "path.write_text('x')\n", NN),
        _one(NN, "os.replace('a', 'b')\n", NN),
        _one(NN, "shutil.rmtree('a')\n", NN),
        _one(NN, "open('x')\npath.open('rb')\nfiles.write_text(path, 'x')\ns.replace('a', 'b')\n"),
        _one("src/qkv/base/files.py", "open('x', 'w')\n"),
    ],
    "one_seed": [
        _one(NN, "torch.manual_seed(0)\n", NN),
        _one(NN, "random.seed(0)\n", NN),
        _one("src/qkv/base/seeds.py", "torch.manual_seed(0)\n"),
    ],
    "test_folders": [
        _one("tests/nn/__init__.py", "", "tests/nn/__init__.py"),
        _one("tests/nn/test_part.py", ""),
    ],
    "skips": [
        _one("tests/test_a.py", "@pytest.mark.skip\ndef test_x(): ...\n", "tests/test_a.py::test_x"),
        _one("tests/test_a.py", "@pytest.mark.xfail(strict=True)\ndef test_x(): ...\n", "tests/test_a.py::test_x"),
        _one("tests/test_a.py", "def test_x():\n    pytest.skip('no')\n", "tests/test_a.py::test_x"),
        _one("tests/test_a.py", "babel = pytest.importorskip('babel')\n", "tests/test_a.py"),
        _one("tests/test_a.py", "@pytest.mark.slow\ndef test_x(): ...\n"),
    ],
    "code_blocks": [
        _one("README.md", "a\n```python\nx = \n```\n", "README.md:2"),
        _one("docs/a.md", "```console\nqkv demo\n```\n", "docs/a.md:1"),
        _one("docs/a.md", "```bash\nqkv demo\n```\n", "docs/a.md:1"),
        _one("docs/a.md", "```text\nqkv demo\n```\n", "docs/a.md:1"),
        _one("docs/a.md", "<!-- no-run: -->\n```console\n$ qkv demo\n```\n", "docs/a.md:2"),
        _one("docs/a.md", "<!-- no-run: takes minutes -->\n```console\n$ qkv demo\n```\n```python\nx = 1\n```\n"),
    ],
    "links": [
        _one("README.md", "[a](docs/gone.md)\n", "README.md"),
        (
            {"README.md": "[a](docs/a.md#b) [b](https://example.org)\n", "docs/a.md": "[up](../README.md) [in](#b)\n"},
            [],
        ),
    ],
    "index": [
        ({"docs/README.md": "[a](a.md)\n", "docs/a.md": "", "docs/b.md": ""}, ["docs/b.md"]),
    ],
    "pins": [
        _one("constraints.txt", "torch @ file:///tmp/torch.whl\n", "constraints.txt"),
        _one("constraints.txt", "-e /tmp/qkv\n", "constraints.txt"),
        _one("constraints.txt", "torch==2.13.0+cpu\n", "constraints.txt"),
        _one("constraints.txt", "torch>=2.13.0\n", "constraints.txt"),
        (
            {
                "constraints.txt": "torch==2.13.0\n",
                "pyproject.toml": "[project]\ndependencies = ['Jinja_2>=3', 'torch']\n",
            },
            ["constraints.txt"],
        ),
        _one("constraints.txt", "# pins\ntorch==2.13.0\n"),
    ],
    "lineage_proofs": [
        _one(LINEAGE, "[[item]]\nid = 2\ntitle = 'a'\nstatus = 'planned'\n", LINEAGE),
        _one(LINEAGE, "[[item]]\nid = 1\ntitle = 'a'\nstatus = 'soon'\n", f"{LINEAGE}::1"),
        _one(LINEAGE, "[[item]]\nid = 1\ntitle = 'a'\nstatus = 'runs'\n", f"{LINEAGE}::1"),
        _one(LINEAGE, "[[item]]\nid = 1\ntitle = 'a'\nstatus = 'told'\n", f"{LINEAGE}::1"),
        _one(LINEAGE, "[[item]]\nid = 1\ntitle = 'a'\nstatus = 'runs'\nproof = 'qkv fly'\n", f"{LINEAGE}::1"),
        _one(LINEAGE, "[[item]]\nid = 1\ntitle = 'a'\nstatus = 'told'\nproof = 'docs/gone.md'\n", f"{LINEAGE}::1"),
        (
            {
                LINEAGE: "[[item]]\nid = 1\nstatus = 'runs'\nproof = 'tests/test_a.py::test_gone'\n",
                "tests/test_a.py": "def test_x(): ...\n",
            },
            [f"{LINEAGE}::1"],
        ),
        (
            {
                LINEAGE: "[[item]]\nid = 1\nstatus = 'runs'\nproof = 'tests/test_a.py::test_x'\n"
                "[[item]]\nid = 2\nstatus = 'runs'\nproof = 'qkv demo --to hu'\n",
                "tests/test_a.py": "def test_x(): ...\n",
                "tests/house/cli_options.txt": "qkv demo\n  --to\n",
            },
            [],
        ),
    ],
}
