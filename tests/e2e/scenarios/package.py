"""The Debian package, as an administrator installs, upgrades and removes it."""

import glob
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from ground import (
    AT_ONCE,
    CONFIG,
    PASSWORD_ONLY,
    SOCKET,
    Phone,
    Process,
    Sshd,
    check,
    equal,
    key_and_code,
    otpctl,
    pam,
    password_and_code,
    run,
    scenario,
    settings,
    toml,
    until,
    write,
)

NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}
KEY = "/etc/otpd/otpd.key"
COMMON = "/etc/pam.d/common-auth"
SITE = """\
KbdInteractiveAuthentication yes
PasswordAuthentication no
PermitRootLogin no
AuthenticationMethods keyboard-interactive
"""
# A pam-auth-update after which a stack names the module still.
KEEPS_A_LINE = """\
#!/bin/sh
case "$*" in *--remove*) echo "auth requisite pam_otp.so" >/etc/pam.d/kept ;; esac
exec pam-auth-update.real "$@"
"""
UNAVAILABLE = "Login codes cannot be checked at the moment."
BROKEN = "The login-code service on box cannot check codes now."


def the_package():
    """The package that was built."""
    found = glob.glob("/packages/otpd_*.deb")
    check(len(found) == 1, f"one package of otpd in /packages, found {found}: see packaging/build.sh")
    return found[0]


def another_version(version):
    """The package, as if it had this version."""
    run("dpkg-deb", "--raw-extract", the_package(), f"/tmp/{version}")
    control = Path(f"/tmp/{version}/DEBIAN/control")
    lines = control.read_text().splitlines()
    control.write_text("".join(f"Version: {version}\n" if line.startswith("Version:") else f"{line}\n" for line in lines))
    run("dpkg-deb", "--build", "-Znone", f"/tmp/{version}", f"/tmp/otpd_{version}.deb")
    shutil.rmtree(f"/tmp/{version}")
    return f"/tmp/otpd_{version}.deb"


def dpkg(*words, status=0):
    """Runs dpkg without questions; all that it said."""
    done = run("dpkg", "--force-confdef", "--force-confold", *words, env=NONINTERACTIVE, check_status=status)
    return done.out + done.err


def profile(*words):
    """Runs pam-auth-update without questions."""
    return run("pam-auth-update", *words, env=NONINTERACTIVE)


def digests():
    """What PAM reads, file by file."""
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in sorted(glob.glob("/etc/pam.d/*"))}


def unit(what, name="otpd.service"):
    """A property of a unit."""
    return run("systemctl", "show", "-P", what, name).out.strip()


def journal():
    """What otpd has logged."""
    run("journalctl", "--sync")
    return run("journalctl", "-u", "otpd.service", "-o", "cat").out


def configure(g, changes=None):
    """Writes a configuration that works over the shipped one, whose owner and mode stay."""
    text = toml(settings({"phone": g.phone}, {"server": None, "store": None, "log": None, **(changes or {})}))
    Path(CONFIG).write_text(text + "\n")


def install(g, package=None, users=("alice",)):
    """Installs, fills in and enrolls; the distribution's own sshd, whose PAM stack nobody touched."""
    run("systemctl", "stop", "ssh.service")  # it has the ground's port
    said = dpkg("-i", package or the_package())
    g.phone = Phone()
    configure(g)
    run("systemctl", "reload", "otpd.service")
    until(lambda: "ready" in journal(), "otpd ready")
    g.sshd = Sshd()
    for user in users:
        g.user(user)
        g.enroll(user)
    return said


def password_alone(g, user="alice"):
    """A login that is not asked for a code."""
    person = g.ssh(user)
    person.password(g.passwords[user])
    person.granted()
    check("Code" not in person.transcript, f"a code was asked for:\n{person.transcript}")


def with_a_code(g, user="alice"):
    """A login that is."""
    person = g.ssh_to_code(user)
    person.code(g.code_for(user))
    person.granted()


def refused(g, words, user="alice"):
    """A login that gets these words instead of a prompt, at once."""
    person = g.ssh(user, rounds=1)
    person.password(g.passwords[user])
    began = time.monotonic()
    person.denied()
    took = time.monotonic() - began
    check(words in person.transcript, f"{words!r} is not on the screen:\n{person.transcript}")
    check(took < AT_ONCE, f"refused only after {took:.1f} s")


