from vidmoco.loggers.protocol import scalars_of, scalars_of_monitor


def test_names_are_those_of_the_files():
    line = {"step": 4, "epoch": 1, "loss": 0.5, "note": "text"}
    assert scalars_of(line) == {"epoch": 1.0, "loss": 0.5}
    line = {
        "step": 4,
        "epoch": 1,
        "knn_top1": 30.0,
        "retrieval": {"0.5": 9, "2.0": 8},
        "seconds": 1,
    }
    found = {"knn_top1": 30.0, "retrieval/0.5": 9.0, "retrieval/2.0": 8.0}
    assert scalars_of_monitor(line) == found
    assert scalars_of_monitor({"step": 4, "failure": "not finite"}) == {}
