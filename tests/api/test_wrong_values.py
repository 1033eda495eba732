"""Settings from Python that cannot be: each is an error that names it.

They are tried in a process of their own, as a user's is: that of the tests checks types itself.
"""

import json

import pytest
from child_processes import Process

# Calls, and what the message of the ConfigError says.
CALLS = {
    "embed(clip, backbone=run, pool='avg')": "'pool' is 'avg'; it must be one of 'none', 'mean'",
    "embed(clip, backbone=run, scenes='last')": "'scenes' is 'last'; it must be one of 'first'",
    "embed(clip, backbone=run, scenes=True)": "'scenes' is True",
    "embed(clip, backbone=run, scenes='all')": "--scenes all needs --pool",
    "embed(clip, backbone=run, every=1.5)": "'every' is 1.5; it must be a whole number",
    "embed(clip, backbone=run, every=0)": "--every is 0",
    "embed(clip, backbone=run, keyframes='no')": "'keyframes' is 'no'; it must be true or false",
    "embed(clip, backbone=run, normalize='no')": "'normalize' is 'no'",
    "embed(clip, backbone=run, precision='fp16')": "'precision' is 'fp16'",
    "embed(clip, backbone=run, size='32')": "'size' is '32'",
    "embed(clip, backbone=run, size=4)": "--size is 4",
    "embed(clip, backbone=run, batch_size=0)": "--batch-size is 0",
    "embed(clip, backbone=run, workers=-1)": "--workers is -1",
    "embed(clip, backbone=run, fsp=2)": "unknown key 'fsp'. Did you mean 'fps'",
    "embed(clip, backbone=run, times='half')": "'times' is 'half'; it must be seconds, or m:ss",
    "embed(clip, backbone=run, start='1:75')": "'start' is '1:75'; it must be seconds, or m:ss",
    "embed(clip, backbone=run, end=[1])": "'end' is [1]; it must be a number",
    "embed(clip, backbone=run, feature='tokens')": "'feature' is 'tokens'; it must be one of",
    "embed(clip, backbone=frozen, feature='cls')": "has its own feature. Give them to load_frozen",
    "embed(clip, backbone=run, limits={'max_time': 3})": "unknown key 'limits.max_time'",
    "embed(clip, backbone=run, limits=3)": "'limits' is 3; it must be a mapping of settings",
    "FramePairs(videos, limits={'max_frames': 0})": "--max-frames is 0; it must be at least 1",
    "extract_video(frozen, clip, 'a.npy', limits={'max_frames': '3'})": "'limits.max_frames' is",
    "embed(clip, backbone=run, num_frames=2.5)": "'num_frames' is 2.5",
    "embed([clip], backbone=run, errors='ignore')": "errors is 'ignore'; it must be 'raise' or",
    "embed(clip, backbone=run, errors='return')": "errors='return' is for a list of videos",
    "extract_video(frozen, clip, 'a.npy', fsp=2)": "unknown key 'fsp'. Did you mean 'fps'",
    "embed(3, backbone=run)": "there is one of type int",
    "embed([frames], backbone=run)": "Picture 0 is float64 (2, 8, 8, 3); expected uint8 (H, W, 3)",
    "embed([clip, frames], backbone=run)": "01.mp4, a video, whose rows are several",
    "embed('a.png', backbone=run)": "There is no picture /",
    "embed([[clip]], backbone=run)": "there is one of type list",
    "embed(None, backbone=run)": "there is one of type NoneType",
    "load_frozen(run, feature='pool')": "'feature' is 'pool'; it must be one of 'pooled', 'cls'",
    "load_frozen(run, precision='float32')": "'precision' is 'float32'",
    "load_frozen(run, crop_mode='corner')": "'crop_mode' is 'corner'",
    "load_frozen(run, device=3)": "'device' is 3; it must be a string",
    "load_frozen(run, device='gpu')": "'gpu'; expected auto, cpu, cuda or cuda:N",
    "extract_video(frozen, clip, 'a.npy', dtype='int8')": "'dtype' is 'int8'",
    "extract_video(frozen, clip, 'a.npy', dtype=np.int8)": "'dtype' is 'int8'; it must be one of",
    "extract(clip, 'a.npy', dtype=float)": "'dtype' is 'float'; it must be one of 'float32', ",
    "embed(clip, backbone=run, precision=torch.bfloat16)": "'precision' is 'bfloat16'; it must be",
    "embed(clip, backbone=run, size=int)": "'size' is 'int'; it must be a whole number",
    "embed(clip, backbone=run, limits={1: 2})": "unknown key 'limits.1'",
    "extract_video(frozen, [clip, clip], 'a.npy')": "takes one video, and 2 are given",
    "extract_video(frozen, [], 'a.npy')": "extract_video takes one video, and 0 are given",
    "extract_video(frozen, clip, 'a.npy', pool='avg')": "'pool' is 'avg'",
    "extract_video(frozen, clip, 'a.npy', fps=0)": "--fps is 0",
    "extract_video(frozen, clip, 'a.npy', batch_size=0)": "--batch-size is 0",
    "extract_video(frozen, clip, 3)": "'output' is 3; it must be a path",
    "extract_video(run, clip, 'a.npy')": "frozen is of type Run. Give what load_frozen returns",
    "extract(clip, 'a.npy', fsp=2)": "unknown key 'fsp'. Did you mean 'fps'",
    "extract(clip, 'a.npy', dtyp='float16')": "unknown key 'dtyp'. Did you mean 'dtype'",
    "extract(clip, 'a.npy', times=['x'])": "'times' is 'x'; it must be seconds, or m:ss or",
    "pretrain(b'v')": "there is one of type bytes",
    "pretrain(open(clip, 'rb'))": "there is one of type BufferedReader",
    "embed(open(clip, 'rb'), backbone=run)": "there is one of type BufferedReader",
    "embed([bytearray(b'v')], backbone=run)": "there is one of type bytearray",
    "embed(bytearray(b'v'), backbone=run)": "there is one of type bytearray",
    "extract(b'v', 'a.npy')": "there is one of type bytes",
    "FramePairs(memoryview(b'v'), batch_size=4)": "there is one of type memoryview",
    "pretrain(videos, learning_rate=0.1)": "'learning_rate' is optim={'lr': …}. Known here:",
    "pretrain(videos, num_workers=2)": "'num_workers' is workers. Known here:",
    "pretrain(videos, **{'data.max_gap': 'x'})": "'data.max_gap' is 'x'; it must be a number",
    "pretrain(videos, **{'engine.device': 'gpu'})": "'gpu'; expected auto, cpu, cuda or cuda:N",
    "extract(3, 'a.npy')": "there is one of type int",
    "extract(clip, 3)": "'output' is 3; it must be a path",
    "extract(clip, 'a.npy', backbone=frozen, size=64)": "has its own size. Give them to",
    "open_features('nowhere')": "There is nothing at nowhere",
    "evaluate('images', run, few_shots=(0.1,))": "unknown key 'few_shots'. Did you mean 'few_shot'",
    "evaluate('images', run, k='5')": "'k' is '5'; it must be a whole number",
    "evaluate('images', run, linear='no')": "'linear' is 'no'",
    "evaluate('images', [frozen, 3])": "The backbone is of type int. Expected a run folder",
    "evaluate('images', network)": "The backbone is of type ResNet. Expected a run folder",
    "evaluate('images', 3)": "The backbone is of type int. Expected a run folder",
    "embed(clip, backbone=network)": "saved first: vidmoco.save_backbone(network, FOLDER, size=",
    "load_frozen(network)": "saved first: vidmoco.save_backbone(network, FOLDER, size=PIXELS)",
    "load_backbone(network)": "The backbone is of type ResNet. Expected a run folder",
    "save_backbone(run, 'new', size=32)": "The backbone is of type Run; expected a model of timm",
    "save_backbone(network, 'new', size=32.5)": "'size' is 32.5; it must be a whole number",
    "save_backbone(network, 3, size=32)": "'folder' is 3; it must be a string",
    "save_backbone(network, 'new', size=0)": "size is 0; expected pixels, 1 to 2,048",
    "search('features', 'a.jpg', topk=3)": "unknown key 'topk'. Did you mean 'top'",
    "search('features', 'a.jpg', top='3')": "'top' is '3'",
    "search('features', frames)": "The query is float64 (2, 8, 8, 3); expected uint8 (H, W, 3)",
    "search('features', 3)": "'query' is 3; it must be a string",
    "FramePairs(videos, batchsize=4)": "unknown key 'batchsize'. Did you mean 'batch_size'",
    "FramePairs(videos, batch_size='4')": "'batch_size' is '4'",
    "FramePairs(videos, batch_size=4, seed=None)": "'seed' is None; it must be a whole number",
    "pretrain(videos, lr=0.1)": "unknown key 'lr'. 'lr' is optim={'lr': …}. Known here: videos, ",
    "pretrain(videos, size=64)": "'size' is augment={'size': …}. Known here:",
    "pretrain(videos, batchsize=64)": "Did you mean 'batch_size'? Known here:",
    "pretrain(videos, resumed=True)": "unknown key 'resumed'. Did you mean 'resume'? Known here:",
    "pretrain(videos, backbone=network)": "'backbone' is of type ResNet; it must be a name, or a",
    "pretrain(videos, method=3)": "'method' is of type int; it must be a name, or a dict of",
    "pretrain(videos, device='gpu')": "'gpu'; expected auto, cpu, cuda or cuda:N. Did you mean 'cu",
    "pretrain(videos, on_log={})": "on_log is of type dict; expected a function",
    "embed(clip, batchsize=3)": "unknown key 'batchsize'. Did you mean 'batch_size'? Known here:",
    "extract(clip, 'a.npy', frames=3)": "unknown key 'frames'.",
    "evaluate('images', run, labels='a.csv')": "'labels' is videos={'labels': …}. Known here:",
    "pretrain(videos, resume='yes')": "resume is 'yes'; it must be True, False or 'auto'",
    "pretrain(videos, recipe=3)": "recipe is of type int; expected a name, or the path of a .yaml",
    "pretrain(videos, data=3)": "'data' is 3; it must be a mapping of settings",
}
CODE = """
import json, sys
import numpy as np
import timm
import torch
import vidmoco
run, videos = vidmoco.Run(sys.argv[1]), sys.argv[2]  # a path as text
clip, frames = f"{videos}/01.mp4", np.zeros((2, 8, 8, 3))
frozen = vidmoco.load_frozen(run)
network = timm.create_model("test_resnet", num_classes=0)
names = {name: getattr(vidmoco, name) for name in vidmoco.__all__}
names |= {"run": run, "videos": videos, "clip": clip, "frames": frames, "frozen": frozen}
names |= {"network": network, "np": np, "torch": torch}
for call in json.loads(sys.argv[3]):
    try:
        found = f"nothing but {eval(call, names)!r:.60}"
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print(json.dumps([call, found]))
"""


