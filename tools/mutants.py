"""Break one line of the methods at a time; a test must fail each time. Prints a Markdown table.

    python tools/mutants.py [NAME ...]

Each mutant is made in a copy of the checkout, in which its tests run until the first failure. The
exit code is 1 if any mutant survives.
"""

# ruff: noqa: E501  (lines of other files, one level deeper)
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOCO, V3, FAST = (f"vidmoco/methods/{name}.py" for name in ("moco", "moco_v3", "fast_moco"))
SIMCLR, BANK = "vidmoco/methods/simclr.py", "vidmoco/methods/memory_bank.py"


@dataclass(frozen=True)
class Mutant:
    """A line and its broken version."""

    name: str
    file: str
    line: str
    broken: str
    tests: str


MUTANTS = [
    Mutant(
        "keys get gradients (MoCo)",
        MOCO,
        "    @torch.no_grad()  # no gradient to keys",
        "    @torch.enable_grad()",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "keys get gradients (MoCo v3)",
        V3,
        "        with torch.no_grad():  # no gradient to keys",
        "        with torch.enable_grad():",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "keys get gradients (Fast-MoCo)",
        FAST,
        "        with torch.no_grad():  # no gradient to targets",
        "        with torch.enable_grad():",
        "tests/methods/test_fast_moco.py",
    ),
    Mutant(
        "the key encoder trains",
        MOCO,
        "copy.deepcopy(self.encoder_q).requires_grad_(False)",
        "copy.deepcopy(self.encoder_q)",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "query and key views swapped",
        "vidmoco/methods/terms.py",
        "    large = [(q, k) for q in queries for k in range(large_views) if k != q]",
        "    large = [(k, q) for q in queries for k in range(large_views) if k != q]",
        "tests/methods/test_terms.py",
    ),
    Mutant(
        "the positive is the first negative",
        "vidmoco/methods/losses.py",
        "    likely = own\n",
        "    likely = others[:, : own.shape[1]]\n",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "temperature dropped",
        "vidmoco/methods/losses.py",
        """others = torch.einsum("nc,kc->nk", query, negatives) / tau""",
        """others = torch.einsum("nc,kc->nk", query, negatives)""",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "masked keys counted",
        "vidmoco/methods/losses.py",
        "        others = others.masked_fill(masked, nothing)",
        "        others = others.masked_fill(masked & False, nothing)",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "mask inverted",
        "vidmoco/methods/losses.py",
        "        others = others.masked_fill(masked, nothing)",
        "        others = others.masked_fill(~masked, nothing)",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "the label is off by one",
        "vidmoco/methods/terms.py",
        "    return torch.arange(num, device=device) + num",
        "    return torch.arange(num, device=device).roll(1) + num",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "the bank's momentum reversed",
        BANK,
        "lerp(query.to(self.entries.dtype), 1 - self.momentum)",
        "lerp(query.to(self.entries.dtype), self.momentum)",
        "tests/methods/test_memory_bank.py",
    ),
    Mutant(
        "a view is its own negative (NT-Xent)",
        "vidmoco/methods/losses.py",
        "    return in_batch_nce(both, both, labels, tau=tau, masked=masked)",
        "    return in_batch_nce(both, both, labels, tau=tau)",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "noise samples counted once for all (NCE)",
        "vidmoco/methods/losses.py",
        "offset = math.log(num_instances / noise.shape[1]) - constant.log()",
        "offset = math.log(num_instances) - constant.log()",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "the queue does not wrap",
        "vidmoco/methods/feature_queue.py",
        "        slots = (self.position + torch.arange(len(keys), device=self.keys.device)) % size",
        "        slots = torch.arange(len(keys), device=self.keys.device)",
        "tests/methods/test_feature_queue.py",
    ),
    Mutant(
        "the queue joins at once",
        MOCO,
        "        if self.progress < self.queue_from:",
        "        if self.progress < 0:",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "the queue never joins",
        MOCO,
        "        self.progress = progress",
        "        self.progress = 0.0",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "keys without their videos",
        "vidmoco/methods/feature_queue.py",
        "        self.source_ids.index_copy_(0, slots, source_ids)",
        "        self.source_ids.index_copy_(0, slots, source_ids * 0)",
        "tests/methods/test_feature_queue.py",
    ),
    Mutant(
        "time distance of the mask ignored",
        "vidmoco/methods/feature_queue.py",
        "            same &= (times[:, None] - self.times).abs() <= within",
        "            same &= (times[:, None] - self.times).abs() >= 0",
        "tests/methods/test_feature_queue.py",
    ),
    Mutant(
        "queries not normalised",
        MOCO,
        "normalize(self.encoder_q(views[q]).float(), dim=1)",
        "self.encoder_q(views[q]).float()",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "keys not normalised",
        MOCO,
        "normalize(keys[own.start : own.stop].float(), dim=1)",
        "keys[own.start : own.stop].float()",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "keys enter the queue before the loss",
        MOCO,
        "        positives = torch.stack([keys[k] for k in own], dim=1)",
        "        self.queue.enqueue(keys[own[0]], source_ids, times)\n"
        "        positives = torch.stack([keys[k] for k in own], dim=1)",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "momentum of query and key swapped",
        "vidmoco/methods/momentum.py",
        "list(query.parameters()), 1 - m)",
        "list(query.parameters()), m)",
        "tests/methods/test_momentum.py",
    ),
    Mutant(
        "momentum update left out (MoCo)",
        MOCO,
        "        update_momentum(self.encoder_k, self.encoder_q, m=m)",
        "        pass",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "momentum update left out (MoCo v3)",
        V3,
        "        update_momentum(self.encoder_k, self.encoder_q, m=m)",
        "        pass",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "the key encoder moves with each micro-batch",
        "vidmoco/train/step.py",
        "    method.begin_step(progress)\n    for part in range(num_parts):\n",
        "    for part in range(num_parts):\n        method.begin_step(progress)\n",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "momentum on a cosine runs backwards",
        "vidmoco/methods/momentum.py",
        "math.cos(math.pi * progress)",
        "math.cos(math.pi * (1 - progress))",
        "tests/methods/test_momentum.py",
    ),
    Mutant(
        "2 tau dropped (MoCo v3)",
        V3,
        "        return scale_loss(2 * 2 * self.tau, loss, stats)",
        "        return scale_loss(2, loss, stats)",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "predictor left out (MoCo v3)",
        V3,
        "self.predictor(self.encoder_q(view))",
        "self.encoder_q(view)",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "last batch norm with parameters (MoCo v3)",
        V3,
        '            last_norm="plain",\n            bias=False,\n        )\n        self.encoder_q',
        '            last_norm="scale and shift",\n            bias=False,\n        )\n'
        "        self.encoder_q",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "patches cut across views (Fast-MoCo)",
        FAST,
        '"n c (i h) (j w) -> (i j n) c h w"',
        '"n c (i h) (j w) -> (n i j) c h w"',
        "tests/methods/test_fast_moco.py",
    ),
    Mutant(
        "patches added, not averaged (Fast-MoCo)",
        FAST,
        "torch.stack(subset).mean(0)",
        "torch.stack(subset).sum(0)",
        "tests/methods/test_fast_moco.py",
    ),
    Mutant(
        "targets are patches too (Fast-MoCo)",
        FAST,
        "keys = [normalize(self.encoder_k(view).float(), dim=1) for view in views[:2]]",
        "keys = [normalize(self.encoder_k(view[..., ::2, ::2]).float(), dim=1) for view in views[:2]]",
        "tests/methods/test_fast_moco.py",
    ),
    Mutant(
        "gradients stop at the keys (end to end)",
        SIMCLR,
        "        keys = normalize(keys.float(), dim=1)  # (M, C), of all processes",
        "        keys = normalize(keys.float(), dim=1).detach()",
        "tests/methods/test_simclr.py",
    ),
    Mutant(
        "gather without gradient (SimCLR on two ranks)",
        "vidmoco/distributed.py",
        "        dist.all_reduce(gradient)",
        "        pass",
        "tests/methods/test_ranks.py",
    ),
    Mutant(
        "labels of rank 0 everywhere",
        "vidmoco/methods/terms.py",
        "    return torch.arange(num, device=device) + num * distributed.rank()",
        "    return torch.arange(num, device=device)",
        "tests/methods/test_ranks.py",
    ),
    Mutant(
        "keys come back in shuffled order",
        "vidmoco/methods/normalization.py",
        "    return gather(encoder(everything[to_parts[own.start : own.stop]]))[back]",
        "    return gather(encoder(everything[to_parts[own.start : own.stop]]))",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "batch norms not split",
        "vidmoco/methods/normalization.py",
        "            return torch.cat([whole(part) for part in x.chunk(self.num_splits)])",
        "            return whole(x)",
        "tests/methods/test_normalization.py",
    ),
    Mutant(
        "entries of the bank not renormalised",
        BANK,
        "self.entries.index_copy_(0, instances, normalize(moved, dim=1))",
        "self.entries.index_copy_(0, instances, moved)",
        "tests/methods/test_memory_bank.py",
    ),
    Mutant(
        "Z estimated anew for every batch",
        BANK,
        "torch.where(self.constant == 0, estimate, self.constant)",
        "estimate",
        "tests/methods/test_memory_bank.py",
    ),
    Mutant(
        "trust ratio on biases and norms",
        "vidmoco/optim/optimizers.py",
        "            decays = config.decay_vectors or parameter.ndim > 1",
        "            decays = True",
        "tests/optim/test_optimizers.py",
    ),
    Mutant(
        "LARC's rule in place of LARS's",
        "vidmoco/optim/lars.py",
        '                steps = list(torch._foreach_add(steps, trained, alpha=group["weight_decay"]))\n'
        "                torch._foreach_mul_(steps, _factors(trained, steps, "
        'group["trust_coefficient"]))',
        '                factors = _factors(trained, steps, group["trust_coefficient"])\n'
        '                steps = list(torch._foreach_add(steps, trained, alpha=group["weight_decay"]))\n'
        "                torch._foreach_mul_(steps, factors)",
        "tests/optim/test_optimizers.py",
    ),
    Mutant(
        "the predictor's rate follows the schedule",
        "vidmoco/optim/optimizers.py",
        "        if not group[_CONSTANT]:",
        "        if True:",
        "tests/optim/test_optimizers.py",
    ),
    Mutant(
        "columns are the slow axis (position embedding)",
        "vidmoco/backbones/moco_v3_vit.py",
        "for place in (rows, columns)]",
        "for place in (columns, rows)]",
        "tests/backbones/test_moco_v3_vit.py",
    ),
    Mutant(
        "six heads",
        "vidmoco/backbones/moco_v3_vit.py",
        '{"num_heads": 12}',
        '{"num_heads": 6}',
        "tests/backbones/test_moco_v3_vit.py",
    ),
    Mutant(
        "the block of the own video not masked",
        "vidmoco/methods/negatives.py",
        "    own = source_ids[:, None] == ids",
        "    own = source_ids[:, None] != source_ids[:, None] + 0 * ids",
        "tests/methods/test_moco.py",
    ),
    Mutant(
        "other positives in the softmax of one",
        "vidmoco/methods/losses.py",
        "losses = torch.logaddexp(own, others.logsumexp(1, keepdim=True)) - likely",
        "losses = torch.cat([own, others], 1).logsumexp(1, keepdim=True) - likely",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "losses count alike, and not their terms",
        "vidmoco/methods/terms.py",
        "    weights = torch.ones(len(losses)) if counts is None else torch.tensor(list(counts))",
        "    weights = torch.ones(len(losses))",
        "tests/methods/test_terms.py",
    ),
    Mutant(
        "more frames without the law of their distance",
        "vidmoco/data/sampling.py",
        "        share = gap / duration  # no overflow",
        "        share, frames = gap / duration, 2",
        "tests/data/test_sampling.py",
    ),
    Mutant(
        "six heads taken for twelve",
        "vidmoco/backbones/import_checkpoint.py",
        "    if heads != guess.heads:",
        "    if False:",
        "tests/backbones/test_import_checkpoint.py",
    ),
    Mutant(
        "what is left over of a checkpoint not refused",
        "vidmoco/backbones/import_checkpoint.py",
        "    if missing or left_over:",
        "    if missing:",
        "tests/backbones/test_import_checkpoint.py",
    ),
    Mutant(
        "code in a checkpoint runs",
        "vidmoco/backbones/checkpoint_file.py",
        "weights_only=True",
        "weights_only=False",
        "tests/backbones/test_checkpoint_file.py",
    ),
    Mutant(
        "a file for another tool not compared",
        "vidmoco/backbones/export_file.py",
        "    if not distance <= _TOLERANCE:",
        "    if False:",
        "tests/backbones/test_export_file.py",
    ),
    Mutant(
        "a moment of a video is no instance of its own",
        BANK,
        "+ (times / self.instance_seconds).round().long()",
        "+ 0 * times.long()",
        "tests/methods/test_memory_bank.py",
    ),
    Mutant(
        "buffers of batch norms follow the momentum too",
        "vidmoco/methods/momentum.py",
        "    torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - m)",
        "    torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - m)\n    [k.copy_(q) for k, q in zip(key.buffers(), query.buffers())]",
        "tests/methods/test_momentum.py",
    ),
    Mutant(
        "keys of the end-to-end mechanism not shuffled",
        SIMCLR,
        "            bn_splits=self.bn_splits,\n            generator=self.random.generator,",
        "            bn_splits=1,\n            generator=self.random.generator,",
        "tests/methods/test_simclr.py",
    ),
    Mutant(
        "keys of the query's own source are negatives (MoCo v3)",
        V3,
        "labels, tau=self.tau, masked=repeats)",
        "labels, tau=self.tau)",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "the positive is masked with its source",
        "vidmoco/methods/terms.py",
        "    return repeats.scatter(1, labels_of_own(len(source_ids), source_ids.device)[:, None], False)",
        "    return repeats",
        "tests/methods/test_moco_v3.py",
    ),
    Mutant(
        "views of one source are negatives (SimCLR)",
        "vidmoco/methods/losses.py",
        "    ids = source_ids.repeat(2)",
        "    ids = torch.arange(len(both), device=both.device)",
        "tests/methods/test_losses.py",
    ),
    Mutant(
        "an instance that comes twice moves towards the sum",
        BANK,
        "        query = sums[first] / same.sum(1, keepdim=True)",
        "        query = sums[first]",
        "tests/methods/test_memory_bank.py",
    ),
    Mutant(
        "a part of a video has times of the whole",
        "vidmoco/data/sampling.py",
        "tuple(start + time for time in times), source",
        "times, source",
        "tests/data/test_sources.py",
    ),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of mutants; the default is all")
    given = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not given.names or any(part in mutant.name for part in given.names)
    ]
    print("| broken | in | seen by | seconds |\n|---|---|---|---|")
    survivors = [mutant.name for mutant in chosen if not is_seen(mutant)]
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} were seen.")
    sys.exit(f"Survived: {', '.join(survivors)}" if survivors else 0)


def is_seen(mutant: Mutant) -> bool:
    """Return whether a test fails; print a row of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "checkout"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__", "docs")
        )
        path = copy / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.line) < 1:
            raise SystemExit(f"{mutant.file} has no line {mutant.line!r} to break")
        path.write_text(text.replace(mutant.line, mutant.broken), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, mutant.tests],
            cwd=copy,
            env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin", "HOME": temporary},
            capture_output=True,
            text=True,
            check=False,
        )
    red = done.returncode == 1
    nonsense = re.search(r"^E +(Name|Syntax|Import|Type|Attribute)Error", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or nonsense:  # the mutant breaks the program, not its results
        raise SystemExit(f"{mutant.name}: the tests do not run.\n{done.stdout}{done.stderr}")
    seen = mutant.tests if red else "**nothing**"
    seconds = time.monotonic() - began
    print(f"| {mutant.name} | {mutant.file} | {seen} | {seconds:.0f} |", flush=True)
    return red


if __name__ == "__main__":
    main()
