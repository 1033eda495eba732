"""examples/cluster and examples/docker: what can be known of them without a cluster."""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cluster_files import CLUSTER, DOCKERFILE, ROOT, commands, instructions, joined, require_parsed

JOBS = ["pretrain", "extract"]
WHERE = {
    "examples/cluster/pretrain.sbatch": ["scan", "pretrain"],
    "examples/cluster/extract.sbatch": ["scan", "extract"],
    "examples/docker/Dockerfile": ["extract", "pretrain"],
    "examples/cluster/ray.yaml": ["extract"],
    "docs/cluster.md": ["scan", "pretrain", "pretrain", "extract", "extract", "scan", "pretrain"],
}


def documents(name):
    return list(yaml.safe_load_all((CLUSTER / f"{name}.yaml").read_text()))


def job(name):
    return documents(name)[-1]


def container(name):
    (found,) = job(name)["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("path", WHERE)
def test_commands_have_flags_that_there_are(path):
    found = commands((ROOT / path).read_text())
    assert [words[0] for words in found] == WHERE[path]
    for words in found:
        require_parsed(words)


@pytest.mark.parametrize("name", JOBS)
def test_arguments_of_containers_have_flags_that_there_are(name):
    args = container(name)["args"]
    args = args[args.index("vidmoco") + 1 :] if "vidmoco" in args else args
    assert args[0] == name
    require_parsed(args)


def test_files_of_the_documents_are_there():
    text = (ROOT / "docs" / "cluster.md").read_text()
    for path in re.findall(r"\]\(\.\./(\S+)\)", text):
        assert (ROOT / path).exists(), path
    assert set(re.findall(r"cluster/([\w.]+)\)", text)) == {path.name for path in CLUSTER.iterdir()}


@pytest.mark.parametrize("name", JOBS)
def test_batch_scripts(name):
    path = CLUSTER / f"{name}.sbatch"
    subprocess.run(["bash", "-n", path], check=True)
    lines = path.read_text().splitlines()
    body = next(n for n, line in enumerate(lines) if line and line[0] != "#")
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", "\n".join(lines[:body]), re.M))
    assert lines[0] == "#!/bin/bash"
    # sbatch reads no options after the first command
    assert len(options) == path.read_text().count("#SBATCH")
    known = {
        "job-name": r"[\w-]+", "nodes": r"\d+", "ntasks-per-node": r"1", "gpus-per-node": r"\d+",
        "gpus": r"\d+", "cpus-per-task": r"\d+", "time": r"\d\d:\d\d:\d\d", "requeue": "",
        "open-mode": "append", "output": r"%x-%(j|A_%a)\.log", "signal": r"B:USR1@\d+",
        "array": r"0-\d+",
    }  # fmt: skip
    for option, value in options.items():
        assert re.fullmatch(known[option], value), option
    assert {"requeue", "open-mode", "time"} <= options.keys()


# SLURM's commands, as far as the scripts use them. Its daemon signals every process of a step.
SRUN = """
import os, signal, subprocess, sys
from contextlib import suppress
from pathlib import Path
words = [word for word in sys.argv[1:] if not word.startswith("--kill-on-bad-exit")]
step = subprocess.Popen(words)
def family():
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {step.pid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
def signal_all(number, _):
    members.update(family())
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
members = set()
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, signal_all)
(Path(os.environ["LOG"]).parent / "srun.pid").write_text(str(os.getpid()))
code = step.wait()
for pid in members:  # what a step leaves behind is killed
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
sys.exit(code)
"""
SCONTROL = """
import os, sys
print("localhost" if sys.argv[1] == "show" else "")
with open(os.environ["LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
"""
# A training that ends as vidmoco does: a signal, a checkpoint, 128 + the signal. A second signal
# ends it at once.
TRAINING = """
import os, signal, sys, time
from pathlib import Path
folder, rank = Path(os.environ["LOG"]).parent, os.environ["RANK"]
starts = len(list(folder.glob(f"rank{rank}-start*"))) + 1
received = []
def stop(number, _):
    received.append(number)
    signal.signal(number, signal.SIG_DFL)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, stop)
(folder / f"rank{rank}-start{starts}").write_text(" ".join(sys.argv[1:]))
if starts == 1:
    while len(list(folder.glob("rank*-start1"))) < 2:  # else the other is ended before it is seen
        time.sleep(0.05)
    sys.exit(int(rank))  # one of them is lost
while starts in (2, 3) and not received:
    time.sleep(0.1)
if received:
    time.sleep(3)
    (folder / f"rank{rank}-checkpoint{starts}").touch()
    while len(list(folder.glob(f"rank*-checkpoint{starts}"))) < 2:  # as a training ends: together
        time.sleep(0.05)
    sys.exit(128 + received[0])
"""


def python_command(folder, name, code):
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.1)


