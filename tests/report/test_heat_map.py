from report_material import EVIL, Page

from vidmoco.report.heat_map import heat_map


def test_cells_are_shares_of_their_rows():
    page = Page(heat_map("t", [[3, 1], [0, 0]], [EVIL, "a rather long name of a class"]))
    cells = page.all("rect", class_="cell")
    assert [float(cell["fill-opacity"]) for cell in cells] == [0.75, 0.25, 0, 0]
    assert ["right" in cell["class"] for cell in cells] == [True, False, False, True]
    places = [(float(cell["x"]), float(cell["y"])) for cell in cells]
    assert places[0][1] == places[1][1] < places[2][1]
    assert places[0][0] == places[2][0] < places[1][0]
    titles = [text for element, text in page.texts if element == "title"]
    assert titles[0] == f"{EVIL} predicted as {EVIL}: 3 of 4 (75%)"
    assert titles[3].endswith("0 of 0 (0%)")
    assert ("text", "a rather long na…") in page.texts


def test_a_single_mistake_is_seen():
    cells = Page(heat_map("t", [[999, 1], [2, 2]], ["a", "b"])).all("rect", class_="cell")
    assert [float(cell["fill-opacity"]) for cell in cells] == [1, 0.06, 0.5, 0.5]
