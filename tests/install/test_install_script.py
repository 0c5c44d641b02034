"""install.sh against a machine made of stubs: every command that it runs is one of ours, and writes down how it was
called. That a real set-up works is proved by the test run itself, which install.sh has set up."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = (
    *("awk", "bash", "cat", "chmod", "cp", "cut", "df", "dirname", "env", "flock", "grep", "head", "mkdir", "readlink"),
    *("rm", "sed", "sha256sum", "sleep", "sort", "touch", "tr", "uname"),
)
DEBIAN = 'ID=debian\nVERSION_ID="12"\n'
UBUNTU = 'ID=ubuntu\nVERSION_ID="{}"\n'

# Stands for Python before the set-up, and is copied into the environment as its python.
PYTHON = """#!/bin/bash
case "$*" in
    *"sys.version_info < (3, 11)"*) exit ${OLD_PYTHON:-0} ;;
    *"import ensurepip, venv"*) exit ${WITHOUT_VENV:-0} ;;
    *"import sys; print(sys.version)"*) echo "3.11.9" ;;
    *"print(\\"python%d.%d-venv\\""*) echo "python3.11-venv" ;;
    *executable_path*) [[ -e $PLAYED ]] && echo "$PLAYED" || exit 1 ;;
    --version) echo "Python 3.11.9" ;;
    "-m venv "*)
        echo "venv $3" >> "$LOG"
        mkdir -p "$3/bin"
        for name in python kinflow ruff mypy lint-imports playwright; do cp "$STUBS/$name" "$3/bin/$name"; done
        rm "$3/bin/kinflow"
        ;;
    "-m pip install "*)
        echo "pip ${*:3}" >> "$LOG"
        env | grep ^PIP_ | sort >> "$LOG"
        cp "$STUBS/kinflow" "${0%/python}/kinflow"
        echo "Collecting stub"
        exit ${PIP_FAILS:-0}
        ;;
    "-m firmware_configs.bundle.llama here") echo "llama" >> "$LOG"; echo "/cache/llama"; exit ${BUILD_FAILS:-0} ;;
    "-m pytest"*) echo "pytest ${*:3}" >> "$LOG"; echo "1 passed" ;;
    *) exit 1 ;;