def is_free(port):
    with socket.socket() as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            there.bind(("", port))
        except OSError:
            return False
    return True


def test_a_training_goes_on_after_a_lost_process_and_after_the_time_limit(tmp_path):
    """The script, with torchrun itself: its signals are what may go wrong."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, code in (("srun", SRUN), ("scontrol", SCONTROL), ("vidmoco", TRAINING)):
        python_command(bin_, name, code)
    job_id = next(number for number in random.sample(range(10000), 100) if is_free(20000 + number))
    environment = {key: value for key, value in os.environ.items() if "TORCHELASTIC" not in key}
    environment |= {
        "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "scontrol.log"), "SLURM_JOB_ID": str(job_id),
        "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2",
        "OMP_NUM_THREADS": "1", "RUN": str(tmp_path / "run"),
    }  # fmt: skip
    words = ["bash", str(CLUSTER / "pretrain.sbatch")]

    def run_until(start):
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
        for rank in (0, 1):
            wait_for(tmp_path / f"rank{rank}-start{start}", process)
        return process

    process = run_until(2)
    process.send_signal(signal.SIGUSR1)  # what --signal=B:USR1 does
    output = process.communicate()[0]
    assert process.returncode == 0
    assert "Start 1 of 4 ended with exit code 1." in output and "Time is up" in output
    log = (tmp_path / "scontrol.log").read_text().splitlines()
    assert log == ["show hostnames localhost", f"requeue {job_id}"]

    process = run_until(3)  # queued again
    os.kill(int((tmp_path / "srun.pid").read_text()), signal.SIGTERM)  # preemption
    process.communicate()
    assert process.returncode == 0 and (tmp_path / "rank0-start4").exists()
    assert all((tmp_path / f"rank{n}-checkpoint{k}").exists() for n in (0, 1) for k in (2, 3))
    assert len((tmp_path / "scontrol.log").read_text().splitlines()) == 3  # not queued any more
    given = (tmp_path / "rank1-start4").read_text()
    assert f"--run {tmp_path / 'run'} --resume auto" in given


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 0), (2, 2), (143, 143)])
@pytest.mark.parametrize("kind", ["yaml", "sbatch"])
def test_an_extraction_with_bad_videos_is_done(kind, code, ends, tmp_path):
    python_command(tmp_path, "vidmoco", f"import sys; print(sys.argv[1:]); sys.exit({code})")
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["bash", str(CLUSTER / "extract.sbatch")]
    if kind == "yaml":
        words = [*container("extract")["command"], *container("extract")["args"]]
    done = subprocess.run(words, env=path, capture_output=True, text=True, check=False)
    assert "'extract', '" in done.stdout
    assert (done.returncode == 0) == (ends == 0)
    assert kind == "sbatch" or done.returncode == ends


WRITING = """
import os, signal, sys, time
from pathlib import Path
def stop(number, _):
    signal.signal(number, signal.SIG_DFL)  # a second one would end it at once
    time.sleep(2)
    Path("written").touch()
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
Path("began").touch()
while True:
    time.sleep(1)
