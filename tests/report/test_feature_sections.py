import base64
from io import BytesIO

import numpy as np
import pytest
from explore_features import feature_set, random_features, write_features
from markupsafe import Markup
from PIL import Image
from report_material import Page

from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import open_features
from vidmoco.report import feature_sections as module
from vidmoco.report.feature_sections import feature_sections, place_of
from vidmoco.visualize.layout import layout_2d


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    """The layouts that were asked for; none is t-SNE's own, which takes seconds to load."""
    asked = []

    def layout(unit, *, kind):
        asked.append(kind)
        return layout_2d(unit, kind="pca")

    monkeypatch.setattr(module, "layout_2d", layout)
    monkeypatch.setattr(module, "require_tsne", lambda: None)
    monkeypatch.setattr(module, "_QUERIES", 3)
    return asked


def pages(features):
    return [Page(Markup().join(section.parts)) for section in feature_sections(features)]


def test_each_cell_of_the_map_says_where_its_frame_is_from(tmp_path):
    features = feature_set(tmp_path, random_features(9), random_features(9, seed=1))
    page, _ = pages(features)
    tiles = page.all("svg", class_="tile")
    cells = [tile["style"].partition("grid-area:")[2] for tile in tiles]
    assert len(tiles) == len(page.all("use", href="#sheet")) == 18
    assert len({cell for cell in cells if cell}) == len([cell for cell in cells if cell]) > 10
    assert [cell == "" for cell in cells] == ["off" in tile["class"] for tile in tiles]
    known = {place_of(features, row): row for row in range(18)}
    titles = [text for element, text in page.texts if element == "title"]
    assert sorted(titles) == sorted(known) and "a.mp4 at 8.00 s" in known


def test_tiles_know_their_place_their_video_and_their_part_of_the_one_picture(tmp_path):
    features = feature_set(tmp_path, random_features(9), random_features(5, seed=1))
    page, _ = pages(features)
    tiles = page.all("svg", class_="tile")
    titles = [text for element, text in page.texts if element == "title"]
    at = {title: tile["data-at"] for title, tile in zip(titles, tiles, strict=True)}
    points = layout_2d(features.take(np.arange(14)), kind="pca")
    low, high = points.argmin(axis=0), points.argmax(axis=0)
    places = {row: list(map(float, at[place_of(features, row)].split())) for row in range(14)}
    assert places[low[0]][0] == places[high[1]][1] == 0 and places[high[0]][0] == 1
    assert places[low[1]][1] == 1  # y grows downwards
    for title, tile in zip(titles, tiles, strict=True):
        assert tile["data-video"] == str("ab".index(title[0]))
    assert len({tile["viewbox"] for tile in tiles}) == 14
    (sheet,) = page.all("image", id="sheet")
    with Image.open(BytesIO(base64.b64decode(sheet["href"].partition(",")[2]))) as image:
        assert image.size == (int(sheet["width"]), int(sheet["height"]))
    colours = {tile["style"][:11] for tile in tiles}
    assert len(colours) == 2 and all(colour.startswith("--c:#") for colour in colours)


def test_frames_of_long_videos_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAP_FRAMES", 20)
    features = feature_set(tmp_path, random_features(60))
    section = feature_sections(features)[0]
    page = Page(Markup().join(section.parts))
    assert len(page.all("svg", class_="tile")) == 20 and "20 of 60 frames" in section.lead
    shown = 20 - len(page.all("svg", class_="off"))
    assert (f"{shown} of the 20 frames find a cell." in page.text) == (shown < 20)


def test_the_layout_is_what_is_installed_and_said(tmp_path, kinds, monkeypatch):
    features = feature_set(tmp_path, random_features(9))
    assert "t-SNE" in feature_sections(features)[0].lead

    def missing():
        raise ConfigError("t-SNE needs scikit-learn")

    monkeypatch.setattr(module, "require_tsne", missing)
    assert "principal components" in feature_sections(features)[0].lead
    assert kinds == ["tsne", "pca"]


def test_neighbours_are_of_other_videos_and_the_most_similar_ones(tmp_path):
    base = np.eye(6, dtype=np.float32)
    near = base[:1] + 0.1 * base[1:2]
    features = feature_set(tmp_path, base[:1], base[3:4], near)  # a is like c, b like none
    _, page = pages(features)
    lines = page.all("div", class_="near")
    assert len(lines) == 3 and len(page.all("figure", class_="query")) == 3
    captions = [text for element, text in page.texts if element in ("figcaption", "b")]
    assert captions[:5] == ["a.mp4 at 0.00 s", "1.00", "c.mp4 at 0.00 s", "0.00", "b.mp4 at 0.00 s"]


def test_of_one_video_neighbours_are_at_other_times(tmp_path):
    path = tmp_path / "<x>.npy"
    write_features(path, random_features(12), source=tmp_path / "<x>.mp4")
    features = open_features(path)
    first, sheet = feature_sections(features)
    assert "at other times" in sheet.lead and "12 frames of 1 videos" in first.lead
    page = Page(Markup().join(sheet.parts))
    captions = [text for element, text in page.texts if element == "figcaption"]
    times = [float(text.split(" at ")[1].split()[0]) for text in captions]
    assert captions[0].startswith("<x>.mp4 at 0.00") and len(page.all("div", class_="near")) == 3
    own = times[0]
    assert all(abs(time - own) >= 2 for time in times[1 : 1 + 5])
