"""otpctl doctor and otpctl pam on a machine with Debian's own files and a real sshd."""

import json
import os

from ground import check, equal, run, scenario, until, write

GOOD = """\
UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
PermitRootLogin no
AuthenticationMethods keyboard-interactive
"""
DROP_IN = "/etc/ssh/sshd_config.d/50-ours.conf"
SSHD = "/etc/pam.d/sshd"

# What is written where on the good machine, and what the doctor must say then.
SEEDED = [
    ("a cloud image's drop-in", "/etc/ssh/sshd_config.d/10-cloud.conf", "PasswordAuthentication yes\n",
     "PasswordAuthentication is `yes` (in /etc/ssh/sshd_config.d/10-cloud.conf:1"),
    ("a drop-in that asks nothing", "/etc/ssh/sshd_config.d/10-x.conf", "KbdInteractiveAuthentication no\nAuthenticationMethods any\n",
     "KbdInteractiveAuthentication is `no` (in /etc/ssh/sshd_config.d/10-x.conf:1"),
    ("no PAM", "/etc/ssh/sshd_config.d/10-x.conf", "UsePAM no\n", "UsePAM is `no`"),
    ("keys alone", "/etc/ssh/sshd_config.d/10-x.conf", "AuthenticationMethods any\n", "a key alone lets in"),
    ("keys alone for one", "/etc/ssh/sshd_config.d/90-x.conf",
     "Match User alice\n  AuthenticationMethods publickey keyboard-interactive\n",
     "for alice (by Match): AuthenticationMethods"),
    ("keys alone for somebody without a number", "/etc/ssh/sshd_config.d/90-x.conf",
     "Match User root\n  AuthenticationMethods publickey keyboard-interactive\n",
     "for root (by Match): AuthenticationMethods"),
    ("a short time", "/etc/ssh/sshd_config.d/10-x.conf", "LoginGraceTime 20\n", "LoginGraceTime is `20`"),
    ("little room", "/etc/ssh/sshd_config.d/10-x.conf", "MaxStartups 3:30:60\n", "MaxStartups is `3:30:60`"),
    ("few tries", "/etc/ssh/sshd_config.d/10-x.conf", "MaxAuthTries 1\n", "MaxAuthTries is `1`"),
    ("a method that is off", "/etc/ssh/sshd_config.d/10-x.conf", "KbdInteractiveAuthentication no\n",
     "sshd -T fails: Disabled method"),
    ("a line that sshd does not know", "/etc/ssh/sshd_config.d/10-x.conf", "UsePAMM yes\n", "sshd -T fails"),
    ("a required password", SSHD, "auth required pam_unix.so\nauth requisite pam_otp.so\n", "pam_unix.so is `required`"),
    ("a sufficient password", SSHD, "auth sufficient pam_unix.so\nauth requisite pam_otp.so\n",
     "pam_unix.so is enough"),
    ("an optional code", SSHD, "@include common-auth\nauth optional pam_otp.so\n", "lets in also with a wrong code"),
    ("a lone code", SSHD, "auth requisite pam_otp.so\nauth required pam_permit.so\n",
     "nothing is checked before the code"),
    ("a lone code that believes", SSHD,
     "auth requisite pam_otp.so first_factor_checked\nauth required pam_permit.so\n", "the phone alone lets in"),
    ("a first factor that steps aside", SSHD,
     "auth requisite pam_google_authenticator.so nullok\nauth requisite pam_otp.so\n", "steps aside for some"),
    ("no code", SSHD, "@include common-auth\n", "sshd asks for no code"),
    ("a missing include", SSHD, "@include common-autth\nauth requisite pam_otp.so\n",
     "includes common-autth, which is not there"),
    ("a missing module", SSHD, "auth requisite pam_unixx.so\nauth requisite pam_otp.so\n",
     "pam_unixx.so is not where libpam looks"),
    ("a misspelt argument", SSHD, "@include common-auth\nauth requisite pam_otp.so fail_mode=safe\n",
     "unknown argument `fail_mode=safe`"),
    ("the Primary trap", SSHD,
     "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_otp.so\n"
     "auth requisite pam_deny.so\nauth required pam_permit.so\n", "`Auth-Type: Primary`"),
    ("a hurried console", "/etc/pam.d/login", "@include common-auth\nauth requisite pam_otp.so exempt_user=root\n",
     "LOGIN_TIMEOUT is 20 s"),
    ("somebody without a number", "/etc/passwd", None, "locked out at sshd, without a proved number: bob"),
    ("a wrong configuration", "/etc/otpd/otpd.toml", "[code]\ndigits = 4\n", "`code.digits` is 4"),
]


