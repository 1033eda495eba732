from markupsafe import Markup
from report_material import EVIL, Page, row

from vidmoco.report.class_parts import MOST_CLASSES, class_parts, class_shares


def test_the_share_of_each_class_that_is_right():
    assert class_shares([[3, 1], [0, 0]]) == [0.75, None]


def test_classes_from_best_to_worst_for_each_backbone():
    rows = [row("a"), row(EVIL) | {"linear_confusion": [[0, 10], [1, 9]]}]
    page = Page(Markup().join(class_parts(rows, [EVIL, "dog"])))
    cells = [text for element, text in page.texts if element == "td"]
    assert cells == ["dog", "10", "60", "90", EVIL, "10", "90", "0"]
    shares = [cell["style"] for cell in page.all("td", class_="share")]
    assert shares == ["--share:60%", "--share:90%", "--share:90%", "--share:0%"]
    assert len(page.all("figure", class_="heat")) == 2
    assert "linear probe" in page.text and "k-NN" not in page.text


def test_knn_where_not_all_have_a_probe():
    parts = class_parts([row("a"), row("b", linear=None)], ["x", "y"])
    assert "k-NN" in Page(Markup().join(parts)).text


def test_nothing_without_matrices_that_fit():
    assert class_parts([{"name": "a"}], ["x", "y"]) == []
    assert class_parts([row("a")], ["x", "y", "z"]) == []


def test_many_classes_have_no_heat_map():
    for size, maps in ((MOST_CLASSES, 1), (MOST_CLASSES + 1, 0)):
        matrix = [[int(i == j) for j in range(size)] for i in range(size)]
        parts = class_parts([{"name": "a", "knn_confusion": matrix}], [str(n) for n in range(size)])
        assert len(Page(Markup().join(parts)).all("figure", class_="heat")) == maps
