"""What becomes of a login when pam_otp stands in a stack otherwise than it should.

The supported stacks are two: `requisite` below what no failure gets past, and alone with pam_permit.so
below. Of the others these tables say why they are not: whom they let in without a code, and who gets
texts without a password.
"""

import os
import re

from ground import (
    check,
    equal,
    key_and_code,
    otpctl_json,
    packet_login,
    pam,
    password_and_code,
    run,
    scenario,
    together,
    until,
    write,
)

REST = "account required pam_unix.so\nsession required pam_unix.so\n"

# What a person types, by name: a right password, and a right code.
PEOPLE = {"both": (True, True), "no-code": (True, False), "no-password": (False, True), "neither": (False, False)}

UNIX = "pam_unix.so nodelay"

# Room for more unanswered messages than there are by default.
PATIENT = {"limits": {"unanswered-per-hour": 30, "unanswered-per-day": 60}}


def log_in(g, user, password_is_right, code_is_right):
    """One login by packets: "in" or "out", then how many texts it sent."""
    before = len([text for text in g.phone.texts if text.to == g.number(user)])

    def answer(prompt):
        if "Password" in prompt:
            return g.passwords[user] if password_is_right else "not the password"
        check("Code: " in prompt, f"an unknown prompt {prompt!r}")
        code = g.code_for(user)
        return code if code_is_right else "q"

    login = packet_login(user, answer)
    login.close()
    sent = len([text for text in g.phone.texts if text.to == g.number(user)]) - before
    return f"{'in' if login.granted else 'out'} {sent}"


def judge(g, table):
    """Each stack of the table does with the four logins what it says, all four at once."""
    for name, lines, *expected in table:
        pam("sshd", "".join(f"auth {line}\n" if not line.startswith("-") else f"{line}\n" for line in lines) + REST)
        found = together(*[lambda u=user, t=typed: log_in(g, u, *t) for user, typed in PEOPLE.items()])
        equal(found, expected, f"{name}: {', '.join(PEOPLE)}")
        print(f"{name}: {found}")


def people(g):
    """A machine with the four, enrolled."""
    g.password_and_code(*PEOPLE, changes=PATIENT)


@scenario
def what_stands_above_the_module(g):
    """Only `requisite` above it keeps codes and texts from who has no password."""
    people(g)
    # stack, then: both, password without code, code without password, neither; with the texts each costs
    judge(
        g,
        [
            ("the supported one", (f"requisite {UNIX}", "requisite pam_otp.so"), "in 1", "out 1", "out 0", "out 0"),
            # Texts for wrong passwords: anybody may flood a telephone.
            ("required above", (f"required {UNIX}", "requisite pam_otp.so"), "in 1", "out 1", "out 1", "out 1"),
            # The password is worth nothing.
            ("optional above", (f"optional {UNIX}", "requisite pam_otp.so"), "in 1", "out 1", "in 1", "out 1"),
            # The code is skipped: the password alone logs in; and where it is wrong, the code alone does.
            ("sufficient above", (f"sufficient {UNIX}", "requisite pam_otp.so"), "in 0", "in 0", "in 1", "out 1"),
            # A jump over the module skips the code as well.
            (
                "a jump over it",
                (f"[success=1 default=die] {UNIX}", "requisite pam_otp.so", "required pam_permit.so"),
                "in 0",
                "in 0",
                "out 0",
                "out 0",
            ),
            # Above the password module it sees no first factor, and refuses everybody without a text.
            ("nothing above", ("requisite pam_otp.so", f"requisite {UNIX}"), "out 0", "out 0", "out 0", "out 0"),
            # Told that there was one, it sends texts to whoever is named.
            (
                "nothing above, vouched for",
                ("requisite pam_otp.so first_factor_checked", f"requisite {UNIX}"),
                "in 1",
                "out 1",
                "out 1",
                "out 1",
            ),
        ],
    )
    g.syslog.wait("no first factor to be seen for both", priority="warning")