def examined(*words, status):
    """What the doctor finds."""
    found = json.loads(run("otpctl", "doctor", "--json", *words, check_status=status).out)
    equal(found["healthy"], status == 0, "healthy")
    for finding in found["findings"]:
        check(finding["state"] != "problem" or finding["remedy"], f"no remedy: {finding}")
    return [finding["text"] for finding in found["findings"] if finding["state"] == "problem"]


def good_machine(g):
    """Debian's files, with the module where `otpctl pam enable` puts it, and one user with a number."""
    g.start_otpd()
    g.user("alice")
    g.enroll("alice")
    write(DROP_IN, GOOD)
    run("otpctl", "pam", "enable", "sshd")


@scenario
def everything_that_is_wrong(g):
    """The doctor is silent on a good machine and names each of these faults, by files and a real sshd -T."""
    good_machine(g)
    equal(examined(status=0), [], "the good machine's problems")
    shown = run("otpctl", "doctor", "--service", "sshd").out
    check(shown.endswith("\nnothing is wrong\n"), shown)
    check("asked for a code: alice" in shown, shown)
    for name, path, text, expected in SEEDED:
        before = open(path).read() if os.path.exists(path) else None
        defs = open("/etc/login.defs").read()
        if name == "a hurried console":
            write("/etc/login.defs", defs.replace("LOGIN_TIMEOUT\t\t60", "LOGIN_TIMEOUT 20"))
        write(path, before + "bob:x:1777:1777::/:/bin/bash\n" if text is None else text)
        only = () if path in ("/etc/pam.d/login",) else ("--service", "sshd")
        problems = examined(*only, status=1)
        check(any(expected in problem for problem in problems), f"{name}: {problems}")
        if before is None:
            os.unlink(path)
        else:
            write(path, before, 0o640 if path.startswith("/etc/otpd") else 0o644)
        write("/etc/login.defs", defs)
    equal(examined(status=0), [], "the mended machine's problems")
    g.otpd.stop()
    g.otpd.unlisten()
    check("there is no socket" in examined(status=1)[0], "the stopped daemon")


@scenario
def in_and_out_again(g):
    """The module goes into Debian's stacks and out of them, byte for byte, and works meanwhile."""
    g.start_otpd()
    g.user("alice", key=True)
    g.enroll("alice")
    for service in ("sshd", "login", "su", "sudo"):
        before = open(f"/etc/pam.d/{service}").read()
        run("otpctl", "pam", "enable", service)
        check("pam_otp.so" in open(f"/etc/pam.d/{service}").read(), service)
        run("otpctl", "pam", "enable", service, check_status=1)
        run("otpctl", "pam", "disable", service)
        equal(open(f"/etc/pam.d/{service}").read(), before, service)

    run("otpctl", "pam", "enable", "sshd")
    g.start_sshd(open(SSHD).read())
    person = g.ssh("alice", key=None, methods="keyboard-interactive")
    person.password(g.passwords["alice"])
    person.code(g.code_for("alice"))
    person.granted()
    run("otpctl", "pam", "disable", "sshd")

    refused = run("otpctl", "pam", "enable", "sshd", "--after", "key", check_status=1).err
    check("AuthenticationMethods is `any`: keys would let in without a code" in refused, refused)
    write(DROP_IN, GOOD.replace("Methods keyboard", "Methods publickey,keyboard"))
    run("otpctl", "pam", "enable", "sshd", "--after", "key")
    g.start_sshd(open(SSHD).read(), port=2222, AuthenticationMethods="publickey,keyboard-interactive")
    person = g.ssh("alice", port=2222)
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(3)


