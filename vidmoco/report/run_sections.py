"""Sections of a run: header, configuration, environment, refused files, commands to repeat it."""

import json
import shlex
import sys
from collections import Counter
from statistics import median
from typing import Any

from markupsafe import Markup

from vidmoco import run_folder
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import changed_values
from vidmoco.errors import ConfigError
from vidmoco.json_text import parse_json
from vidmoco.report.axes import number
from vidmoco.report.markup import Section, code, command_line, folded, paragraph, render, table
from vidmoco.report.run_facts import RunFacts
from vidmoco.text import counted
from vidmoco.train.collapse import collapse_of
from vidmoco.video.catalog import Catalog

_SHOWN_REFUSALS = 200
_STATES = {"finished": "Finished", "stopped": "Stopped", "open": "In progress"}


def run_header(facts: RunFacts) -> list[Markup]:
    """Return the header: how the run ended, and its last numbers."""
    try:
        collapsed = collapse_of(facts.last, most_rank=_most_rank(facts.config))
    except (KeyError, TypeError, ValueError):  # a log without these numbers
        collapsed = ""
    ended = facts.state == "finished"
    return [
        render(
            "header",
            state=_STATES[facts.state],
            state_class="state" if ended else "state open",
            summary=_summary(facts),
            warning=collapsed,
            tiles=_tiles(facts),
        )
    ]


def _most_rank(config: PretrainConfig | None) -> int:
    return sys.maxsize if config is None else min(config.data.batch_size, config.method.dim)


def repeat_section(facts: RunFacts) -> Section:
    """Return the commands that repeat the run."""
    words = facts.environment.get("command")
    parts: list[Markup] = []
    if isinstance(words, list) and len(words) > 1:
        began = shlex.join(["vidmoco", *map(str, words[1:])])
        parts += [paragraph("The command that began it:"), command_line(began)]
    again = shlex.join(["vidmoco", "pretrain", "--recipe", str(facts.folder / run_folder.CONFIG)])
    parts += [paragraph("With all settings from its own file:"), command_line(again)]
    if facts.state != "finished":
        resume = shlex.join(["vidmoco", "pretrain", "--run", str(facts.folder), "--resume"])
        parts += [paragraph("To resume from its last checkpoint:"), command_line(resume)]
    return Section("Repeat it", parts)


def configuration_section(facts: RunFacts) -> Section:
    """Return the settings: first those that differ from the recipe, then all."""
    whole = folded(run_folder.CONFIG, code(facts.text, block=True))
    if facts.config is None:
        lead = "This version of vidmoco cannot read the settings; here is their file."
        reason = paragraph(facts.config_problem, "warning")
        return Section("Configuration", [reason, whole], lead)
    name, base = facts.base_recipe()
    changed = changed_values(facts.config, base)
    if not changed:
        return Section("Configuration", [whole], f"All settings are those of {name}.")
    rows = [[code(key), *(code(_text(one)) for one in both)] for key, both in changed.items()]
    lead = f"Settings that differ from {name}."
    shown = table(["setting", "this run", name], rows, label="Settings that differ", left=3)
    return Section("Configuration", [shown, whole], lead)


def environment_section(facts: RunFacts) -> Section | None:
    """Return the machine and the versions, or None if the run did not record them."""
    known = facts.environment
    if not known:
        return None
    packages = known.get("packages")
    rows = [(key, value) for key, value in known.items() if key not in ("packages", "command")]
    rows += list(packages.items()) if isinstance(packages, dict) else []
    shown = [(str(key).replace("_", " "), _text(value)) for key, value in rows if value is not None]
    return Section("Environment", [render("environment", rows=shown)])


def refused_section(facts: RunFacts) -> Section | None:
    """Return the videos that could not be read or killed a process, or None if there are none."""
    parts: list[Markup] = []
    catalog_file = facts.folder / run_folder.CATALOG
    if catalog_file.is_file():
        try:
            catalog = Catalog.load(catalog_file)
        except ConfigError as error:
            parts.append(paragraph(str(error), "warning"))
        else:
            parts += _refusals(catalog)
    parts += _quarantined(facts)
    return Section("Refused files", parts) if parts else None