@scenario
def what_stands_on_the_module(g):
    """Only `requisite` or `required` on it asks for the code of everybody."""
    people(g)
    deny, permit = "requisite pam_deny.so", "required pam_permit.so"
    above = f"requisite {UNIX}"
    judge(
        g,
        [
            ("required", (above, "required pam_otp.so"), "in 1", "out 1", "out 0", "out 0"),
            # What fails is passed over, because the password has succeeded.
            ("sufficient", (above, "sufficient pam_otp.so"), "in 1", "in 1", "out 0", "out 0"),
            ("optional", (above, "optional pam_otp.so"), "in 1", "in 1", "out 0", "out 0"),
            # Ctrl-C, a wrong code, a daemon that is down: all of it is ignored.
            ("a jump", (above, "[success=1 default=ignore] pam_otp.so", permit), "in 1", "in 1", "out 0", "out 0"),
            # With pam_deny behind it this one holds; one line lost, and it is the one above.
            (
                "a jump over pam_deny",
                (above, "[success=1 default=ignore] pam_otp.so", deny, permit),
                "in 1",
                "out 1",
                "out 0",
                "out 0",
            ),
            # A file that is not there: libpam fails the line, unless the line says that it does not matter.
            ("no file", (above, "requisite pam_otp_gone.so"), "out 0", "out 0", "out 0", "out 0"),
            ("no file, optional", (above, "optional pam_otp_gone.so"), "in 0", "in 0", "out 0", "out 0"),
            # The minus before a line keeps libpam from logging that, and from nothing else.
            ("no file, minus", (above, "-auth requisite pam_otp_gone.so"), "out 0", "out 0", "out 0", "out 0"),
        ],
    )


PROFILE = """\
Name: a code of otpd, for a test
Default: no
Priority: {priority}
Auth-Type: {kind}
Auth:
	{control}	pam_otp.so
"""


@scenario
def profiles_of_pam_auth_update(g):
    """As `Primary` below pam_unix the code is an alternative to the password; as `Additional` it is not."""
    people(g)
    before = open("/etc/pam.d/common-auth").read()
    for kind, priority, control, expected in (
        ("Primary", 128, "[success=end default=ignore]", ["in 0", "in 0", "in 1", "out 1"]),
        ("Additional", 0, "requisite", ["in 1", "out 1", "out 0", "out 0"]),
    ):
        write("/usr/share/pam-configs/otp-test", PROFILE.format(kind=kind, priority=priority, control=control))
        run("pam-auth-update", "--enable", "otp-test", "--force", env={"DEBIAN_FRONTEND": "noninteractive"})
        common = open("/etc/pam.d/common-auth").read()
        check("pam_otp.so" in common, f"the profile is not in {common}")
        pam("sshd", f"@include common-auth\n{REST}")
        found = together(*[lambda u=user, t=typed: log_in(g, u, *t) for user, typed in PEOPLE.items()])
        equal(found, expected, f"{kind}: {', '.join(PEOPLE)}; common-auth is\n{common}")
        print(f"{kind}: {found}")
        run("pam-auth-update", "--disable", "otp-test", env={"DEBIAN_FRONTEND": "noninteractive"})
        os.unlink("/usr/share/pam-configs/otp-test")
        equal(open("/etc/pam.d/common-auth").read(), before, f"common-auth after {kind}")


@scenario
def alone_without_pam_permit(g):
    """Behind a key the module alone asks everybody; but who is exempt is let in by nothing, and stays out."""
    g.key_and_code("alice", arguments="exempt_user=carol")
    g.user("carol", key=True)
    g.ssh("carol").granted()
    pam("sshd", key_and_code("exempt_user=carol").replace("auth required pam_permit.so\n", ""))
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()
    g.ssh("carol", rounds=1).denied()
    g.phone.expect_count(2)