@scenario(boot=True, packaged=True)
def installed_used_and_purged(g):
    """From nothing to a login with a code and back to nothing, PAM byte for byte as it was."""
    before = digests()
    run("systemctl", "stop", "ssh.service")
    said = dpkg("-i", the_package())
    check("fill in /etc/otpd/otpd.toml" in said, f"it does not say what is to be done:\n{said}")
    equal(digests(), before, "PAM after the installation")
    found = run("stat", "-c", "%U:%G %a %n", "/etc/otpd", CONFIG, KEY, SOCKET).out.splitlines()
    expected = ["root:otpd 750 /etc/otpd", f"root:otpd 640 {CONFIG}", f"root:root 600 {KEY}", f"root:root 666 {SOCKET}"]
    equal(found, expected, "owners and modes")
    equal([unit("UnitFileState", f"otpd.{kind}") for kind in ("socket", "service")], ["enabled"] * 2, "at the next boot")
    equal(unit("StatusText"), "refuses logins: see journalctl -u otpd", "a daemon that has nothing to send by")
    check("countries" in journal(), f"the journal does not say what is missing:\n{journal()}")
    pid = unit("MainPID")

    g.phone = Phone()
    configure(g)
    run("systemctl", "reload", "otpd.service")
    until(lambda: unit("StatusText") == "answers logins", "the configuration taken over")
    equal((unit("MainPID"), unit("NRestarts")), (pid, "0"), "the process that was filled in for")
    g.sshd = Sshd()
    g.user("alice")
    g.enroll("alice")
    password_alone(g)

    # What is to be done still, and nothing else; root has no number, and is not to come in by ssh.
    write("/etc/ssh/sshd_config.d/10-site.conf", SITE)
    found = json.loads(run("otpctl", "doctor", "--service", "sshd", "--json", check_status=1).out)["findings"]
    problems = [finding["text"] for finding in found if finding["state"] == "problem"]
    equal(problems, ["sshd asks for no code"], "what the doctor misses before the profile is there")
    profile("--enable", "otpd")
    examined = run("otpctl", "doctor", "--service", "sshd", check_status=None)
    check(examined.status == 0 and examined.out.endswith("\nnothing is wrong\n"), f"the doctor:\n{examined.out}")
    check("requisite\tpam_otp.so" in Path(COMMON).read_text(), f"the profile is not in {COMMON}")
    with_a_code(g)
    texts = len(g.phone.texts)
    person = g.ssh("alice", rounds=1)
    person.password("not her password")
    person.denied()
    check("Code" not in person.transcript, f"a wrong password is asked for a code:\n{person.transcript}")
    g.phone.expect_count(texts)

    run("systemctl", "stop", "otpd.socket", "otpd.service")
    refused(g, UNAVAILABLE)
    run("systemctl", "start", "otpd.socket")
    with_a_code(g)

    dpkg("--remove", "otpd")
    equal(digests(), before, "PAM after the removal")
    password_alone(g)
    for path in ("/usr/sbin/otpd", "/usr/bin/otpctl", "/usr/lib/systemd/system/otpd.service"):
        check(not os.path.exists(path), f"{path} is left")
    equal(unit("ActiveState", "otpd.socket"), "inactive", "the socket")
    check(not os.path.lexists(os.path.dirname(SOCKET)), "the dead socket is left")
    check(os.path.exists(KEY) and os.path.exists("/var/lib/otpd/otpd.db"), "removing took the key or the database")
    said = dpkg("--purge", "otpd")
    for path in ("/var/lib/otpd/otpd.db", KEY):
        check(f"deleting the {'key' if path == KEY else 'database'} {path}" in said, f"it does not say what goes:\n{said}")
    for path in ("/etc/otpd", "/var/lib/otpd", "/etc/systemd/system/sockets.target.wants/otpd.socket"):
        check(not os.path.lexists(path), f"{path} is left")
    equal(digests(), before, "PAM after the purge")
    password_alone(g)


