import pytest
from detection_material import Shape, random_shapes, voc_object, voc_xml, write_voc

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.voc_format import read_voc


@pytest.fixture
def given(tmp_path):
    write_voc(tmp_path, [[Shape("disc", (10, 20, 40, 52))]])
    return tmp_path


def read(folder):
    return read_voc(folder, "trainval", source="given")


def test_all_that_is_written_is_read(tmp_path):
    scenes = random_shapes(5)
    scenes[1] = [Shape("square", (0, 0, 96, 80), marked=True)]
    scenes[2] = []
    write_voc(tmp_path, scenes)
    part = read(tmp_path)
    assert part.classes == ("disc", "square")
    assert [path.name for path, *_ in part.images] == [f"trainval.{n:03d}.png" for n in range(5)]
    assert all((width, height) == (96, 80) for _, width, height, _ in part.images)
    found = [[(o.label, o.box, o.is_difficult) for o in objects] for *_, objects in part.images]
    assert found == [[(s.label, s.box, s.marked) for s in shapes] for shapes in scenes]
    assert not any(o.is_crowd for *_, objects in part.images for o in objects)


def test_parts_of_an_object_are_not_its_box(given):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    thing = voc_object(Shape("disc", (10, 20, 40, 52))).replace("<name>disc", part + "<name>disc")
    (given / "Annotations" / "trainval.000.xml").write_text(voc_xml(thing))
    ((*_, (found,)),) = read(given).images
    assert (found.label, found.box) == ("disc", (10, 20, 40, 52))


DOCTYPE = "<!DOCTYPE annotation [{}]>"
PAIRS = zip("bcdefghij", "abcdefghi", strict=True)
BOMB = '<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{of};" * 10}">' for name, of in PAIRS
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an XML file"),
        ("<annotation>", "is not an XML file"),
        (voc_xml("<object><name>disc</name></object>"), "no bndbox/xmin in its <object>"),
        (voc_xml(voc_object(Shape("", (1, 2, 3, 4)))), "no name in its <object>"),
        (voc_xml("").replace("96", "wide"), "size/width is 'wide'; expected a number"),
        ("<annotation></annotation>", "no size/width in its <annotation>"),
        (DOCTYPE.format("") + voc_xml(""), "has a document type"),
        (
            DOCTYPE.format(BOMB) + voc_xml("<object><name>&j;</name></object>"),
            "has a document type",
        ),
        (
            DOCTYPE.format('<!ENTITY x SYSTEM "file:///etc/passwd">')
            + voc_xml("<object><name>&x;</name></object>"),
            "has a document type",
        ),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is not an XML file"),
    ],
    ids=range(10),
)
def test_annotations_of_another_form(given, text, message):
    (given / "Annotations" / "trainval.000.xml").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(given)
    assert "trainval.000.xml" in str(caught.value)


def test_lists_and_annotations_that_are_not_there(given):
    with pytest.raises(DataError, match=r"no readable list .*Did you mean 'trainval'"):
        read_voc(given, "trainva", source="given")
    names = given / "ImageSets" / "Main" / "trainval.txt"
    names.write_text("../Annotations/trainval.000\n")
    with pytest.raises(DataError, match="not a path below"):
        read(given)
    names.write_text("trainval.001\n")
    with pytest.raises(DataError, match=r"Cannot read the annotation .*trainval\.001\.xml"):
        read(given)