"""


def test_a_stopped_extraction_is_waited_for(tmp_path, monkeypatch):
    """SLURM signals all processes of the batch step, and kills them when the script ends."""
    monkeypatch.chdir(tmp_path)
    python_command(tmp_path, "vidmoco", WRITING)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["bash", str(CLUSTER / "extract.sbatch")]
    process = subprocess.Popen(words, env=path, start_new_session=True)
    wait_for(tmp_path / "began", process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 1  # of its last line: nothing above 1 is a success
    assert (tmp_path / "written").exists()


@pytest.mark.parametrize("name", JOBS)
def test_kubernetes_jobs(name):
    found = job(name)
    spec, pod = found["spec"], found["spec"]["template"]["spec"]
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "Job")
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", found["metadata"]["name"])
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    # with podFailurePolicy no other is allowed
    assert spec["podFailurePolicy"]["rules"] and pod["restartPolicy"] == "Never"
    for rule in spec["podFailurePolicy"]["rules"]:
        assert rule["action"] in {"Ignore", "FailJob", "Count", "FailIndex"}
        assert ("onExitCodes" in rule) != ("onPodConditions" in rule)
        exits = rule.get("onExitCodes", {"containerName": name, "operator": "In", "values": [2]})
        assert exits == {"containerName": name, "operator": "In", "values": [2]}
    own = container(name)
    assert own["name"] == name
    mounted = {one["name"] for one in own["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["volumes"]}
    strings = [*own["command"], *own["args"], *(one["value"] for one in own.get("env", []))]
    assert all(isinstance(word, str) for word in strings)
    assert own["resources"]["limits"].keys() == {"memory", "nvidia.com/gpu"}
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
    assert own["securityContext"]["allowPrivilegeEscalation"] is False
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", own["image"])


def test_pods_of_a_training_find_each_other():
    service, found = documents("pretrain")
    name, args = found["metadata"]["name"], container("pretrain")["args"]
    assert (service["apiVersion"], service["kind"], service["spec"]["clusterIP"]) == (
        "v1", "Service", "None",
    )  # fmt: skip
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"job-name": name}
    pod = found["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    (port,) = service["spec"]["ports"]
    assert f"--rdzv-endpoint={name}-0.{pod['subdomain']}:{port['port']}" in args
    assert f"--nnodes={found['spec']['completions']}" in args
    gpus = container("pretrain")["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--nproc-per-node={gpus}" in args
    wait = int(container("pretrain")["env"][0]["value"])
    assert wait < pod["terminationGracePeriodSeconds"]


def test_ray_takes_the_file():
    """By its own schema, and by the parser of ``ray start``."""
    from ray.autoscaler._private.util import prepare_config, validate_config
    from ray.scripts.scripts import start, stop

    config = documents("ray")[0]
    validate_config(prepare_config(config))
    assert config["max_workers"] == len(config["provider"]["worker_ips"])
    for role in ("head", "worker"):
        for line in config[f"{role}_start_ray_commands"]:
            program, name, *words = shlex.split(line)
            assert program == "ray"
            {"start": start, "stop": stop}[name].make_context(name, words)


def test_torchrun_has_the_flags():
    """Its own parser, without what comes after ``--``."""
    from torch.distributed.run import get_args_parser

    in_script = joined((CLUSTER / "pretrain.sbatch").read_text())
    (line,) = [line for line in in_script if "torchrun \\" not in line and "--rdzv-id" in line]
    flags = re.findall(r"--[a-z-]+=?", line.partition("torchrun --")[2].partition(" -- ")[0])
    flags += [word.partition("=")[0] for word in container("pretrain")["args"][:7]]
    known = get_args_parser()._option_string_actions
    assert len(flags) > 10 and {flag.rstrip("=") for flag in flags} <= known.keys()


def test_the_dockerfile():
    found = instructions(DOCKERFILE)
    names = [name for name, _ in found]
    assert names[0] == "FROM" and set(names) <= {
        "FROM", "ARG", "RUN", "WORKDIR", "COPY", "USER", "ENV", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    for name, rest in found:
        if name == "FROM":  # pinned, and no "latest"
            assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", rest)
        if name == "RUN":
            assert not re.search(r"\bsudo\b|\bcurl\b|chmod 777|apt-get (?!.*rm -rf)", rest)
            if "pip install" in rest:  # no cache stays in a layer, and tools are pinned
                assert "--no-cache" in rest and ("==" in rest or "'.[eval]'" in rest)
        if name in ("ENTRYPOINT", "CMD"):  # exec form: signals reach vidmoco
            assert rest.startswith("[") and isinstance(yaml.safe_load(rest), list)
        if name == "WORKDIR":
            assert rest.startswith("/")
    users = [rest for name, rest in found if name == "USER"]
    assert users and users[-1] not in ("root", "0")
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in ("RUN", "COPY"))


def test_the_dockerfile_copies_what_the_package_needs(tmp_path):
    for name, rest in instructions(DOCKERFILE):
        if name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                kept = [line[1:] for line in Path(f"{DOCKERFILE}.dockerignore").read_text().split()]
                assert source in kept
                place = tmp_path / target / (source if target.endswith("/") else "")
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, place)
    project = (tmp_path / "pyproject.toml").read_text()
    for needed in re.findall(r'^(?:readme|path) = "(\S+)"|^(\w+) = "vidmoco/', project, re.M):
        assert (tmp_path / max(needed)).exists(), needed
    assert (tmp_path / "LICENSE").exists() and (tmp_path / "configs" / "moco_v2.yaml").exists()
    assert "TORCH=cpu" in DOCKERFILE.read_text()