@scenario(boot=True, packaged=True)
def not_removed_while_a_stack_names_the_module(g):
    """A line that somebody wrote keeps the package where it is, with nothing undone, until it is taken out."""
    install(g)
    # No stack names it now, but a trial's end would bring it back.
    run("otpctl", "pam", "enable", "sshd")
    run("otpctl", "pam", "disable", "sshd", "--trial", "10m")
    check("pam_otp.so" not in Path("/etc/pam.d/sshd").read_text(), "the stack on trial")
    said = dpkg("--remove", "otpd", status=1)
    check("/etc/pam.d/sshd is on trial" in said, f"it does not name the trial:\n{said}")
    run("otpctl", "pam", "revert", "sshd")
    run("otpctl", "pam", "disable", "sshd")
    profile("--enable", "otpd")
    sshd = Path("/etc/pam.d/sshd").read_text()
    cases = [
        ("by hand in sshd", "/etc/pam.d/sshd", password_and_code()),
        ("alone, with a path", "/etc/pam.d/vpn", key_and_code().replace("pam_otp.so", "/lib/security/pam_otp.so")),
        ("called like one of pam-auth-update's", "/etc/pam.d/common-vpn", key_and_code()),
    ]
    for name, path, stack in cases:
        write(path, stack)
        copies = [f"{path}.dpkg-old", f"{path}~"]
        for copy in copies:
            write(copy, stack)
        said = dpkg("--remove", "otpd", status=1)
        named = [line.strip() for line in said.splitlines() if line.startswith("  /")]
        equal(named, [path], f"{name}: the files that it names")
        check("pam_otp.so" in Path(COMMON).read_text(), f"{name}: the profile was taken out all the same")
        equal(run("dpkg-query", "-W", "-f", "${db:Status-Status}", "otpd").out, "installed", name)
        with_a_code(g)
        for copy in [path, *copies]:
            os.unlink(copy)
        write("/etc/pam.d/sshd", sshd)

    # In a file elsewhere that a stack includes.
    write("/etc/security/codes", key_and_code())
    write("/etc/pam.d/vpn", "@include /etc/security/codes\n")
    said = dpkg("--remove", "otpd", status=1)
    check("  /etc/security/codes\n" in said, f"it does not name the file:\n{said}")
    os.unlink("/etc/pam.d/vpn")

    # A whole file of the administrator's own, which pam-auth-update leaves alone.
    managed = Path(COMMON).read_text()
    own = "auth requisite pam_unix.so\nauth requisite pam_otp.so\n"
    write(COMMON, own)
    said = dpkg("--remove", "otpd", status=1)
    check(COMMON in said and "--force" in said, f"it does not say what is in the way:\n{said}")
    equal(Path(COMMON).read_text(), own, "the administrator's file")
    with_a_code(g)

    # A line outside of what pam-auth-update writes in its file, which it would leave.
    write(COMMON, managed + "auth\toptional\tpam_otp.so\n")
    both = Path(COMMON).read_text()
    said = dpkg("--remove", "otpd", status=1)
    check(COMMON in said, f"it does not say what is in the way:\n{said}")
    equal(Path(COMMON).read_text(), both, "the profile and the line below it")

    # One that it keeps where it writes itself cannot be told beforehand: what was undone is put back.
    write(COMMON, managed)
    run("mv", "/usr/sbin/pam-auth-update", "/usr/sbin/pam-auth-update.real")
    write("/usr/sbin/pam-auth-update", KEEPS_A_LINE, 0o755)
    said = dpkg("--remove", "otpd", status=1)
    check(os.path.exists("/etc/pam.d/kept") and COMMON not in said, f"it was not undone first:\n{said}")
    os.unlink("/etc/pam.d/kept")
    run("mv", "/usr/sbin/pam-auth-update.real", "/usr/sbin/pam-auth-update")
    equal(Path(COMMON).read_text(), managed, "the profile after a removal that came to nothing")
    check(not os.path.exists("/run/otpd.profile"), "what the removal left for itself")
    with_a_code(g)

    # A line of theirs in a file that pam-auth-update goes on to write.
    permit, theirs = "auth\trequired\t\t\tpam_permit.so\n", "auth\toptional\tpam_faildelay.so delay=1000\n"
    check(permit in managed, f"another {COMMON} than expected:\n{managed}")
    write(COMMON, managed.replace(permit, permit + theirs))
    with_a_code(g)
    dpkg("--remove", "otpd")
    password_alone(g)
    check(theirs in Path(COMMON).read_text(), "the administrator's line is gone")