@scenario
def what_is_not_understood_stays(g):
    """A stack that is not understood stays as it is, and it is said why; only root changes one."""
    stacks = [
        ("auth sufficient pam_unix.so\nauth required pam_deny.so\n", "the stack would be wrong"),
        ("auth required pam_unix.so\n", "the stack would be wrong"),
        ("auth requisite pam_mystery.so\n", "pam_mystery.so"),
        ("auth required pam_permit.so\n", "nothing in the stack"),
        ("@include nowhere\n", "includes nowhere"),
    ]
    for stack, expected in stacks:
        write(SSHD, stack)
        done = run("otpctl", "pam", "enable", "sshd", "--trial", "10m", check_status=1)
        check("stays as it is" in done.err and expected in done.err, done.err)
        equal(open(SSHD).read(), stack, "the stack")
        equal(os.listdir("/etc/pam.d").count(".sshd.otpctl"), 0, "drafts")
    os.unlink(SSHD)
    os.symlink("/etc/pam.d/su", SSHD)
    check("is a link" in run("otpctl", "pam", "enable", "sshd", check_status=1).err, "the link")
    check("no service" in run("otpctl", "pam", "enable", "../passwd", check_status=1).err, "a path")
    g.user("alice")
    check("only root" in run("otpctl", "pam", "enable", "su", user="alice", check_status=1).err, "alice")


