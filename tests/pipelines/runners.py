"""Real runners for tests, started here: Prism, and a Flink cluster of separate processes.

What they are made of is fetched once into `.cache`: Prism as a Go program, Flink as Java archives
by Maven. Where that cannot be, the test is skipped and says why.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache"
POM = Path(__file__).parent / "flink" / "pom.xml"
JOB_SERVER = POM.with_name("JobServer.java")
BEAM_VERSION = "2.77.0"
PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM_VERSION}"
TASK_MANAGERS, SLOTS = 2, 2
#: Of Java 17, whose classes Flink and Beam look into.
OPEN = ("lang", "util", "nio", "net", "lang.reflect", "time", "lang.invoke", "util.concurrent")
#: Started by hand, a task manager must be told every size.
TASK_MANAGER_SIZES = {
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.task.heap.size": "256mb",
    "taskmanager.memory.managed.size": "128mb",
    "taskmanager.memory.task.off-heap.size": "64mb",
    "taskmanager.memory.framework.heap.size": "64mb",
    "taskmanager.memory.framework.off-heap.size": "64mb",
    "taskmanager.memory.network.min": "128mb",
    "taskmanager.memory.network.max": "128mb",
    "taskmanager.memory.jvm-metaspace.size": "256mb",
    "taskmanager.memory.jvm-overhead.min": "192mb",
    "taskmanager.memory.jvm-overhead.max": "192mb",
}


def fetched(what, fetch):
    """The file that `fetch` makes in `.cache`, or a skip that says why there is none."""
    path, problem = fetch()
    if problem:
        pytest.skip(f"{what} could not be fetched: {problem}")
    return path


@functools.cache
def prism_binary():
    """Prism, compiled here; or what went wrong."""
    path = CACHE / f"prism-{BEAM_VERSION}" / "prism"
    if path.exists():
        return path, ""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as work:
        places = {name: f"{work}/{name}" for name in ("GOPATH", "GOCACHE", "GOBIN")}
        environment = os.environ | places | {"GOFLAGS": "-modcacherw"}
        # Without optimization: it runs for seconds, and is compiled for minutes.
        quickly = ["-gcflags=all=-N -l", "-ldflags=-s -w"]
        if problem := _run(["go", "install", *quickly, PRISM], environment):
            return None, problem
        path.parent.mkdir(exist_ok=True)
        shutil.move(f"{work}/GOBIN/prism", path)
    return path, ""


@functools.cache
def flink_classpath():
    """A file with the paths of all archives; or what went wrong."""
    path = CACHE / "flink-1.19" / "classpath.txt"
    if path.exists() and all(Path(jar).exists() for jar in path.read_text().split(":")):
        return path, ""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:build-classpath"]
    command += [f"-Dmdep.outputFile={unfinished}", f"-Dmaven.repo.local={CACHE / 'maven'}"]
    if problem := _run(command, dict(os.environ)):
        return None, problem
    unfinished.rename(path)
    return path, ""


def _run(command, environment):
    try:
        subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=900
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        return said[-1] if said else f"{command[0]}: exit code {error.returncode}"
    return ""


def free_ports(count):
    """Ports that nothing listens on."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def wait_until(condition, what, seconds=60):
    """Waits until a condition holds; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def listens(port):
    """Whether something listens on a port."""
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def process(command, log, environment=None):
    """A process for as long as the block lasts; what it says goes to a file."""
    with log.open("wb") as file:
        started = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=log.parent
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


class Prism:
    """A running Prism.

    Attributes:
        arguments: Beam's, to run a job on it.
    """

    def __init__(self, port, log):
        self.arguments = portable(port)
        self._log = log

    def finished_jobs(self):
        """Names of the jobs that ended well, as its log says."""
        entries = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [entry["job"] for entry in entries if entry["msg"] == "pipeline done!"]


@contextlib.contextmanager
def prism(folder):
    """Starts Prism; its log is in the folder."""
    binary = fetched("Prism", prism_binary)
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    command = [str(binary), f"--job_port={port}", "--serve_http=false", "--log_kind=json"]
    log = folder / "prism.log"
    with process(command, log) as started:
        wait_until(lambda: listens(port) or started.poll() is not None, "Prism")
        yield Prism(port, log)


def portable(port):
    """Beam's arguments for a job server, with workers in the process that starts the job."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{port}",
        "--environment_type=LOOPBACK",
    ]