@scenario(boot=True, packaged=True)
def upgraded_at_the_prompt(g):
    """An upgrade and a step back keep prompts, key, numbers, the profile and what was configured."""
    before, after = another_version("0.0.9-1"), the_package()
    install(g, before)
    profile("--enable", "otpd")
    kept = {path: (Path(path).read_bytes(), os.stat(path).st_mode, os.stat(path).st_gid) for path in (KEY, CONFIG, COMMON)}
    socket = os.stat(SOCKET).st_ino
    for package in (after, before, after):
        person = g.ssh_to_code("alice")
        code = g.code_for("alice")
        person.expect("Code: ")
        pid = unit("MainPID")
        dpkg("-i", package)
        check(unit("MainPID") != pid, "the daemon before the upgrade is still there")
        # The module that was loaded before with the daemon that is there now.
        person.type(code)
        person.granted()
        for path, what in kept.items():
            stat = os.stat(path)
            equal((Path(path).read_bytes(), stat.st_mode, stat.st_gid), what, path)
        with_a_code(g)
    # One that would refuse every login, because of what is in its files by now, takes nobody's place.
    pid = unit("MainPID")
    run("chmod", "0640", CONFIG)
    run("chgrp", "root", CONFIG)
    said = dpkg("-i", before)
    for part in (f"{CONFIG}: cannot be read", f"chgrp otpd {CONFIG}", "goes on", "systemctl restart otpd"):
        check(part in said, f"{part!r} is not in:\n{said}")
    equal(unit("MainPID"), pid, "the daemon that worked")
    with_a_code(g)
    run("chgrp", "otpd", CONFIG)
    dpkg("-i", after)
    check(unit("MainPID") != pid, "the daemon before the mend is still there")
    # Nor one that could not open the database, though root could.
    pid = unit("MainPID")
    os.chown("/var/lib/otpd/otpd.db", 0, 0)
    said = dpkg("-i", before)
    for part in ("/var/lib/otpd/otpd.db: ", "goes on"):
        check(part in said, f"{part!r} is not in:\n{said}")
    equal(unit("MainPID"), pid, "the daemon that has the database open")
    shutil.chown("/var/lib/otpd/otpd.db", "otpd", "otpd")
    dpkg("-i", after)
    check(unit("MainPID") != pid, "the daemon before the database came back is still there")
    # Nor one that would find no key: the daemon that runs has its own copy, and noticed nothing.
    pid = unit("MainPID")
    os.rename(KEY, "/root/otpd.key")
    said = dpkg("-i", before)
    for part in (f"{KEY}: no such file", "restore the key", "goes on"):
        check(part in said, f"{part!r} is not in:\n{said}")
    equal(unit("MainPID"), pid, "the daemon that has its key")
    with_a_code(g)
    os.rename("/root/otpd.key", KEY)
    dpkg("-i", after)
    check(unit("MainPID") != pid, "the daemon before the key came back is still there")
    with_a_code(g)
    equal(os.stat(SOCKET).st_ino, socket, "the socket, which was open all the time")
    equal(unit("ActiveState", "otpd.socket"), "active", "the socket")


@scenario(packaged=True)
def without_systemd_and_sshd(g):
    """Where systemd is not running and there is no sshd it installs, says so, works by hand and goes again."""
    before = digests()
    dpkg("--force-depends", "--purge", "openssh-server", "openssh-sftp-server")
    said = dpkg("-i", the_package())
    for part in ("systemd is not running", "start /usr/sbin/otpd, as root", "no sshd here", "fill in /etc/otpd/otpd.toml"):
        check(part in said, f"{part!r} is not in:\n{said}")
    g.phone = Phone()
    configure(g, {"log": {"format": "json"}})
    otpctl("status", status=3)
    daemon = Process("otpd", ["/usr/sbin/otpd"])
    daemon.wait_output('"ready"')
    g.user("alice")
    g.enroll("alice")
    pam("su", password_and_code())
    pam("su-l", password_and_code())
    person = g.terminal("su", "-", "alice", "-c", "echo in as $(id -un)")
    person.answer("Password: ", g.passwords["alice"])
    person.answer("Code: ", g.code_for("alice"))
    person.expect("in as alice\n")
    equal(daemon.stop(), 0, "the daemon's exit status")
    said = dpkg("--purge", "otpd", status=1)
    check("/etc/pam.d/su\n" in said, f"it does not name the stack:\n{said}")
    for service in ("su", "su-l"):
        write(f"/etc/pam.d/{service}", "@include common-auth\n")
    dpkg("--purge", "otpd")
    for path in ("/etc/otpd", "/var/lib/otpd", "/usr/sbin/otpd"):
        check(not os.path.exists(path), f"{path} is left")
    changed = {path for path, digest in digests().items() if before.get(path, digest) != digest}
    equal(changed, {"/etc/pam.d/su", "/etc/pam.d/su-l"} & changed, "other stacks that changed")