@scenario
def a_trial_ends_by_itself(g):
    """Without a confirmation the old stack comes back; a login after the change confirms, an older one cannot."""
    g.start_otpd()
    g.user("alice")
    g.enroll("alice")
    write("/etc/sudoers.d/ground", "alice ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    before = open(SSHD).read()
    g.start_sshd(before)
    old = g.ssh("alice", command="bash --norc -i")
    old.password(g.passwords["alice"])
    old.expect("$ ")

    run("otpctl", "pam", "enable", "sshd", "--trial", "45s")
    check("pam_otp.so" in open(SSHD).read(), "the stack on trial")
    check("on trial" in run("otpctl", "pam", "disable", "sshd", check_status=1).err, "a second change")
    check("no login by sshd" in run("otpctl", "pam", "confirm", check_status=1).err, "a confirmation from nowhere")
    old.type("sudo otpctl pam confirm sshd")
    old.expect("this login by sshd is older than the change")
    until(lambda: open(SSHD).read() == before, "the old stack", 100)
    check("there is no trial" in run("otpctl", "pam", "confirm", check_status=1).err, "a confirmation too late")

    run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
    new = g.ssh("alice", command="sudo otpctl pam confirm")
    new.password(g.passwords["alice"])
    new.code(g.code_for("alice"))
    new.expect("sshd: the change stays\n")
    equal(os.listdir("/var/lib/otpctl/trials"), [], "trials")
    check("there is no trial" in run("otpctl", "pam", "revert", "sshd", check_status=1).err, "nothing to revert")
    check("pam_otp.so" in open(SSHD).read(), "the confirmed stack")

    run("otpctl", "pam", "disable", "sshd", "--trial", "10m")
    equal(open(SSHD).read(), before, "the stack on trial")
    run("otpctl", "pam", "revert")
    check("pam_otp.so" in open(SSHD).read(), "the stack that came back")


@scenario
def a_key_alone_confirms_nothing(g):
    """A new login that was let in without a code does not confirm that codes work; one with a code does."""
    g.start_otpd()
    g.user("alice", key=True)
    g.enroll("alice")
    write("/etc/sudoers.d/ground", "alice ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    g.start_sshd(open(SSHD).read())
    run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
    # A rehearsal is no login: it says nothing of what sshd asks.
    show = g.terminal("otpctl", "rehearse", "alice")
    show.answer("Password: ", g.passwords["alice"])
    show.answer("Code: ", g.code_for("alice"))
    check("PAM_SUCCESS" in show.end()[1], show.transcript)
    by_key = g.ssh("alice", command="sudo otpctl pam confirm sshd")
    by_key.expect("otpd has let nobody in by sshd with a code since the change")
    check("Code" not in by_key.transcript, "the key did not let in alone")
    equal(len(os.listdir("/var/lib/otpctl/trials")), 1, "trials")
    by_code = g.ssh("alice", key=None, methods="keyboard-interactive", command="sudo otpctl pam confirm sshd")
    by_code.password(g.passwords["alice"])
    by_code.code(g.code_for("alice"))
    by_code.expect("sshd: the change stays\n")

    # sudo asks alice for nothing here, and to otpd its rehearsal is a login like any other.
    run("otpctl", "pam", "enable", "sudo", "--trial", "10m")
    stack = open("/etc/pam.d/sudo").read()
    # Nor is it one where what stands below the code refuses.
    for below in ("auth requisite pam_deny.so\n", ""):
        write("/etc/pam.d/sudo", stack + below)
        show = g.terminal("otpctl", "rehearse", "alice", "--service", "sudo")
        show.answer("Password: ", g.passwords["alice"])
        show.answer("Code: ", g.code_for("alice"))
        show.end()
        equal("PAM_SUCCESS" in show.transcript, not below, show.transcript)
    by_rehearsal = g.ssh("alice", command="sudo otpctl pam confirm sudo")
    by_rehearsal.expect("otpd has let nobody in by sudo")


@scenario
def programs_with_two_stacks(g):
    """What sudo and su ask by -i and -l is changed with them, and comes back with them."""
    g.start_otpd()
    # Debian's su-l includes su; a distribution's may stand for itself.
    write("/etc/pam.d/su-l", "@include common-auth\n")
    for one, other in (("sudo", "sudo-i"), ("su", "su-l")):
        paths = [f"/etc/pam.d/{name}" for name in (one, other)]
        asks = lambda: ["pam_otp.so" in open(path).read() for path in paths]
        before = [open(path).read() for path in paths]
        said = json.loads(run("otpctl", "--json", "pam", "enable", one).out)
        equal((said["service"], said["with"]["service"]), (one, other), "what it says it changed")
        equal(open(said["with"]["backup"]).read(), before[1], "the copy of the other one")
        equal(asks(), [True, True], f"{one} and {other}")
        run("otpctl", "pam", "disable", one)
        equal([open(path).read() for path in paths], before, f"{one} and {other} without it")

        run("otpctl", "pam", "enable", one, "--trial", "10m")
        equal(asks(), [True, True], f"{one} and {other} on trial")
        check("on trial" in run("otpctl", "pam", "disable", other, check_status=1).err, "a change of half of a trial")
        run("otpctl", "pam", "revert", one)
        equal([open(path).read() for path in paths], before, f"{one} and {other} after the trial")

        # Where the other one cannot be changed, neither is.
        write(paths[1], "auth requisite pam_mystery.so\n")
        check("pam_mystery.so" in run("otpctl", "pam", "enable", one, check_status=1).err, "the reason")
        equal(open(paths[0]).read(), before[0], f"{one} without {other}")
        write(paths[1], before[1])


@scenario
def trials_end_one_by_one(g):
    """Each of several trials ends at its own time, also where the end of another one keeps failing."""
    g.start_otpd()
    paths = {name: f"/etc/pam.d/{name}" for name in ("sshd", "su", "login")}
    before = {name: open(path).read() for name, path in paths.items()}
    trials = lambda: sorted(os.listdir("/var/lib/otpctl/trials"))
    run("otpctl", "pam", "enable", "login", "--trial", "10m")
    # Its end finds a directory in place of the file, and tries again.
    run("otpctl", "pam", "enable", "su", "--trial", "10s")
    os.rename(paths["su"], "/root/su")
    os.mkdir(paths["su"])
    run("otpctl", "pam", "enable", "sshd", "--trial", "12s")
    until(lambda: open(paths["sshd"]).read() == before["sshd"], "the end of the second", 60)
    until(lambda: trials() == ["login.json", "su.json"], "the trials that are left")
    done = run("otpctl", "pam", "revert", check_status=1)
    check("su: /etc/pam.d/su is no file" in done.err, f"it does not say what failed: {done.err!r}")
    equal(open(paths["login"]).read(), before["login"], "the trial that can end, ended with the one that cannot")
    equal(trials(), ["su.json"], "the trial that is left")
    os.rmdir(paths["su"])
    os.rename("/root/su", paths["su"])
    until(lambda: open(paths["su"]).read() == before["su"], "the end that was tried again", 60)
    until(lambda: trials() == [], "its end written down")


def timers():
    """The timers of trials, as systemd has them."""
    return run("systemctl", "list-units", "--no-legend", "--plain", "--state=active", "otpctl-trial-*.timer").out.split("\n")[:-1]


@scenario(boot=True, long_rounds=2)
def a_trial_whose_end_fails(g):
    """The timer comes again until the old stack is back, and then no more; so does the start of the host."""
    before = open(SSHD).read()
    service = "otpctl-trial-sshd:*.service"
    failed = lambda unit: "is no file" in run("journalctl", "-u", unit, "-o", "cat", check_status=None).out
    hide = lambda: (os.rename(SSHD, "/root/sshd"), os.mkdir(SSHD))
    show = lambda: (os.rmdir(SSHD), os.rename("/root/sshd", SSHD))
    run("otpctl", "pam", "enable", "sshd", "--trial", "10s")
    hide()
    until(lambda: failed(service), "an end that fails", 60)
    equal(len(timers()), 1, "timers")
    show()
    check("pam_otp.so" in open(SSHD).read(), "the stack on trial")
    until(lambda: open(SSHD).read() == before, "the end that was tried again", 60)
    until(lambda: timers() == [], "the timer's end")

    # After a start of the host there is no timer.
    run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
    run("systemctl", "stop", "otpctl-trial-sshd:*.timer")
    hide()
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "otpctl-trial.service", check_status=1)
    check(failed("otpctl-trial.service"), "the reason is not in the journal")
    show()
    equal(run("systemctl", "show", "-P", "SubState", "otpctl-trial.service").out, "auto-restart\n", "the unit")
    if g.rounds == 1:
        run("systemctl", "restart", "otpctl-trial.service")  # what would happen half a minute later
    until(lambda: open(SSHD).read() == before, "the end that was tried again", 60)
    until(lambda: not os.path.exists("/etc/systemd/system/otpctl-trial.service"), "the unit's end")


@scenario(boot=True)
def a_trial_with_sshds_file(g):
    """At the end of a trial, also by a start of the host, sshd's file goes too, and a running sshd reads that."""
    before = open(SSHD).read()
    ours = "/etc/ssh/sshd_config.d/10-otpd.conf"
    demands = lambda: "authenticationmethods publickey,keyboard-interactive" in run("sshd", "-T").out
    trial = ("otpctl", "pam", "enable", "sshd", "--after", "key", "--sshd-file", ours, "--trial")
    restarts = lambda: run("journalctl", "-t", "sshd", "-o", "cat").out.count("Received SIGHUP; restarting.")
    run("systemctl", "start", "ssh.service")
    check("No such file" in run(*trial, "10m", check_status=1).err, "a file that is not there")
    write(ours, GOOD.replace("Methods keyboard", "Methods publickey,keyboard"))
    check("--trial" in run(*trial[:-1], check_status=2).err, "a file without a trial")
    check("no file right below" in run(*trial[:-2], "/etc/passwd", "--trial", "10m", check_status=1).err, "another's file")
    said = run(*trial, "10s").out
    check(f"Then {ours} goes too" in said and "own settings are not part" not in said, said)
    run("systemctl", "reload", "ssh.service")
    check(demands() and "pam_otp.so" in open(SSHD).read(), "the trial")
    until(lambda: not os.path.exists("/etc/systemd/system/otpctl-trial.service"), "the trial's end", 100)
    equal((open(SSHD).read(), os.path.exists(ours), demands()), (before, False, False), "the machine after it")
    until(lambda: restarts() == 2, "an sshd that reads its files anew", 60)

    # The host is started: sshd does not run yet.
    os.rename("/etc/ssh/sshd_config.d/.10-otpd.conf.otpctl-ended", ours)
    run(*trial, "10m")
    run("systemctl", "stop", "ssh.service")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "otpctl-trial.service")
    equal((open(SSHD).read(), os.path.exists(ours)), (before, False), "the machine after a restart")

    # What is confirmed or taken back by hand.
    os.rename("/etc/ssh/sshd_config.d/.10-otpd.conf.otpctl-ended", ours)
    run(*trial, "10m")
    run("otpctl", "pam", "revert")
    equal((open(SSHD).read(), os.path.exists(ours)), (before, False), "the machine that was taken back")


