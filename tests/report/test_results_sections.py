from markupsafe import Markup
from report_material import EVIL, Page, results, row

from vidmoco.report.results_file import knn_columns, other_columns
from vidmoco.report.results_sections import (
    finetune_charts,
    results_header,
    results_section,
    scores_table,
)


def page_of(data):
    return Page(Markup().join(results_section(data, name="r.json").parts))


def test_the_winner_of_each_column_is_marked_with_ties():
    rows = [row("a", knn=40.04, linear=50.0), row(EVIL, knn=39.96, linear=60.0)]
    columns = [*knn_columns(rows, "0.07"), *other_columns(results(*rows))]
    page = Page(scores_table(rows, columns, label="t"))
    marks = ["best" in (cell["class"] or "") for cell in page.all("td", class_="number")]
    assert marks == [True, True, False, True, True, True]
    numbers = [text for element, text in page.texts if element == "td"]
    assert numbers == ["a", "40.0", "41.0", "50.0", EVIL, "40.0", "41.0", "60.0"]
    notes = [text for element, text in page.texts if element == "small"]
    assert notes[1:4] == ["35.0–45.0", "36.0–46.0", "47.0–53.0"]
    groups = [(g["colspan"]) for g in page.all("th", class_="group")]
    assert groups == ["2", "1"]


def test_a_section_has_all_that_is_in_the_file():
    refused = [{"name": EVIL, "split": "val", "reason": "truncated"}]
    data = results(row("a"), row("b", knn=30), refused=refused, notes=[EVIL])
    section = results_section(data, name="r.json")
    page = Page(Markup().join(section.parts))
    assert section.title == "Comparison on pets"
    assert section.lead.startswith("r.json: 1,000 train and 20 val images of 2 classes")
    heads = [text for element, text in page.texts if element == "h3"]
    assert heads == [
         "Class by class", "How it was measured", "Repeat it",
    ]  # fmt: skip
    assert "1 image could not be read" in page.text and "truncated" in page.text
    assert ("li", EVIL) in page.texts
    assert "linear: logistic regression" in page.text
    charts = [text for element, text in page.texts if element == "strong"]
    assert charts[:2] == ["How sure", "k-NN by number of neighbours"]
    columns = [text for element, text in page.texts if element == "title"]
    assert "k 20\na 41.0 %\nb 31.0 %" in columns


def test_of_many_refused_images_the_first_are_listed():
    refused = [{"name": f"{n}.jpg", "split": "train", "reason": "empty"} for n in range(1234)]
    page = page_of(results(row("a"), refused=refused))
    assert "1,234 images could not be read" in page.text and "and 1,034 more" in page.text
    assert ("td", "199.jpg") in page.texts and ("td", "200.jpg") not in page.texts


def test_classes_of_unequal_size_are_told():
    page = page_of(results(row("a"), num_val_by_class=[19, 1]))
    assert "to answer always cat gives a top-1 of 95.0 %" in page.text


def test_one_backbone_wins_nothing():
    assert page_of(results(row("a"))).all("td", class_="best") == []


def test_a_file_with_little_in_it_is_shown_too():
    assert "only" in page_of(results({"name": "only"})).text
    page = page_of(results(row("a", linear=None), row("b")))
    assert ("td", "–") in page.texts


def test_charts_of_a_fine_tuning_have_a_line_a_backbone():
    def curve(*top1):
        epochs = [{"epoch": float(n), "top1": v} for n, v in enumerate(top1, 1)]
        return {"recipe": "moco_v1", "lr": 30.0, "epochs": epochs, "top1": top1[-1]}

    rows = [
        row("a") | {"finetune": {"head": curve(10.0, 20.0), "all": curve(30.0)}},
        row("b") | {"finetune": {"head": curve(15.0, 25.0, 35.0)}},
    ]
    head, every = (Page(chart) for chart in finetune_charts(rows))
    assert len(head.all("path", class_="line")) == 4  # and as many in the legend
    columns = [text for element, text in head.texts if element == "title"]
    assert columns == [
        "epoch 1\na 10.0 %\nb 15.0 %",
        "epoch 2\na 20.0 %\nb 25.0 %",
        "epoch 3\nb 35.0 %",
    ]
    assert "All layers" in every.text and "b" not in every.text.split()
    page = page_of(results(*rows, settings={"finetune": ["head"]}))
    assert "head, top-1" in page.text and "Only the head: top-1 by epoch" in page.text


def test_the_header_names_the_winners():
    rows = [row("a", knn=40, linear=60), row("b", knn=40, linear=50)]
    page = Page(Markup().join(results_header(results(*rows))))
    assert [text for element, text in page.texts if element == "b"] == ["41.0 %", "60.0 %"]
    spans = [text for element, text in page.texts if element == "span"]
    assert spans == ["k-NN, τ = 0.07, k = 20", "a and b", "linear probe, top-1", "a"]


def test_the_command_to_repeat():
    page = page_of(results(row("a"), command="vidmoco evaluate 'a & b' --backbone x"))
    assert "vidmoco evaluate 'a & b' --backbone x" in page.text
