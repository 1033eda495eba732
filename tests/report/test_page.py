import base64
import hashlib

from report_material import EVIL, Page, foreign_addresses

from vidmoco.report.markup import Section, paragraph
from vidmoco.report.page import GENERATOR, page


def made(**more):
    sections = [
        Section(EVIL, [paragraph("one")], lead=EVIL, short="first"),
        Section("two", [EVIL]),
    ]
    header = [paragraph("summary")]
    return page(title=EVIL, kind="a run", header=header, sections=sections, foot=EVIL, **more)


def test_names_are_text_and_the_page_is_well_formed():
    text = made()
    parsed = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert parsed.all("script") == [{}] and "alert(1)" in parsed.text
    assert [name for name, _ in parsed.elements].count("style") == 1
    for where in ("title", "h1", "h2", "p", "footer", "section"):
        assert any(element == where and EVIL in text for element, text in parsed.texts), where


def test_nothing_is_asked_of_the_network():
    text = made()
    assert foreign_addresses(text) == []
    assert foreign_addresses(text.replace("<style>", "<style>@import 'a';")) == ["@import"]
    assert foreign_addresses(text.replace("<h1", '<img src="//a.b/c"><h1')) == ["//a.b/c"]
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = Page(text).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{digest}'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_list_at_the_top_leads_to_the_sections():
    parsed = Page(made())
    targets = [section["id"] for section in parsed.all("section")]
    assert [link["href"] for link in parsed.all("a")] == [f"#{target}" for target in targets]
    assert ("a", "first") in parsed.texts and ("a", "two") in parsed.texts
    assert len(set(targets)) == 2


def test_it_fits_small_screens_and_is_known_as_a_report():
    text = made()
    (view,) = Page(text).all("meta", name="viewport")
    assert view["content"] == "width=device-width, initial-scale=1"
    assert GENERATOR in text[:2000]
