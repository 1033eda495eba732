import re

from vidmoco.report import script
from vidmoco.report.script import SCRIPT


def test_nothing_ends_the_script_early_and_nothing_is_run_or_put_in_as_markup():
    assert not re.search(r"</script|<script|<!--|-->|\r", SCRIPT, re.IGNORECASE)
    risky = (
        r"\beval\b|Function\(|innerHTML|outerHTML|insertAdjacent|document\.write|setTimeout|on\w+="
    )
    assert not re.search(risky, SCRIPT)
    assert not re.search(r"https?:|\bfetch\b|XMLHttp|\bimport\b|WebSocket|localStorage", SCRIPT)


def test_every_script_of_the_folder_is_in_the_page():
    folder = script.files("vidmoco.report") / "scripts"
    texts = [path.read_text() for path in folder.iterdir()]
    assert len(texts) == 4 and all(text.strip() in SCRIPT for text in texts)
    assert SCRIPT.startswith('"use strict"')
    assert len(SCRIPT) < 16_000  # a page that is sent by mail
