"""A machine that refuses a lab is asked why, and the answer says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from errno import EACCES, EINVAL, ENOSPC, ENOSYS, EPERM

import pytest

from netviz.lab.refusals import Facts, refusal

pytestmark = pytest.mark.outside

NETVIZ = [sys.executable, "-P", "-c", "from netviz.cli import main; main()"]
AS_ROOT = ["unshare", "--user", "--map-root-user"]

CALLS = {"x86_64": {"unshare": 272, "mount": 165}, "aarch64": {"unshare": 97, "mount": 40}}
ANSWERED_BY_SECCOMP = """
import struct, sys
from netviz.cli import main
from netviz.lab.syscalls import install_seccomp

number, answer = int(sys.argv[1]), 0x00050000 | int(sys.argv[2])
load, is_equal, give, allow = 0x20, 0x15, 0x06, 0x7FFF0000
code = [(load, 0, 0, 0), (is_equal, 0, 1, number), (give, 0, 0, answer), (give, 0, 0, allow)]
install_seccomp(b"".join(struct.pack("=HBBI", *each) for each in code))
main(["run", "--", "true"])
"""


def told(error: OSError, **facts: object) -> str:
    return str(refusal(error, Facts(**facts)))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def with_namespaces(limit: str) -> subprocess.CompletedProcess[str]:
    """Start a lab where ``limit`` is 0: a setting that each user namespace has for itself."""
    script = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    command = ["sh", "-c", script, "sh", *NETVIZ, "run", "--", "true"]
    return run(*AS_ROOT, *command)


def with_call_answered(call: str, errno: int) -> subprocess.CompletedProcess[str]:
    """Start a lab where a seccomp filter answers a system call."""
    number = CALLS[os.uname().machine][call]
    python = [sys.executable, "-P", "-c", ANSWERED_BY_SECCOMP, str(number), str(errno)]
    return run(*AS_ROOT, *python)


def asked_in_advance(setting: str = ":") -> str:
    """Return what `refused` says where a setting was changed, and what was printed before."""
    ask = "from netviz.lab.sandbox import refused; print('once'); print(refused())"
    command = ["sh", "-c", f'{setting} && exec "$@"', "sh", sys.executable, "-P", "-c", ask]
    done = run(*AS_ROOT, *command)
    assert done.stderr == ""
    return done.stdout


def in_a_container(mounts: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a lab that finds what ``mounts`` has laid over /proc and /sys."""
    command = ["sh", "-c", f'{mounts} && exec "$@"', "sh", *NETVIZ, "run", "--", "sh", "-c", script]
    return run(*AS_ROOT, "--mount", *command)


def test_no_more_user_namespaces_is_told_with_the_setting() -> None:
    done = with_namespaces("max_user_namespaces")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "netviz: cannot start a lab: 'unshare' was refused (No space left on device): the machine "
        "allows no more namespaces (user.max_user_namespaces = 0) (like: unshare --user "
        "--map-root-user --net --mount --pid --fork); run: sudo sysctl -w "
        "user.max_user_namespaces=15000\n"
    )


def test_one_who_asks_in_advance_stays_outside_and_is_told_the_same() -> None:
    assert asked_in_advance() == "once\nNone\n"
    told = asked_in_advance("echo 0 > /proc/sys/user/max_net_namespaces")
    assert f"netviz: {told.removeprefix('once').strip()}\n" == (
        with_namespaces("max_net_namespaces").stderr
    )


@pytest.mark.parametrize("kind", ["pid", "mnt", "net"])
def test_no_more_of_other_namespaces_is_told_with_the_setting(kind: str) -> None:
    done = with_namespaces(f"max_{kind}_namespaces")
    assert done.returncode == 2
    assert f"(user.max_{kind}_namespaces = 0)" in done.stderr


def test_seccomp_that_forbids_unshare_is_named() -> None:
    done = with_call_answered("unshare", EPERM)
    assert done.returncode == 2
    assert "'unshare' was refused (Operation not permitted): a seccomp filter" in done.stderr
    assert "start the container with: --security-opt seccomp=unconfined" in done.stderr