class Flink:
    """A running cluster: a job manager, task managers, and Beam's job server before them.

    Attributes:
        arguments: Beam's, to run a job on it.
    """

    def __init__(self, job_port, rest_port, task_managers):
        self.arguments = [*portable(job_port), "--parallelism=2"]
        self._rest, self._task_managers = f"http://localhost:{rest_port}", task_managers

    def ask(self, path):
        """What the job manager says."""
        with urllib.request.urlopen(self._rest + path, timeout=10) as answer:
            return json.load(answer)

    def has_all_slots(self):
        """Whether every task manager is there; at first not even the job manager answers."""
        try:
            return self.ask("/overview")["slots-available"] == TASK_MANAGERS * SLOTS
        except OSError:
            return False

    def jobs(self):
        """Of each job the id and the state."""
        return {job["jid"]: job["state"] for job in self.ask("/jobs/overview")["jobs"]}

    def workers_of(self, job):
        """Names of the task managers that work on a job right now."""
        return {
            worker["taskmanager-id"]
            for vertex in self.ask(f"/jobs/{job}")["vertices"]
            for worker in self.ask(f"/jobs/{job}/vertices/{vertex['id']}/taskmanagers")[
                "taskmanagers"
            ]
            if worker["status"] == "RUNNING"
        }

    def kill_one_at_work(self, known):
        """Kills a task manager that works on a job that is not known yet; the job's id."""

        def working():
            for job, state in self.jobs().items():
                if job not in known and state == "RUNNING":
                    return job, self.workers_of(job)
            return None

        job, workers = wait_until(lambda: (found := working()) and found[1] and found, "a job", 150)
        name = sorted(workers)[0]
        self._task_managers[name].send_signal(signal.SIGKILL)
        assert self._task_managers[name].wait(10) == -signal.SIGKILL
        return job


@contextlib.contextmanager
def flink(folder):
    """Starts a cluster; its logs are in the folder."""
    jars = fetched("Flink", flink_classpath).read_text().strip()
    java = shutil.which("java") or pytest.skip("Flink needs Java, and there is none")
    folder.mkdir(parents=True)
    rpc, rest, job, artifact, expansion = free_ports(5)
    _write_configuration(folder, rpc, rest)
    environment = os.environ | {"FLINK_CONF_DIR": str(folder)}
    opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPEN]
    java = [java, *opened, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars]
    runtime = "org.apache.flink.runtime"
    with contextlib.ExitStack() as processes:

        def start(name, *command):
            return processes.enter_context(process(command, folder / f"{name}.log", environment))

        entry = f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint"
        start("job-manager", *java, "-Xmx512m", entry, "-c", str(folder))
        sizes = [word for each in TASK_MANAGER_SIZES.items() for word in ("-D", "=".join(each))]
        task_managers = {}
        for number in range(TASK_MANAGERS):
            name = f"task-manager-{number}"
            main = ("-Xmx500m", "-XX:MaxDirectMemorySize=300m")
            main += (f"{runtime}.taskexecutor.TaskManagerRunner", "-c", str(folder))
            named = ("-D", f"taskmanager.resource-id={name}")
            task_managers[name] = start(name, *java, *main, *sizes, *named)
        server = (str(JOB_SERVER), str(_empty_archive(folder)), f"--flink-master=localhost:{rest}")
        ports = [f"--job-port={job}", f"--artifact-port={artifact}"]
        ports += [f"--expansion-port={expansion}", f"--artifacts-dir={folder / 'artifacts'}"]
        start("job-server", *java, "-Xmx512m", *server, *ports)
        cluster = Flink(job, rest, task_managers)
        wait_until(lambda: listens(job) and cluster.has_all_slots(), "Flink", 90)
        yield cluster


def _write_configuration(folder, rpc_port, rest_port):
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc_port,
        "jobmanager.bind-host": "localhost",
        "jobmanager.memory.process.size": "1024m",
        "rest.address": "localhost",
        "rest.port": rest_port,
        "rest.bind-address": "localhost",
        "rest.bind-port": rest_port,
        # Milliseconds: what is said of a job is never older.
        "web.refresh-interval": 50,
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": SLOTS,
        # So that both task managers have work.
        "taskmanager.load-balance.mode": "SLOTS",
        # A task manager that is lost costs the job a second and what was under way.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "restart-strategy.fixed-delay.delay": "1 s",
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 30000,
        # Everything is in each process's class path, and nothing in the archives of a job.
        "classloader.resolve-order": "parent-first",
        "io.tmp.dirs": str(folder),
        "blob.storage.directory": str(folder),
    }
    text = "".join(f"{name}: {value}\n" for name, value in settings.items())
    (folder / "config.yaml").write_text(text)


def _empty_archive(folder):
    """What is sent with a job."""
    path = folder / "empty.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    return path