def _summary(facts: RunFacts) -> str:
    """Return a summary of the run, which follows its state ("Finished")."""
    last, total = facts.last, facts.total_steps
    words = []
    if facts.config is not None:
        words += [facts.config.method.name, facts.config.backbone.name]
    if videos := facts.provenance.get("num_videos"):
        words.append(counted(videos, "video") if isinstance(videos, int) else f"{videos} videos")
    steps = f"{last['step']:,}" + (f" of {total:,}" if total and total > last["step"] else "")
    words.append(f"{steps} steps")
    if isinstance(last.get("epoch"), int | float):
        words.append(f"{last['epoch']:,.4g} epochs")
    if started := facts.environment.get("time"):
        words.append(f"started {str(started).replace('T', ' ').replace('+00:00', ' UTC')}")
    about = ", or killed" if facts.state == "open" else ""
    return f"{about} · {' · '.join(words)}"


def _tiles(facts: RunFacts) -> list[tuple[str, str, str]]:
    """Return name, value and explanation of the header's numbers."""
    last = facts.last
    tiles = []

    def add(name: str, key: str, about: str, unit: str = "") -> None:
        if isinstance(last.get(key), int | float):
            tiles.append((name, number(last[key], unit), about))

    loss = last.get("loss")
    add("Loss minus chance", "loss_minus_chance",
        f"loss {number(loss)}" if isinstance(loss, int | float) else "")  # fmt: skip
    add("Top-1 among the keys", "top1", "in the last interval", " %")
    add("Effective rank", "effective_rank", "of the embeddings")
    for line in reversed(facts.monitor):
        if isinstance(line.get("knn_top1"), int | float):
            tiles.append(("k-NN monitor", f"{line['knn_top1']:.1f} %", f"at step {line['step']:,}"))
            break
    if facts.seconds:
        tiles.append(("Training time", duration(facts.seconds), "of the logged steps"))
    speeds = [v for m in facts.metrics if isinstance(v := m.get("pairs_per_second"), int | float)]
    waits = [v for m in facts.metrics if isinstance(v := m.get("data_wait_share"), int | float)]
    if speeds:
        wait = f"median; {100 * sum(waits) / len(waits):.1f} % waiting for data" if waits else ""
        tiles.append(("Pairs per second", number(median(speeds)), wait))
    return tiles


def duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    whole = round(seconds)
    for name, below, size, part in (
        ("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)
    ):  # fmt: skip
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {below}"
    return f"{whole} s"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _refusals(catalog: Catalog) -> list[Markup]:
    refused = catalog.refused()
    if not len(refused):
        return [paragraph(f"All {len(catalog):,} videos could be read.", "lead")]
    kinds = Counter(str(reason) for reason in refused.column("reason"))
    lead = f"{len(refused):,} of {len(catalog):,} videos are not read."
    common = [[reason, f"{count:,}"] for reason, count in kinds.most_common(20)]
    rows = [[refused[n].key, refused[n].reason] for n in range(min(len(refused), _SHOWN_REFUSALS))]
    foot = ""
    if len(refused) > len(rows):
        foot = f"and {len(refused) - len(rows):,} more, in {run_folder.CATALOG}"
    listed = table(["video", "reason"], rows, label="Refused videos", left=2, foot=foot)
    parts = [paragraph(lead, "lead")]
    if len(kinds) < len(refused):
        parts.append(table(["reason", "videos"], common, label="Reasons"))
    return [*parts, folded("The files", listed, is_open=len(rows) <= 20)]


def _quarantined(facts: RunFacts) -> list[Markup]:
    """Return the videos of all processes' quarantine files; a damaged line is shown as it is."""
    rows = []
    for path in sorted(facts.folder.glob("quarantine*.jsonl")):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = parse_json(text)
                rows.append([str(entry["key"]), str(entry["reason"]), str(entry["step"])])
            except (ValueError, TypeError, KeyError):
                rows.append([text[:200], f"a damaged line of {path.name}", ""])
    if not rows:
        return []
    lead = "These videos killed a decoding process and were skipped from that step on:"
    shown = table(["video", "what happened", "step"], rows, label="Quarantine", left=2)
    return [paragraph(lead), shown]