@scenario(boot=True)
def a_trial_under_systemd(g):
    """A timer of systemd's ends a trial, and so does a start of the host; nothing of it is left behind."""
    before = open(SSHD).read()
    unit = "/etc/systemd/system/otpctl-trial.service"
    done = run("otpctl", "pam", "enable", "sshd", "--trial", "10s")
    check("otpd does not answer" in done.err, "no word of the daemon")
    check("pam_otp.so" in open(SSHD).read(), "the stack on trial")
    run("systemctl", "daemon-reload")
    run("systemd-analyze", "verify", "--man=no", unit)
    until(lambda: open(SSHD).read() == before, "the old stack", 100)
    until(lambda: not os.path.exists(unit), "the unit's end")

    run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
    equal(len(timers()), 1, "timers")
    # What a start of the host does first.
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "otpctl-trial.service")
    equal(open(SSHD).read(), before, "the stack after a restart")
    check(not os.path.exists(unit), "the unit is left behind")
    # The next one need not wait for what is left of this one.
    for _ in range(20):
        run("otpctl", "pam", "enable", "sshd", "--trial", "10m")
        run("otpctl", "pam", "revert", "sshd")
    until(lambda: timers() == [], "the timers' end")
    equal(open(SSHD).read(), before, "the stack in the end")