def test_refusal_after_the_first_step_reaches_the_caller() -> None:
    done = with_call_answered("mount", EACCES)
    assert done.returncode == 2
    assert "'/' was refused (Permission denied): a seccomp filter" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "facts", "cause", "remedy"),
    [
        (
            PermissionError(EPERM, "Operation not permitted", "uid_map"),
            {"apparmor": "1", "profile": "unprivileged_userns"},
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1",
            "run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            PermissionError(EACCES, "Permission denied", "/"),
            {"apparmor": "1"},
            "AppArmor restricts user namespaces",
            "run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            PermissionError(EACCES, "Permission denied", "/"),
            {"profile": "docker-default", "seccomp": 2},
            "the AppArmor profile 'docker-default' forbids it",
            "--security-opt apparmor=unconfined",
        ),
        (
            PermissionError(EPERM, "Operation not permitted", "unshare"),
            {"debian": "0"},
            "user namespaces are switched off (kernel.unprivileged_userns_clone = 0)",
            "run: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            OSError(ENOSPC, "No space left on device", "unshare"),
            {"maximum": (0, "user.max_net_namespaces")},
            "the machine allows no more namespaces (user.max_net_namespaces = 0)",
            "run: sudo sysctl -w user.max_net_namespaces=15000",
        ),
        (
            OSError(EINVAL, "Invalid argument", "unshare"),
            {},
            "this process has threads already",
            "netviz run -- COMMAND",
        ),
        (OSError(ENOSYS, "Function not implemented"), {}, "lacks namespaces", "use Linux 5.12"),
    ],
)
def test_each_refusal_has_its_cause_and_its_remedy(
    error: OSError, facts: dict[str, object], cause: str, remedy: str
) -> None:
    assert cause in told(error, **facts)
    assert remedy in told(error, **facts).rpartition("; ")[2]


def test_seccomp_is_not_blamed_where_debian_forbids() -> None:
    error = PermissionError(EPERM, "Operation not permitted", "unshare")
    assert "seccomp" not in told(error, seccomp=2, debian="0")


def test_full_disk_is_not_taken_for_a_lack_of_namespaces() -> None:
    assert "namespaces (" not in told(OSError(ENOSPC, "No space left on device", "/run"))


def test_what_nobody_explains_is_not_guessed() -> None:
    error = PermissionError(EPERM, "Operation not permitted", "unshare")
    assert "the machine does not say why" in told(error, seccomp=0, debian="1", apparmor="0")


def test_lowest_limit_is_the_one_that_is_told() -> None:
    script = 'echo 7 > /proc/sys/user/max_net_namespaces && exec "$@"'
    ask = "from netviz.lab.refusals import Facts; print(Facts.of_this_machine().maximum)"
    command = ["sh", "-c", script, "sh", sys.executable, "-P", "-c", ask]
    done = run(*AS_ROOT, *command)
    assert done.stdout == "(7, 'user.max_net_namespaces')\n"


@pytest.mark.parametrize(
    "mounts",
    [
        "mount --bind /dev/null /proc/cmdline",
        "mount -t tmpfs none /sys/kernel",
        "mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys",
        "mount --rbind /sys /sys && mount -o remount,bind,ro /sys",
        "mount --bind /dev/null /proc/cmdline && mount -t tmpfs -o ro none /sys/kernel",
    ],
    ids=["masked proc", "masked sys", "read-only sysctls", "read-only sys", "both masked"],
)
def test_lab_starts_where_a_container_hides_proc_and_sys(mounts: str) -> None:
    done = in_a_container(
        mounts, "hostname; ip link add veth0 type veth peer name veth1 && ip netns add net1"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "lab\n", "")


def test_what_a_container_has_masked_stays_masked() -> None:
    done = in_a_container("mount --bind /dev/null /proc/cmdline", "wc -c < /proc/cmdline")
    assert (done.returncode, done.stdout.strip()) == (0, "0")
