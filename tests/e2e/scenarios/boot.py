"""The units of packaging/systemd under a real systemd."""

import base64
import json
import os
import socket
import struct
import threading
import time

from ground import (
    AT_ONCE,
    CONFIG,
    SOCKET,
    Phone,
    check,
    equal,
    otpctl,
    otpctl_json,
    password_and_code,
    run,
    scenario,
    settings,
    toml,
    until,
    write,
)

UNITS = "/etc/systemd/system"


def install(g, changes=None):
    """Installs as README says, up to the first start."""
    run("systemctl", "stop", "ssh.service")  # Debian's own, on the port of the ground's
    write(f"{UNITS}/otpd.service", open("/packaging/systemd/otpd.service").read())
    write(f"{UNITS}/otpd.socket", open("/packaging/systemd/otpd.socket").read())
    write("/usr/lib/sysusers.d/otpd.conf", open("/packaging/systemd/otpd.sysusers").read())
    run("systemd-sysusers")
    run("install", "-d", "-m", "750", "-o", "root", "-g", "otpd", "/etc/otpd")
    g.phone = Phone()
    configure(g, changes)
    run("otpd", "--make-key")
    run("systemctl", "daemon-reload")


def configure(g, changes=None):
    text = toml(settings({"phone": g.phone}, {"log": {"format": "journal"}, **(changes or {})}))
    write(CONFIG, text + "\n", 0o640)
    run("chgrp", "otpd", CONFIG)


def state(unit):
    """ActiveState of a unit."""
    return run("systemctl", "show", "-P", "ActiveState", unit).out.strip()


def journal(*options):
    """What otpd has logged."""
    run("journalctl", "--sync")
    return run("journalctl", "-u", "otpd.service", "-o", "cat", *options).out


def log_in(g, user="alice"):
    person = g.ssh_to_code(user)
    person.code(g.code_for(user))
    person.granted()


def refused(g, word):
    """A login that is refused after the password with this word; how long that took."""
    person = g.ssh("alice", rounds=1)
    person.password(g.passwords["alice"])
    began = time.monotonic()
    person.denied()
    check(word in person.transcript, f"{word!r} is not on the screen:\n{person.transcript}")
    return time.monotonic() - began


def started(g):
    """A machine with both units up and alice enrolled."""
    install(g)
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    g.start_sshd(password_and_code())
    g.user("alice")
    g.enroll("alice")


