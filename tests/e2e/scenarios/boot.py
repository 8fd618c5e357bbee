"""The units of packaging/systemd under a real systemd."""

import os
import time

from ground import (
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
    run("chown", "otpd:otpd", "/etc/otpd/otpd.key")
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
    found = run("stat", "-c", "%U:%G %a %n", "/run/otpd", SOCKET, "/var/lib/otpd", "/var/lib/otpd/otpd.db").out
    equal(
        found.splitlines(),
        [
            "root:root 755 /run/otpd",
            f"root:root 666 {SOCKET}",
            "otpd:otpd 700 /var/lib/otpd",
            "otpd:otpd 600 /var/lib/otpd/otpd.db",
        ],
        "owners and modes",
    )
    log_in(g)
    status_text = run("systemctl", "show", "-P", "StatusText", "otpd.service").out
    equal(status_text, "answers logins\n", "what it tells systemd")
    # The audit trail is in the journal, field by field.
    until(lambda: "login-granted" in run("journalctl", "-u", "otpd", "-o", "json").out, "the grant in the journal")
    run("systemd-analyze", "verify", "--man=no", f"{UNITS}/otpd.service", f"{UNITS}/otpd.socket")


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
    check(took < 3, f"refused only after {took:.1f} s")
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
def a_key_as_a_credential(g):
    """The master key as a systemd credential, readable by root alone where it lies."""
    install(g)
    run("chown", "root:root", "/etc/otpd/otpd.key")
    write(f"{UNITS}/otpd.service.d/key.conf", "[Service]\nLoadCredential=otpd.key:/etc/otpd/otpd.key\n")
    run("systemctl", "daemon-reload")
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