@scenario(packaged=True)
def purged_where_folders_are_mounted_or_links(g):
    """The key goes first; what cannot go with the rest is named, and the purge ends well."""
    database = Path("/var/lib/otpd/otpd.db")
    dpkg("-i", the_package())
    run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/otpd")
    database.write_text("numbers")
    said = dpkg("--purge", "otpd")
    check("/var/lib/otpd is left: it is empty" in said, f"it does not say what is left:\n{said}")
    check(not os.path.exists(KEY) and not database.exists(), "the key or the database is left")
    run("umount", "/var/lib/otpd")
    os.rmdir("/var/lib/otpd")

    dpkg("-i", the_package())
    os.rename("/var/lib/otpd", "/srv/otpd")
    os.symlink("/srv/otpd", "/var/lib/otpd")
    database.write_text("numbers")
    os.rename(KEY, "/srv/otpd.key")
    os.symlink("/srv/otpd.key", KEY)
    said = dpkg("--purge", "otpd")
    for part in ("/var/lib/otpd is left: it is empty", f"{KEY} was a link, and /srv/otpd.key is left"):
        check(part in said, f"{part!r} is not in:\n{said}")
    equal((os.path.lexists(KEY), os.listdir("/srv/otpd")), (False, []), "what is left of the key and the database")


@scenario(boot=True, packaged=True)
def by_hand_in_sshd(g):
    """The two supported stacks by hand; killed, broken, mended, with the socket of the first boot all along."""
    install(g)
    pam("sshd", password_and_code())
    with_a_code(g)
    socket = os.stat(SOCKET).st_ino

    person = g.ssh_to_code("alice")
    code = g.code_for("alice")
    person.expect("Code: ")
    run("systemctl", "kill", "-s", "KILL", "otpd.service")
    person.type(code)
    person.granted()

    right = Path(CONFIG).read_text()
    Path(CONFIG).write_text(right.replace('countries = ["US"]', 'countries = "US"'))
    run("systemctl", "restart", "otpd.service")
    refused(g, BROKEN)
    check("countries" in journal(), f"the journal does not say why:\n{journal()}")
    Path(CONFIG).write_text(right)
    run("systemctl", "reload", "otpd.service")
    until(lambda: unit("StatusText") == "answers logins", "what was mended")
    with_a_code(g)
    equal(os.stat(SOCKET).st_ino, socket, "the socket")

    g.sshd.stop()
    os.unlink("/etc/ssh/ground_sshd_22")
    pam("sshd", key_and_code())
    g.sshd = Sshd(AuthenticationMethods="publickey,keyboard-interactive")
    g.user("bob", key=True)
    g.enroll("bob")
    with_a_code(g, "bob")