@scenario(boot=True)
def the_units(g):
    """Installed as README says it comes up under its own user, with its own state, and answers logins."""
    started(g)
    equal((state("otpd.socket"), state("otpd.service")), ("active", "active"), "the units")
    pid = run("systemctl", "show", "-P", "MainPID", "otpd.service").out.strip()
    equal(run("stat", "-c", "%U", f"/proc/{pid}").out, "otpd\n", "the daemon's user")
    status = open(f"/proc/{pid}/status").read()
    for line in ("CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        check(line in status, f"{line!r} is not in its status:\n{status}")
    paths = ("/run/otpd", SOCKET, "/var/lib/otpd", "/var/lib/otpd/otpd.db", "/etc/otpd/otpd.key")
    found = run("stat", "-c", "%U:%G %a %n", *paths).out
    equal(
        found.splitlines(),
        [
            "root:root 755 /run/otpd",
            f"root:root 666 {SOCKET}",
            "otpd:otpd 700 /var/lib/otpd",
            "otpd:otpd 600 /var/lib/otpd/otpd.db",
            "root:root 600 /etc/otpd/otpd.key",
        ],
        "owners and modes",
    )
    log_in(g)
    status_text = run("systemctl", "show", "-P", "StatusText", "otpd.service").out
    equal(status_text, "answers logins\n", "what it tells systemd")
    # The audit trail is in the journal, field by field, and as people read and search it.
    until(lambda: "login-granted" in run("journalctl", "-u", "otpd", "-o", "json").out, "the grant in the journal")
    for search in (["-u", "otpd", "--grep", "login-granted", "-o", "cat"], ["OTPD_EVENT=login-granted", "-o", "cat"]):
        found = run("journalctl", *search).out
        check('event="login-granted" account="alice"' in found, f"journalctl {search}:\n{found}")
    verified = run("systemd-analyze", "verify", "--man=no", f"{UNITS}/otpd.service", f"{UNITS}/otpd.socket")
    equal(verified.out + verified.err, "", "what systemd finds odd in the units")
    # 1.2 of 10: what is left are the network, the peers' uids, and what programs of gateways look at.
    run("systemd-analyze", "security", "--offline=true", "--threshold=12", f"{UNITS}/otpd.service")
    # It listens before anybody can log in.
    for login in ("ssh.service", "getty@tty1.service", "console-getty.service", "systemd-user-sessions.service"):
        before = run("systemctl", "list-dependencies", "--after", "--plain", "--all", login).out
        check("otpd.socket" in before, f"{login} does not wait for the socket:\n{before}")


@scenario(boot=True)
def nothing_secret_is_left(g):
    """No code, number or key in the journal, in files of the machine, in a core or on a command line."""
    # Chance does not find codes of eight digits in a whole machine's files.
    install(g, {"log": {"format": "journal", "level": "debug"}, "code": {"digits": 8}})
    # Whatever the machine's own limits are, and wherever it keeps cores.
    write("/etc/systemd/system.conf.d/core.conf", "[Manager]\nDefaultLimitCORE=infinity\n")
    run("systemctl", "daemon-reexec")
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    g.start_sshd(password_and_code())
    g.user("alice")
    g.enroll("alice")
    secrets = [g.number("alice").lstrip("+"), g.number("alice")[2:]]
    for _ in range(3):
        person = g.ssh_to_code("alice")
        code = g.code_for("alice")
        person.code(code)
        person.granted()
        secrets.append(code)
    pid = run("systemctl", "show", "-P", "MainPID", "otpd.service").out.strip()
    equal(run("systemctl", "show", "-P", "LimitCORE", "otpd.service").out, "0\n", "the unit's limit of cores")
    told = [open(f"/proc/{pid}/{name}", "rb").read() for name in ("cmdline", "environ")]
    denied = run("setpriv", "--reuid", "otpd", "--regid", "otpd", "--clear-groups", "--", "head", "-c", "1",
                 f"/proc/{pid}/mem", check_status=None)
    check(denied.status != 0 and "Permission denied" in denied.err, f"its own user reads its memory: {denied.err!r}")
    # Not SEGV: a first one that the kernel did not raise is taken by the Rust runtime.
    run("kill", "-s", "ABRT", pid)
    until(lambda: run("systemctl", "show", "-P", "NRestarts", "otpd.service").out != "0\n", "a restart")
    log_in(g)
    run("journalctl", "--sync")
    check("login-granted" in run("journalctl", "-u", "otpd.service", "-o", "json").out, "the journal was not read")
    check("core-dump" not in run("journalctl", "-u", "otpd.service", "-o", "cat").out, "it left a core")
    # What times and cursors consist of has the digits of a code now and then.
    entries = [json.loads(line) for line in run("journalctl", "-o", "json", "--all").out.splitlines()]
    own = lambda name: not name.startswith("_") and "TIME" not in name and name not in ("CODE_LINE", "SYSLOG_PID")
    journal_text = "\n".join(str(entry[name]) for entry in entries for name in entry if own(name)).encode()
    files = {}
    for folder in ("/var/lib/otpd", "/run/otpd", "/var/tmp", "/var/crash", "/var/lib/systemd/coredump"):
        for where, _, names in os.walk(folder):
            for path in (os.path.join(where, name) for name in names):
                check(not os.path.basename(path).startswith("core"), f"there is a core: {path}")
                if os.path.isfile(path):
                    files[path] = open(path, "rb").read()
    check("/var/lib/otpd/otpd.db" in files, f"the database was not read: {sorted(files)}")
    texts = {"the journal": journal_text, "its arguments": told[0], "its environment": told[1], **files}
    key = open("/etc/otpd/otpd.key", "rb").read()
    # As it is, and as programs print bytes.
    printed = [key.hex(), key.hex().upper(), base64.b64encode(key).decode().rstrip("="), str(list(key))[1:-1]]
    for secret in [key, *(secret.encode() for secret in [*printed, *secrets])]:
        for name, text in texts.items():
            check(secret not in text, f"{secret!r} is in {name}")


@scenario(boot=True)
def the_socket_starts_it(g):
    """A stopped daemon is started by the next login; with the socket stopped a login is refused at once."""
    started(g)
    run("systemctl", "stop", "otpd.service")
    equal((state("otpd.socket"), state("otpd.service")), ("active", "inactive"), "the units")
    check(os.path.exists(SOCKET), "stopping the service took the socket away")
    log_in(g)
    equal(state("otpd.service"), "active", "the service")

    # Again and again: no limit on starts holds.
    for _ in range(8):
        run("systemctl", "stop", "otpd.service")
        equal(otpctl_json("status")["active"], 1, "the active accounts")

    run("systemctl", "stop", "otpd.socket", "otpd.service")
    took = refused(g, "Login codes cannot be checked at the moment.")
    check(took < AT_ONCE, f"refused only after {took:.1f} s")
    otpctl("status", status=3)
    run("systemctl", "start", "otpd.socket")
    log_in(g)


@scenario(boot=True)
def a_restart_at_the_prompt(g):
    """Restarted, and killed, while somebody is at the prompt: systemd starts it and the login goes on."""
    started(g)
    for end in (["restart", "otpd.service"], ["kill", "-s", "KILL", "otpd.service"], ["stop", "otpd.service"]):
        person = g.ssh_to_code("alice")
        code = g.code_for("alice")
        person.expect("Code: ")
        run("systemctl", *end)
        person.type(code)
        person.granted()
    g.phone.expect_count(4)


@scenario(boot=True)
def a_reload(g):
    """A reload takes a changed file over; a wrong one fails, says why, and changes nothing."""
    started(g)
    configure(g, {"code": {"digits": 8}})
    run("systemctl", "reload", "otpd.service")
    until(lambda: "the configuration was read again" in journal(), "the reload in the journal")
    person = g.ssh_to_code("alice")
    code = g.code_for("alice")
    equal(len(code), 8, "digits after the reload")
    person.code(code)
    person.granted()

    configure(g, {"code": {"digits": 99}})
    done = run("systemctl", "reload", "otpd.service", check_status=None)
    check(done.status != 0, "a wrong reload succeeds")
    check("code.digits" in journal() or "digits" in journal(), f"the journal does not say why:\n{journal()}")
    equal(state("otpd.service"), "active", "the service after a wrong reload")
    person = g.ssh_to_code("alice")
    code = g.code_for("alice")
    equal(len(code), 8, "digits after a wrong reload")
    person.code(code)
    person.granted()


@scenario(boot=True)
def a_wrong_configuration_at_the_start(g):
    """Started with a wrong configuration it stays up, refuses at once and says why; no loop of restarts."""
    started(g)
    configure(g, {"code": {"digits": 99}})
    run("systemctl", "restart", "otpd.service")
    equal(state("otpd.service"), "active", "the service")
    refused(g, "The login-code service on box cannot check codes now.")
    check("digits" in journal(), f"the journal does not say why:\n{journal()}")
    equal(run("systemctl", "show", "-P", "NRestarts", "otpd.service").out, "0\n", "restarts")
    configure(g)
    run("systemctl", "restart", "otpd.service")
    log_in(g)


@scenario(boot=True)
def a_restart_of_the_host(g):
    """Started anew in the middle of a trial: the old stack is back before sshd takes logins, and otpd answers."""
    password = "alice's password"
    stack, kept = "/etc/pam.d/sshd", "/root/sshd"
    if g.boot == 1:
        install(g)
        run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
        g.user("alice", password)
        g.enroll("alice")
        run("cp", stack, kept)
        run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
        check("pam_otp.so" in open(stack).read(), "the stack on trial")
        run("journalctl", "--sync")
        g.restart_machine()

    equal(open(stack).read(), open(kept).read(), "the stack after the start")
    equal(os.listdir("/var/lib/otpctl/trials"), [], "trials")
    check(not os.path.exists(f"{UNITS}/otpctl-trial.service"), "the unit is left behind")
    # Not by the journal, which need not run yet when the trial ends.
    since = lambda unit, what: int(run("systemctl", "show", "-P", f"{what}TimestampMonotonic", unit).out) / 1e6
    # The narrowest of many looks at both clocks: between two of them the machine may do something else.
    looks = [(time.monotonic(), time.time(), time.monotonic()) for _ in range(1000)]
    before, wall, after = min(looks, key=lambda look: look[2] - look[0])
    restored = os.stat(stack).st_ctime - (wall - (before + after) / 2)
    order = [restored, since("otpd.socket", "ActiveEnter"), since("ssh.service", "InactiveExit")]
    check(0 < order[0] < order[2] and order[1] < order[2], f"trial's end, socket and sshd at {order} s")
    # A file's time is that of a tick, of up to 10 ms.
    check(order[0] < order[1] + 0.02, f"trial's end and the socket at {order} s")
    equal((state("otpd.socket"), state("otpd.service")), ("active", "active"), "the units")

    # The machine's own sshd has the ground's port.
    run("systemctl", "stop", "ssh.service")
    g.phone = Phone()
    g.passwords["alice"] = password
    g.start_sshd(open(stack).read())
    person = g.ssh("alice")
    person.password(password)
    person.granted()
    check("Code" not in person.transcript, "the old stack asks for a code")
    run("otpctl", "pam", "enable", "sshd")
    log_in(g)


@scenario(boot=True)
def a_key_elsewhere(g):
    """The master key in a file of the daemon's own, where the unit finds none to hand over."""
    install(g, {"server": {"key-file": "/etc/otpd/host.key"}})
    run("chown", "otpd:otpd", "/etc/otpd/host.key")
    check(not os.path.exists("/etc/otpd/otpd.key"), "a second key was made")
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    g.start_sshd(password_and_code())
    g.user("alice")
    g.enroll("alice")
    log_in(g)


MODEM = """#!/usr/bin/python3
import json, sys, urllib.request
body = json.dumps({"to": sys.argv[1], "text": sys.stdin.read()}).encode()
urllib.request.urlopen(urllib.request.Request(sys.argv[2], body), timeout=5).close()
"""


@scenario(boot=True)
def a_program_in_the_sandbox(g):
    """A program of a `command` gateway runs under the unit's sandbox; one that hangs is killed with its children."""
    write("/usr/local/bin/modem", MODEM, 0o755)
    write("/usr/local/bin/stuck", "#!/bin/sh\nsleep 4711 & wait\n", 0o755)
    modem = {"kind": "command", "program": ["/usr/local/bin/modem", "{to}", "http://127.0.0.1:8025/sms"]}
    stuck = {"kind": "command", "program": ["/usr/local/bin/stuck"], "timeout-seconds": 1}
    gateways = {"gateway.modem": modem, "gateway.stuck": stuck}
    install(g, {"delivery": {"sms": ["modem"]}, **gateways})
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    g.start_sshd(password_and_code())
    g.user("alice")
    g.enroll("alice")
    log_in(g)
    configure(g, {"delivery": {"sms": ["stuck", "modem"]}, **gateways})
    run("systemctl", "reload", "otpd.service")
    log_in(g)
    until(lambda: "not done within 1 s" in run("journalctl", "-u", "otpd", "-o", "json").out, "the reason in the journal")
    until(lambda: run("pgrep", "-f", "sleep 4711", check_status=None).status == 1, "the child of the one that hung gone")


def directory(name, uid):
    """Accounts of a directory, as nscd hands them out: by its socket, which is all that glibc wants of it."""
    os.makedirs("/run/nscd", mode=0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/run/nscd/socket")
    os.chmod("/run/nscd/socket", 0o666)
    listener.listen()
    ours = f"{name}:*:{uid}:{uid}::/home/{name}:/bin/sh"

    def reply(kind, asked):
        """pw_response_header of glibc: version, found, lengths of name and password, uid, gid, other lengths."""
        if kind not in (0, 1):
            return struct.pack("=9i", 2, -1, *[0] * 7)  # nothing but accounts: glibc asks its own modules
        for line in [ours, *open("/etc/passwd").read().splitlines()]:
            name, password, uid, gid, *rest = line.split(":")
            if asked == (name, uid)[kind]:
                first, last = ([text.encode() + b"\0" for text in texts] for texts in ((name, password), rest))
                lengths = [len(field) for field in first], [len(field) for field in last]
                header = struct.pack("=9i", 2, 1, *lengths[0], int(uid), int(gid), *lengths[1])
                return header + b"".join(first + last)
        return struct.pack("=9i", 2, 0, *[0] * 7)

    def answer():
        while True:
            with listener.accept()[0] as connection:
                request = connection.recv(4096)
                kind = struct.unpack("=3i", request[:12])[1]
                connection.sendall(reply(kind, request[12:].rstrip(b"\0").decode()))

    threading.Thread(target=answer, daemon=True).start()


@scenario(boot=True)
def accounts_behind_a_socket(g):
    """In its sandbox otpd looks accounts up as the rest of the machine does, by sockets of others too."""
    directory("dora", 7001)
    install(g)
    run("systemctl", "enable", "--now", "otpd.socket", "otpd.service")
    equal(run("getent", "passwd", "dora").out, "dora:*:7001:7001::/home/dora:/bin/sh\n", "what the machine knows")
    otpctl("enroll", "dora", "+12025550199")
    otpctl("verify", "dora", g.phone.next_code("+12025550199"))
    equal(otpctl_json("show", "dora")["state"], "active", "an account that is in no file")
    otpctl("enroll", "nora", "+12025550198", status=1)
    g.user("alice")
    g.enroll("alice")