@pytest.fixture(scope="module")
def answers(run, videos):
    process = Process(["-c", CODE, str(run.path), str(videos), json.dumps(list(CALLS))])
    assert process.wait() == 0, process.err
    return dict(map(json.loads, process.out.splitlines()))


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_value_is_named(answers, call):
    assert answers[call].startswith("ConfigError: ")
    assert CALLS[call] in answers[call]
    assert len(answers[call]) < 600


NUMPY = """
import json, sys
from pathlib import Path
import numpy as np
import vidmoco
frozen = vidmoco.load_frozen(sys.argv[1], size=np.int64(64), seed=np.int64(1))
output = Path(sys.argv[3]) / "a.npy"
options = {"every": np.int64(4), "batch_size": np.int64(2), "normalize": np.bool_(True)}
vidmoco.extract_video(frozen, f"{sys.argv[2]}/01.mp4", output, **options)
features, _ = vidmoco.embed(f"{sys.argv[2]}/01.mp4", backbone=frozen, **options)
assert np.array_equal(features, np.load(output)) and len(features) == 3
assert json.loads(output.with_suffix(".json").read_text())["preprocess"]["size"] == 64
"""


def test_numbers_of_numpy_are_taken(run, videos, tmp_path):
    process = Process(["-c", NUMPY, str(run.path), str(videos), str(tmp_path)])
    assert process.wait() == 0, process.err
