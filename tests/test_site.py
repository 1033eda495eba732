"""The site of docs/, built as `make docs` builds it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from cluster_files import ROOT

import vidmoco
from vidmoco.cli.commands import COMMANDS
from vidmoco.config.recipe import shipped_recipes

pytestmark = pytest.mark.slow


class _Addresses(HTMLParser):
    """What a page links to, and what it loads by itself."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs.get("id"), attrs.get("name")}
        if "src" in attrs:
            self.loads.append(attrs["src"])
        if tag == "link" and attrs.get("rel") != "canonical":
            self.loads.append(attrs["href"])
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    config = ROOT / "docs" / "site" / "mkdocs.yml"
    words = ["mkdocs", "build", "--quiet", "--config-file", config, "--site-dir", folder]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [sys.executable, "-m", *words], check=False, capture_output=True, text=True, env=quiet
    )
    assert built.returncode == 0, built.stderr
    assert not built.stderr
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.html")
    } | {"/": folder}


def pages(site):
    return {name: _Addresses(text) for name, text in site.items() if name not in ("/", "404.html")}


def test_nothing_comes_from_another_server(site):
    loads = [address for page in pages(site).values() for address in page.loads]
    assert len(loads) > 100
    assert not [address for address in loads if re.match(r"(\w+:)?//", address)]
    styles = [path.read_text() for path in site["/"].rglob("*.css")]
    assert styles and not [text for text in styles if re.search(r"(url\(|@import).{0,3}http", text)]


def test_each_link_leads_somewhere(site):
    found = pages(site)
    for name, page in found.items():
        for address in page.links + page.loads:
            path, _, anchor = unquote(address).partition("#")
            if re.match(r"\w+:", path):
                continue
            target = os.path.normpath(Path(name).parent / path) if path else name
            assert (site["/"] / target).exists(), f"{name}: {address}"
            if anchor and target in found:
                assert anchor in found[target].ids, f"{name}: {address}"


def test_each_flag_has_a_row(site):
    command = None
    for line in (ROOT / "tests" / "cli" / "flags.txt").read_text().splitlines():
        if line.endswith(":"):
            command = line.split()[0].rstrip(":")
            continue
        for flag in re.findall(r"--[\w.-]+", line):
            if not re.match(r"--help|--(\w+\.)?no-", flag):
                assert f"<code>{flag}</code>" in site[f"commands/{command}.html"], (command, flag)
    assert {f"commands/{name}.html" for name in COMMANDS} <= site.keys()


def test_each_recipe_and_each_public_name_has_a_section(site):
    recipes, names = pages(site)["recipes.html"].ids, pages(site)["reference/vidmoco.html"].ids
    assert set(shipped_recipes()) <= recipes
    public = set(vidmoco.__all__) - {"__version__", "evaluate"}
    assert {f"vidmoco.{name}" for name in public} | {"vidmoco.api.features.evaluate"} <= names
    assert "53 hours on 8 V100" in site["recipes.html"]  # the comments are there too


def test_each_example_has_a_page(site):
    files = [path for path in (ROOT / "examples").rglob("*.*") if "__pycache__" not in path.parts]
    assert len(files) > 5
    for path in files:
        assert f"{path.relative_to(ROOT).as_posix()}.html" in site