@scenario(boot=True, packaged=True)
def a_gateways_key_is_rotated(g):
    """A vendor's key as a credential: after a restart the new one is used, and whoever is at a prompt goes on."""
    install(g)
    pam("sshd", password_and_code())
    secret = "/root/site.key"
    write(secret, "Bearer first\n", 0o600)
    write("/etc/systemd/system/otpd.service.d/site.conf", f"[Service]\nLoadCredential=site.key:{secret}\n")
    text = toml(settings({"phone": g.phone}, {"server": None, "store": None, "log": None}))
    text = text.replace("[gateway.phone.headers]", "[gateway.phone.headers]\nauthorization = { file = \"site.key\" }")
    check("site.key" in text, f"the headers are not where they were:\n{text}")
    Path(CONFIG).write_text(text + "\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "otpd.service")
    equal(unit("StatusText"), "answers logins", "root's file, which the daemon itself cannot read")
    run("otpd", "--check")  # by root, outside of the service

    person = g.ssh_to_code("alice")
    first = g.text_for("alice")
    person.expect("Code: ")
    write(secret, "Bearer second\n", 0o600)
    run("systemctl", "reload", "otpd.service")  # credentials stay as they are until a restart
    run("systemctl", "restart", "otpd.service")
    person.type(first.code)
    person.granted()
    person = g.ssh_to_code("alice")
    second = g.text_for("alice")
    person.code(second.code)
    person.granted()
    sent = [{name.lower(): value for name, value in text.headers.items()}["authorization"] for text in (first, second)]
    equal(sent, ["Bearer first", "Bearer second"], "the keys")

    # What is the administrator's a purge leaves, and says so.
    write("/etc/otpd/other.key", "mine\n", 0o600)
    for rotated in "otpd.key.old", "otpd.key.old.~1~":
        write(f"/etc/otpd/{rotated}", "k" * 32, 0o600)
    os.makedirs("/srv/otpd")
    write("/srv/otpd/own.key", "k" * 32, 0o600)
    with open("/etc/otpd/otpd.toml") as file:
        text = file.read()
    write("/etc/otpd/otpd.toml", '[server]\nkey-file = "/srv/otpd/own.key"\n' + text)
    pam("sshd", PASSWORD_ONLY)
    said = dpkg("--purge", "otpd")
    check("left with what you put there" in said, f"it does not say what is left:\n{said}")
    equal(sorted(os.listdir("/etc/otpd")), ["other.key", "otpd.key.old", "otpd.key.old.~1~"], "what is left")
    for key in "/etc/otpd/otpd.key.old", "/etc/otpd/otpd.key.old.~1~":
        check(f"the key {key} is left" in said, f"it does not say that an old key is left:\n{said}")
    check("/srv/otpd/own.key is left" in said, f"it does not say where the key is left:\n{said}")
    check(os.path.exists("/srv/otpd/own.key"), "a key elsewhere was deleted")


@scenario(boot=True, packaged=True)
def a_lost_key(g):
    """Without its key it starts, refuses at once and says what to do; with the key back all is as before."""
    install(g)
    pam("sshd", password_and_code())
    os.rename(KEY, "/root/otpd.key")
    run("systemctl", "restart", "otpd.service")
    refused(g, BROKEN)
    check(f"{KEY}: no such file" in journal() and "restore the key" in journal(), f"the journal:\n{journal()}")
    check(not os.path.exists(KEY), "another key was made")
    # An upgrade makes none either.
    dpkg("-i", the_package())
    check(not os.path.exists(KEY), "another key was made by the package")
    os.rename("/root/otpd.key", KEY)
    run("systemctl", "restart", "otpd.service")
    with_a_code(g)


@scenario(boot=True, packaged=True)
def a_store_that_hangs(g):
    """A daemon whose store answers no more is killed and started again, and the login goes on."""
    install(g)
    pam("sshd", password_and_code())
    write("/etc/systemd/system/otpd.service.d/watchdog.conf", "[Service]\nWatchdogSec=10\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "otpd.service")
    person = g.ssh_to_code("alice")
    code = g.code_for("alice")
    person.expect("Code: ")
    pid = unit("MainPID")
    # It lives while nobody asks anything of it: only the pings do.
    last = unit("WatchdogTimestampMonotonic")
    until(lambda: unit("WatchdogTimestampMonotonic") != last, "a ping")
    equal((unit("MainPID"), unit("NRestarts")), (pid, "0"), "a daemon whose store answers")

    [store] = [task for task in os.listdir(f"/proc/{pid}/task") if Path(f"/proc/{pid}/task/{task}/comm").read_text() == "store\n"]
    # Whatever the store's thread asks of the kernel now takes a minute.
    hold = Process("strace", ["strace", "-o", "/dev/null", "-p", store, "-e", "inject=all:delay_enter=60000000"])
    until(lambda: "Watchdog timeout" in run("journalctl", "-u", "otpd.service", "-o", "cat").out, "systemd's patience at its end")
    hold.kill()  # a thread that is traced cannot even die
    until(lambda: unit("NRestarts") != "0", "a restart")
    person.type(code)
    person.granted()
    check(unit("MainPID") != pid, "the daemon that hung is still there")


def rpm(*words, status=0):
    """Runs rpm, which Debian wants to be asked twice; all that it said."""
    done = run("rpm", "--force-debian", *words, check_status=status)
    return done.out + done.err


@scenario(packaged=True)
def the_rpm(g):
    """Installed, upgraded over, kept while a stack names the module, and removed but for key and database."""
    [package] = glob.glob("/packages/otpd-*.rpm")
    rpm("--install", "--nodeps", package)
    found = run("stat", "-c", "%U:%G %a %n", "/etc/otpd", CONFIG, KEY, "/var/lib/otpd", "/usr/lib64/security/pam_otp.so")
    expected = [
        "root:otpd 750 /etc/otpd",
        f"root:otpd 640 {CONFIG}",
        f"root:root 600 {KEY}",
        "otpd:otpd 700 /var/lib/otpd",
        "root:root 755 /usr/lib64/security/pam_otp.so",
    ]
    equal(found.out.splitlines(), expected, "owners and modes")
    equal(rpm("--verify", "--nodeps", "otpd"), "", "what differs from the package")
    key = Path(KEY).read_bytes()
    Path(CONFIG).write_text("# filled in\n")
    rpm("--upgrade", "--nodeps", "--replacepkgs", package)
    equal((Path(KEY).read_bytes(), Path(CONFIG).read_text()), (key, "# filled in\n"), "what an upgrade keeps")

    write("/etc/pam.d/vpn", key_and_code())
    write("/etc/pam.d/vpn.rpmsave", key_and_code())
    said = rpm("--erase", "--nodeps", "otpd", status=1)
    check("still in: /etc/pam.d/vpn\n" in said, f"it does not name the stack:\n{said}")
    check(os.path.exists("/usr/lib64/security/pam_otp.so"), "the module is gone")
    os.rename("/etc/pam.d/vpn", "/etc/vpn-auth")
    write("/etc/pam.d/vpn", "auth substack /etc/vpn-auth\n")
    said = rpm("--erase", "--nodeps", "otpd", status=1)
    check("still in: /etc/vpn-auth\n" in said, f"it does not name the file:\n{said}")
    os.unlink("/etc/pam.d/vpn")
    os.makedirs("/var/lib/otpctl")
    said = rpm("--erase", "--nodeps", "otpd")
    for part in ("are left", KEY, f"{CONFIG}.rpmsave", "/var/lib/otpd", "/var/lib/otpctl"):
        check(part in said, f"it does not say that {part} is left:\n{said}")
    check(not os.path.exists("/usr/lib64/security/pam_otp.so"), "the module is left")
    equal(Path(KEY).read_bytes(), key, "the key after the removal")


@scenario(boot=True, packaged=True)
def the_rpm_under_systemd(g):
    """Enabled by hand; an upgrade restarts it unless the new one could not work; stopped before it goes."""
    [package] = glob.glob("/packages/otpd-*.rpm")
    rpm("--install", "--nodeps", package)
    g.phone = Phone()
    configure(g)
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    run("systemctl", "reload", "otpd.service")
    until(lambda: unit("StatusText") == "answers logins", "otpd ready")
    pid = unit("MainPID")
    rpm("--upgrade", "--nodeps", "--replacepkgs", package)
    until(lambda: unit("StatusText") == "answers logins", "otpd ready again")
    check(unit("MainPID") != pid, "the daemon before the upgrade is still there")
    pid, good = unit("MainPID"), Path(CONFIG).read_text()
    Path(CONFIG).write_text(good + "[delivery\n")
    said = rpm("--upgrade", "--nodeps", "--replacepkgs", package)
    check("goes on" in said and CONFIG in said, f"it does not say what is wrong:\n{said}")
    equal(unit("MainPID"), pid, "the daemon that worked")
    rpm("--erase", "--nodeps", "otpd")
    equal([unit("ActiveState", f"otpd.{kind}") for kind in ("socket", "service")], ["inactive"] * 2, "the units")
    check(not os.path.lexists(os.path.dirname(SOCKET)), "the dead socket is left")
    equal(glob.glob("/etc/systemd/system/*.wants/otpd.*"), [], "what would be started at the next boot")