@scenario
def interrupts(g):
    """Ctrl-C at the code prompt, three times over, lets nobody in: su, sudo and login; the code is void."""
    g.password_and_code("alice", "bob", changes=PATIENT)
    for service in ("su", "sudo", "login"):
        pam(service, password_and_code())
    write("/etc/sudoers.d/ground", "Defaults passwd_tries=3\nalice ALL=(ALL) ALL\n", 0o440)

    def to_code(terminal, prompt, user):
        terminal.answer(prompt, g.passwords[user])
        terminal.expect("Code: ")
        g.code_for(user)

    def over(program):
        return lambda: not run("pgrep", "-x", program, check_status=None).out

    shell = g.shell("alice")
    for program, command, prompt, user in (
        ("su", "su bob -c 'echo in as $(id -un)'", "Password: ", "bob"),
        ("sudo", "sudo sh -c 'echo in as $(id -un)'", "[sudo] password for alice: ", "alice"),
    ):
        for _ in range(3):
            shell.answer("$ ", command)
            to_code(shell, prompt, user)
            shell.interrupt(over(program))
        shell.answer("$ ", "echo still $(id -un)")
        shell.expect("\nstill alice\n")
        shell.type("")
    for _ in range(3):
        console = g.terminal("/bin/login")
        console.answer("login: ", "alice")
        to_code(console, "Password: ", "alice")
        ended = len(g.audit("challenge-ended", "alice"))
        console.interrupt(lambda: len(g.audit("challenge-ended", "alice")) > ended)
        console.close()
        check("$ " not in console.transcript, f"login went on: {console.transcript!r}")
    check("\nin as" not in shell.transcript, f"somebody is in:\n{shell.transcript}")
    # A program that dies of it says nothing more: its challenge is void 20 seconds after it.
    g.wait_audit("challenge-ended", count=9, timeout=60)
    equal([end["how"] for end in g.audit("challenge-ended")], ["cancelled"] * 9, "how the challenges ended")
    equal(g.audit("login-granted"), [], "logins that were granted")


def sockets_of(process):
    """How many sockets a process has."""
    found = 0
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            found += os.readlink(f"/proc/{process}/fd/{name}").startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            pass
    return found


@scenario
def nothing_is_left_open_for_the_session(g):
    """No program of a session has a descriptor of the module's: sshd, login, su and sudo."""
    g.password_and_code("alice", "bob")
    for service in ("su", "sudo", "login"):
        pam(service, password_and_code())
    write("/etc/sudoers.d/ground", "alice ALL=(ALL) ALL\n", 0o440)
    until(lambda: sockets_of(g.otpd.pid) == idle(g), "an idle daemon")
    before = sockets_of(g.otpd.pid)
    # ls has its three, and the directory that it reads.
    look = "echo open: $(ls /proc/self/fd) $((1 + 1))"

    def looked(terminal, service):
        shown = terminal.expect(" 2\n")
        descriptors = re.findall(r"open: ([\d ]+) 2\n", shown)
        equal(descriptors, ["0 1 2 3"], f"the descriptors of a program under {service}")
        # Were the other end of a login's connection open anywhere, the daemon would still have its own.
        until(lambda: sockets_of(g.otpd.pid) == before, f"no connection while a session of {service} goes on")

    person = g.ssh_to_code("alice", command=f"{look}; read line")
    person.code(g.code_for("alice"))
    looked(person, "sshd")
    person.close()

    console = g.terminal("/bin/login")
    console.answer("login: ", "alice")
    console.answer("Password: ", g.passwords["alice"])
    console.answer("Code: ", g.code_for("alice"))
    console.answer("$ ", look)
    looked(console, "login")

    for command, prompt, user in (("su bob -c", "Password: ", "bob"), ("sudo sh -c", "[sudo] password for alice: ", "alice")):
        shell = g.shell("alice")
        shell.answer("$ ", f"{command} '{look}; read line'")
        shell.answer(prompt, g.passwords[user])
        shell.answer("Code: ", g.code_for(user))
        looked(shell, command)
        shell.close()


def idle(g):
    """What the daemon has when nobody is connected: asked of itself, over a connection that is then closed."""
    sockets = sockets_of(g.otpd.pid)
    equal(otpctl_json("status")["active"], 2, "who is enrolled")
    return sockets