esac
"""
NOTED = """#!/bin/bash
echo "${0##*/} $*" >> "$LOG"
[[ ${FAILING:-} == "${0##*/}" ]] && exit 7
exit 0
"""
KINFLOW = """#!/bin/bash
printf '%s\\n' "kinflow" "pid $$" "cwd $PWD" "$@" >> "$LOG"
exit ${KINFLOW_STATUS:-0}
"""


@dataclass
class Machine:
    """A clone in a folder with a space in its name, and a PATH of stubs."""

    clone: Path
    stubs: Path
    log: Path
    environment: dict[str, str]

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.clone / "install.sh", *arguments],
            cwd=cwd or self.clone.parent,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )

    def calls(self, name: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(f"{name} ")]

    def stub(self, name: str, text: str) -> None:
        path = self.stubs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def venv(self) -> Path:
        return self.clone / ".venv"


@pytest.fixture
def machine(tmp_path: Path, repository: Path) -> Machine:
    clone, stubs, log = tmp_path / "a clone", tmp_path / "stubs", tmp_path / "log"
    clone.mkdir()
    stubs.mkdir()
    for name in ("install.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, clone)
    (tmp_path / "os-release").write_text(DEBIAN)
    environment = {
        "PATH": str(stubs),
        "LOG": str(log),
        "STUBS": str(stubs),
        "PLAYED": str(tmp_path / "played"),
        "KINFLOW_OS_RELEASE": str(tmp_path / "os-release"),
        "HOME": "",
        "KINFLOW_PYTHON": "python3",
    }
    found = Machine(clone, stubs, log, environment)
    for tool in TOOLS:
        path = shutil.which(tool)
        assert path, tool
        (stubs / tool).symlink_to(path)
    for name in ("python3", "python"):
        found.stub(name, PYTHON)
    for name in ("ruff", "mypy", "lint-imports", "playwright", "apt-get", "mosquitto", "chromium", "g++"):
        found.stub(name, NOTED)
    found.stub("kinflow", KINFLOW)
    found.stub("ldconfig", "#!/bin/bash\necho libatomic.so.1 libc6\n")
    # As another user than root, packages are installed through sudo, and root's stubs are the same.
    found.stub("sudo", '#!/bin/bash\n[[ $1 == -n ]] && shift\n[[ $1 == true ]] || exec "$@"\n')
    return found


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("arguments", [[], ["agents"], ["--frob", "run"], ["uninstall", "now"]])
def test_a_wrong_call_prints_the_usage_and_ends_with_2(machine: Machine, arguments: list[str]) -> None:
    done = machine.run(*arguments)
    assert done.returncode == 2
    assert "Usage: ./install.sh" in done.stderr
    assert not machine.venv.exists()


def test_run_sets_up_and_becomes_the_city(machine: Machine, tmp_path: Path) -> None:
    with subprocess.Popen(
        [machine.clone / "install.sh", "run", "--camera", "a file.mp4", "--road-width", "14"],
        cwd=tmp_path,
        env=machine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=25)
    lines = machine.log.read_text().splitlines()
    assert lines[lines.index("kinflow") :] == [
        "kinflow",
        f"pid {process.pid}",
        f"cwd {tmp_path}",
        *("city", "run", "--camera", "a file.mp4", "--road-width", "14"),
    ]
    assert process.returncode == 0
    assert "[4/4," in out
    assert len(machine.calls("pip")) == 1
    assert "--editable .[agent,edge,sim] --constraint constraints.txt" in machine.calls("pip")[0]


def test_a_second_run_installs_nothing(machine: Machine) -> None:
    machine.run("run")
    before = snapshot(machine.clone)
    done = machine.run("run", KINFLOW_STATUS="5")
    assert done.returncode == 5
    assert done.stdout == ""
    assert len(machine.calls("pip")) == 1
    assert snapshot(machine.clone) == before


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_what_changed_is_installed_again(machine: Machine, changed: str) -> None:
    machine.run("run")
    with (machine.clone / changed).open("a") as file:
        file.write("# another line\n")
    machine.run("run")
    assert len(machine.calls("pip")) == 2
    assert len(machine.calls("venv")) == 1


def test_a_clone_that_was_moved_is_set_up_again(machine: Machine, tmp_path: Path) -> None:
    machine.run("run")
    machine.clone = machine.clone.rename(tmp_path / "moved")
    machine.run("run")
    assert len(machine.calls("pip")) == 2


def test_a_set_up_that_was_cut_off_is_begun_anew(machine: Machine) -> None:
    done = machine.run("run", PIP_FAILS="1")
    assert done.returncode == 38
    assert "KF38" in done.stderr
    assert machine.calls("kinflow") == []
    (machine.venv / "half-a-package").touch()
    done = machine.run("run")
    assert done.returncode == 0
    assert "begun anew" in done.stdout
    assert not (machine.venv / "half-a-package").exists()
    assert machine.run("run").stdout == ""


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.run("run")
    (machine.venv / "bin" / "python").write_text("#!/nowhere/python\n")
    done = machine.run("run")
    assert done.returncode == 0
    assert "made anew" in done.stdout
    assert len(machine.calls("venv")) == 2


def test_what_test_installed_is_enough_for_run(machine: Machine) -> None:
    machine.run("test")
    machine.run("run")
    assert len(machine.calls("pip")) == 1


def test_a_persons_pip_settings(machine: Machine) -> None:
    machine.run("run", PIP_USER="1", PIP_TARGET="/nowhere", PIP_NO_DEPS="1", PIP_INDEX_URL="https://index.lan/simple")
    lines = machine.log.read_text().splitlines()
    assert "PIP_INDEX_URL=https://index.lan/simple" in lines
    assert "PIP_USER=0" in lines
    assert not [line for line in lines if line.startswith(("PIP_TARGET", "PIP_NO_DEPS"))]


@pytest.mark.parametrize("command", ["run", "test", "uninstall"])
def test_dry_run_prints_and_changes_nothing(machine: Machine, command: str) -> None:
    if command == "uninstall":
        machine.run("run")
    before = snapshot(machine.clone)
    calls = machine.log.read_text() if machine.log.exists() else ""
    done = machine.run("--dry-run", command)
    assert done.returncode == 0
    assert snapshot(machine.clone) == before
    assert (machine.log.read_text() if machine.log.exists() else "") == calls
    expected = {
        "run": ["-m venv", "-m pip install", "/kinflow city run"],
        "test": [
            "firmware_configs.bundle.llama here",
            *("-m pip install", "/ruff check", "/ruff format", "/mypy", "/lint-imports", "-m pytest"),
        ],
        "uninstall": ["rm -rf"],
    }[command]
    printed = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    for part in expected:
        assert any(part in line for line in printed), part


def test_test_runs_each_check_and_then_pytest(machine: Machine) -> None:
    done = machine.run("test", "-k", "a b")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 passed"
    assert "--find-links /cache/llama --editable .[agent,edge,sim,family,tuning,dev]" in machine.calls("pip")[0]
    names = [line.split()[0] for line in machine.log.read_text().splitlines()]
    wanted = ["ruff", "ruff", "mypy", "lint-imports", "pytest"]
    assert [name for name in names if name in wanted] == wanted
    assert machine.calls("pytest")[0].endswith(" -k a b")


@pytest.mark.parametrize("failing", ["ruff", "mypy", "lint-imports"])
def test_a_check_that_fails_ends_test_with_its_status(machine: Machine, failing: str) -> None:
    assert machine.run("test", FAILING=failing).returncode == 7
    assert machine.calls("pytest") == []


def test_llama_is_built_for_tests_alone(machine: Machine) -> None:
    machine.run("run")
    assert "llama" not in machine.log.read_text().splitlines()
    done = machine.run("test", BUILD_FAILS="248")
    assert done.returncode == 38
    assert len(machine.calls("pip")) == 1


def test_the_compiler_is_asked_for_where_it_is_missing(machine: Machine) -> None:
    (machine.stubs / "g++").unlink()
    assert "--no-install-recommends g++" in machine.run("--dry-run", "test").stdout
    assert "missing: nothing" in machine.run("--dry-run", "run").stdout


def test_missing_packages_are_installed_by_apt(machine: Machine) -> None:
    (machine.stubs / "chromium").unlink()
    text = NOTED.replace("exit 0", '[[ $2 == install ]] && cp "$STUBS/ruff" "$STUBS/chromium"\nexit 0')
    machine.stub("apt-get", text)
    done = machine.run("test")
    assert done.returncode == 0, done.stderr
    assert machine.calls("apt-get") == [
        "apt-get -q update",
        "apt-get -q install --yes --no-install-recommends chromium",
    ]


def test_without_apt_the_commands_are_printed(machine: Machine) -> None:
    (machine.stubs / "chromium").unlink()
    done = machine.run("--no-apt", "test")
    assert machine.calls("apt-get") == []
    assert "    sudo apt-get -q install --yes --no-install-recommends chromium" in done.stdout
    assert done.returncode == 36
    assert "KF36: Chromium is missing" in done.stderr


def test_ubuntus_snap_is_passed_over_for_playwrights_own(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(UBUNTU.format("24.04"))
    machine.stub("chromium", "#!/bin/sh\nexec /snap/bin/chromium\n")
    text = NOTED.replace("exit 0", 'touch "$PLAYED"; chmod +x "$PLAYED"\nexit 0')
    machine.stub("playwright", text)
    done = machine.run("test")
    assert done.returncode == 0, done.stderr
    assert machine.calls("playwright") == ["playwright install --with-deps chromium"]
    assert machine.calls("apt-get") == []
    assert machine.run("test").returncode == 0
    assert len(machine.calls("playwright")) == 1


def test_an_old_python_where_there_is_no_newer_one(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(UBUNTU.format("22.04"))
    done = machine.run("run", OLD_PYTHON="1")
    assert done.returncode == 34
    assert "KF34" in done.stderr
    assert "deadsnakes" in done.stderr
    assert "uv python install" in done.stderr
    assert not machine.venv.exists()


def test_a_python_without_venv_is_completed_by_apt(machine: Machine) -> None:
    done = machine.run("--no-apt", "run", WITHOUT_VENV="1")
    assert "python3.11-venv" in done.stdout
    assert done.returncode == 36


def test_too_little_disk_is_said_first(machine: Machine) -> None:
    machine.stub("df", "#!/bin/bash\necho head\necho 'disk 1000000 1 204800 99% /'\n")
    done = machine.run("run")
    assert done.returncode == 35
    assert "200 MB free" in done.stderr
    assert "What to do:" in done.stderr
    assert not machine.venv.exists()
    assert machine.calls("apt-get") == []


@pytest.mark.parametrize("purge", [False, True])
def test_uninstall(machine: Machine, purge: bool) -> None:
    machine.run("run")
    (machine.clone / ".kinflow").mkdir()
    (machine.clone / ".kinflow" / "edge.db").touch()
    done = machine.run("uninstall", *(["--purge"] if purge else []))
    assert done.returncode == 0
    assert not machine.venv.exists()
    assert (machine.clone / ".kinflow").exists() is not purge
    assert str(machine.clone / ".kinflow") in done.stdout
    left = {path.name for path in machine.clone.iterdir()} - {".kinflow"}
    assert left == {"install.sh", "pyproject.toml", "constraints.txt"}


def test_the_library_that_sumo_needs_is_asked_for(machine: Machine) -> None:
    machine.stub("ldconfig", "#!/bin/bash\necho libc.so.6\n")
    machine.run("run")
    assert machine.calls("apt-get")[-1].endswith("--no-install-recommends libatomic1")


@pytest.mark.parametrize("command", ["run", "test", "uninstall"])
def test_no_service_is_ever_touched(machine: Machine, command: str) -> None:
    services = ("systemctl", "service", "invoke-rc.d", "mosquitto")
    for name in services:
        machine.stub(name, NOTED)
    assert machine.run(command).returncode == 0
    assert [call for name in services for call in machine.calls(name)] == []
