"""Goal: what systemd is given is valid, allows little, and names this installation.

Method: the real systemd-analyze, systemd-sysusers and systemd-tmpfiles on the files, shipped and as
`harmattan service install` writes them into an empty system; nothing of this system is touched.
"""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.errors import SettingsError
from gateway.observe.watch import FEEDS, FLIGHT_S_MAX, LOOK_S
from gateway.post import STOP_S_MAX
from gateway.service import File, install, render
from gateway.shipped import read_shipped

PROGRAM = Path("/opt/harmattan/bin/harmattan")
SETTINGS = Path("/var/lib/harmattan/post/post.toml")


def run(*command, code=0):
    """Run a command and return everything it printed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def harmattan(*arguments, code=0):
    return run(sys.executable, "-m", "gateway", "service", *arguments, code=code)


def values(name):
    """Return what the shipped unit sets under a name, in order."""
    return re.findall(rf"^{name}=(.*)$", read_shipped("harmattan.service"), re.MULTILINE)


@pytest.mark.usefixtures("systemd_present")
def test_the_service_is_exposed_as_little_as_promised(tmp_path):
    """The threshold is in tenths: at most 2.0; without the hardening it is refused."""
    unit = tmp_path / "harmattan.service"
    unit.write_text(read_shipped("harmattan.service"))
    measure = ("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20")
    printed = run(*measure, unit)
    (level,) = re.findall(r"Overall exposure level for harmattan.service: ([\d.]+)", printed)
    assert float(level) <= 2.0
    bare = re.sub(r"(?m)^(Protect|Private|Restrict|System|NoNew).*\n", "", unit.read_text())
    unit.write_text(bare)
    run(*measure, unit, code=1)


@pytest.mark.usefixtures("systemd_present")
def test_an_installation_is_valid_as_it_is_written(tmp_path):
    for _ in range(2):  # again after an update
        printed = harmattan("install", "--root", tmp_path)
    assert f"wrote {tmp_path}/etc/systemd/system/harmattan.service" in printed
    unit = tmp_path / "etc/systemd/system/harmattan.service"
    assert not run("systemd-analyze", "verify", unit).strip()
    assert f"ExecStart={Path(sys.executable).parent / 'harmattan'} run" in unit.read_text()
    run("systemd-sysusers", f"--root={tmp_path}")
    assert re.search(
        r"^harmattan:x:\d+:\d+:.*:/var/lib/harmattan:.*nologin$",
        (tmp_path / "etc/passwd").read_text(),
        re.MULTILINE,
    )
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", "harmattan.conf")
    assert (tmp_path / "var/lib/harmattan").stat().st_mode & 0o777 == 0o700


def test_other_paths_are_told_and_may_be_written():
    folder = Path("/srv/posts/one")
    unit = render(File.unit, Path("/srv/venv/bin/harmattan"), folder / "post.toml")
    assert "ExecStart=/srv/venv/bin/harmattan run --settings /srv/posts/one/post.toml" in unit
    assert f"ReadWritePaths={folder}\n" in unit
    assert "ReadWritePaths" not in render(File.unit, PROGRAM, SETTINGS)
    assert render(File.unit, PROGRAM, SETTINGS) == read_shipped("harmattan.service")


@pytest.mark.parametrize(
    "path",
    ["post.toml", "/a b/post.toml", "/50%/post.toml", "/a\n/b", "/$HOME/p", "/srv/a/../post.toml"],
)
def test_a_path_that_systemd_would_misread_is_refused(path):
    with pytest.raises(SettingsError, match="cannot be told to systemd"):
        render(File.unit, PROGRAM, Path(path))
    with pytest.raises(SettingsError, match="cannot be told to systemd"):
        render(File.unit, Path(path), SETTINGS)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "etc").write_text("a file")
    assert "run this as root, or give --root" in harmattan("install", "--root", tmp_path, code=2)


def test_each_file_can_be_looked_at():
    for file in File:
        assert render(file, PROGRAM, SETTINGS).startswith("# ")
    assert harmattan("show", "sysusers") == read_shipped("harmattan.sysusers")


def test_the_firewalls_rule_is_for_the_posts_port_and_written_by_nobody(tmp_path):
    """What it does was tried by hand, with nftables between two network namespaces."""
    path = tmp_path / "post.toml"
    path.write_text(
        'post = "p"\n[broker.nodes]\nhost = "10.0.0.1"\nport = 8884\nca_file = "a"\n'
        'certificate_file = "b"\nkey_file = "c"\n'
    )
    shown = harmattan("show", "firewall", "--settings", path)
    assert shown == read_shipped("harmattan.nft").replace("8883", "8884")
    assert shown.count("{") == shown.count("}")
    for family in ("4", "6"):  # bounded by address, and the sets have an end
        assert f"add @held{family}" in shown
        assert f"update @opened{family}" in shown
    assert shown.count("size 4096") == 4
    assert 'iifname != "lo"' in shown
    harmattan("install", "--root", tmp_path)
    assert not list(tmp_path.rglob("*.nft"))


def test_the_times_of_unit_and_gateway_fit():
    """The watchdog allows two late feeds; systemd waits longer than the gateway needs to stop."""
    (watchdog_s,), (stop_s,) = values("WatchdogSec"), values("TimeoutStopSec")
    assert min(float(watchdog_s) / FEEDS, LOOK_S) * 2 < float(watchdog_s)
    assert float(watchdog_s) > FLIGHT_S_MAX
    assert STOP_S_MAX < 5 < float(stop_s)
    assert values("Type") == ["notify"]
    assert values("Restart") == ["always"]


def test_a_journal_on_another_disk_may_be_written(tmp_path):
    post = tmp_path / "post"
    post.mkdir()
    disk = tmp_path / "disk"
    (post / "post.toml").write_text(f'post = "p"\ndirectory = "{disk}"\n')
    unit = render(File.unit, PROGRAM, post / "post.toml")
    assert f"ReadWritePaths={post}\n" in unit
    assert f"ReadWritePaths={disk}\n" in unit


@pytest.mark.parametrize(
    "path",
    "/post.toml /etc/harmattan.toml /srv/p.toml /var/lib/p.toml /usr/share/x/p.toml /root/p.toml"
    " /home/p.toml /mnt/p.toml /etc/systemd/system/p.toml".split(),
)
def test_a_folder_that_is_not_the_posts_alone_is_never_given_to_it(path, tmp_path):
    """What is printed is done as root: it would close that folder to everybody else."""
    told = harmattan("install", "--settings", path, "--root", tmp_path, code=2)
    folder = Path(path).parent
    assert f"harmattan: {folder} is the " in told
    assert "in a folder of their own, such as /var/lib/harmattan/post" in told
    assert "install -d" not in told
    assert list(tmp_path.iterdir()) == []
    assert "of their own" in harmattan("show", "--settings", path, code=2)


def test_a_home_is_not_given_away_either(monkeypatch, tmp_path):
    (tmp_path / "journal").symlink_to("/srv")
    home = SimpleNamespace(pw_name="ada", pw_dir="/data/ada")
    monkeypatch.setattr("pwd.getpwall", lambda: [home])
    with pytest.raises(SettingsError, match="/data/ada is the home of ada: "):
        render(File.unit, PROGRAM, Path("/data/ada/post.toml"))
    (tmp_path / "post.toml").write_text('post = "p"\ndirectory = "journal"\n')
    with pytest.raises(SettingsError, match="/srv is the system's"):
        render(File.unit, PROGRAM, tmp_path / "post.toml")


def test_a_folder_with_other_things_in_it_is_not_given_away(tmp_path):
    place = tmp_path / "srv/post"
    place.mkdir(parents=True)
    settings_path = Path("/srv/post/post.toml")
    (place / "lost+found").mkdir()
    install(settings_path, tmp_path)
    (place / "ledger.ods").touch()
    with pytest.raises(SettingsError, match=r"holds 'ledger.ods' and no post.toml"):
        install(settings_path, tmp_path)
    (place / "post.toml").touch()
    install(settings_path, tmp_path)


def test_a_folder_elsewhere_is_made_for_the_user_first(tmp_path, capsys):
    install(Path("/srv/posts/one/post.toml"), tmp_path)
    steps = capsys.readouterr().out
    made = steps.index("install -d -o harmattan -g harmattan -m 0700 /srv/posts/one\n")
    assert made < steps.index("runuser -u harmattan")
    install(SETTINGS, tmp_path)
    assert "install -d" not in capsys.readouterr().out
