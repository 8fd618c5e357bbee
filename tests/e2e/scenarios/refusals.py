"""Who is asked for a code, who is not, and who is turned away, over a real sshd."""

import re

from ground import (
    check,
    equal,
    key_and_code,
    otpctl,
    otpctl_json,
    packet_login,
    pam,
    password_and_code,
    run,
    scenario,
    wrong,
)


def refused(g, user, *lines):
    """A login that is refused after the password, with these lines and no prompt for a code."""
    person = g.ssh(user, rounds=1)
    person.password(g.passwords[user])
    person.denied()
    check("Code:" not in person.transcript, f"asked for a code: {person.transcript!r}")
    for line in lines:
        check(line in person.transcript, f"{line!r} is not on the screen:\n{person.transcript}")
    return person.transcript


@scenario
def not_enrolled(g):
    """Without a number nobody gets in, and the refusal names the command; `ignore` lets them in."""
    g.password_and_code()
    g.user("alice")
    lines = ("No phone number is registered for alice on box", "otpctl enroll alice NUMBER   Request id ")
    shown = refused(g, "alice", *lines)
    request = re.search(r"Request id (\S+)", shown).group(1)
    denied = g.wait_audit("login-denied", "alice")
    equal((denied["reason"], denied["request"]), ("not-enrolled", request), "what was recorded")

    g.otpd.configure({"policy": {"unenrolled": "ignore"}})
    g.otpd.reload()
    person = g.ssh_to_code("alice")
    person.granted()
    equal(g.wait_audit("login-ignored", "alice")["reason"], "not-enrolled", "what was recorded")
    g.phone.expect_count(0)


@scenario
def not_verified(g):
    """A number that was not proved gets no login code; the refusal names the command."""
    g.password_and_code()
    g.user("alice")
    g.enroll("alice", verify=False)
    refused(g, "alice", "The phone number of alice is not verified yet on box.", "otpctl verify alice   Request id ")
    g.phone.expect_count(1)
    otpctl("verify", "alice", g.code_for("alice"))
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()


@scenario
def disabled(g):
    """A disabled account is refused, also at an open prompt; enabled again, it logs in."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    person.expect("Code: ")
    otpctl("disable", "alice")
    person.type(code)
    person.denied()
    refused(g, "alice", "Logins of alice with a code are switched off on box.", "Ask your administrator.   Request id ")
    g.phone.expect_count(2)
    otpctl("enable", "alice")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()


@scenario
def locked_and_unlocked(g):
    """Ten wrong codes in an hour lock the account without further messages, until otpctl unlocks it."""
    g.password_and_code("alice")
    for wrongs in (3, 3, 3, 1):
        person = g.ssh_to_code("alice", rounds=1)
        code = g.code_for("alice")
        for _ in range(wrongs):
            person.code(wrong(code))
        person.denied()
    lines = (
        "Too many wrong codes. Login for alice is locked until\n",
        "(in 30 minutes).\nAsk your administrator to run:\notpctl unlock alice   Request id ",
    )
    for line in lines:
        check(line in person.transcript, f"{line!r} is not on the screen:\n{person.transcript}")
    g.phone.expect_count(5)
    refused(g, "alice", *lines)
    g.phone.expect_count(5)
    shown = otpctl_json("show", "alice")
    equal((shown["locked"], shown["failures_24h"]), (True, 10), "what show says")

    otpctl("unlock", "alice")
    equal(otpctl_json("show", "alice")["locked"], False, "locked after the unlock")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()


@scenario
def a_lock_ends_by_itself(g):
    """The pause after ten wrong codes is over after 30 minutes."""
    g.key_and_code("alice", fake_time=True)
    for wrongs in (3, 3, 3, 1):
        person = g.ssh("alice", rounds=1)
        code = g.code_for("alice")
        for _ in range(wrongs):
            person.code(wrong(code))
        person.denied()
    g.otpd.advance(29 * 60)
    person = g.ssh("alice", rounds=1)
    person.denied()
    check("locked until" in person.transcript, f"not locked any more: {person.transcript!r}")
    g.otpd.advance(61)
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()


@scenario
def a_country_that_is_taken_out(g):
    """A number whose country is no longer allowed gets no code; the refusal says so."""
    g.password_and_code("alice")
    g.otpd.configure({"delivery": {"countries": ["DE"]}})
    g.otpd.reload()
    refused(g, "alice", "Codes can no longer be sent to the country of alice's number.", "Request id ")
    g.phone.expect_count(1)


@scenario
def unanswered_messages_end(g):
    """Five messages in an hour that nobody answers are the last ones; the refusal says until when."""
    g.key_and_code("alice", fake_time=True)
    for _ in range(5):
        person = g.ssh("alice", rounds=1)
        g.code_for("alice")
        person.code("q")
        person.denied()
    person = g.ssh("alice", rounds=1)
    person.denied()
    check(
        re.search(
            r"No more messages can be sent until \d\d:\d\d(?: on \d+ \w+)? \(in (?:5[89]|60) minutes\)\.\n"
            r"Limit unanswered-per-hour, since \d\d:\d\d(?: on \d+ \w+)?\.\nRequest id ",
            person.transcript,
        ),
        f"the refusal is {person.transcript!r}",
    )
    g.phone.expect_count(6)
    equal([limit["name"] for limit in otpctl_json("show", "alice")["limits"]], ["unanswered-per-hour"], "the limits")
    g.otpd.advance(3601)
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()


@scenario
def exempt_in_the_module(g):
    """exempt_user= is let in without a code, also while nothing listens; its neighbour is not."""
    g.password_and_code("alice", arguments="exempt_user=backup,rescue")
    g.user("rescue")
    g.user("rescue2")
    g.ssh_to_code("rescue").granted()
    g.syslog.wait("pam_otp", "rescue", "exempt_user", priority="info")
    refused(g, "rescue2")
    g.otpd.stop()
    g.otpd.unlisten()
    g.ssh_to_code("rescue").granted()
    refused(g, "rescue2")
    g.phone.expect_count(1)


@scenario
def exempt_by_policy(g):
    """policy.exempt-users and exempt-groups ask no code of those named, by account and by group."""
    changes = {"policy": {"exempt-users": ["carol"], "exempt-groups": ["robots"]}}
    g.password_and_code("alice", changes=changes)
    run("groupadd", "robots")
    g.user("carol")
    g.user("robot", groups=["robots"])
    g.user("robots2")
    g.enroll("carol")  # a number changes nothing
    for user in ("carol", "robot"):
        g.ssh_to_code(user).granted()
        equal(g.wait_audit("login-ignored", user)["reason"], "exempt", "what was recorded")
    refused(g, "robots2")
    g.phone.expect_count(2)
    # An exemption is the daemon's to give: without it nobody is exempt.
    g.otpd.stop()
    g.otpd.unlisten()
    refused(g, "carol")


@scenario
def nothing_before_a_first_factor(g):
    """Wrong passwords, unknown users and users that sshd refuses send nothing."""
    g.password_and_code("alice", sshd={"DenyUsers": "bob"})
    g.user("bob")
    g.enroll("bob")
    for user, password in (("alice", "wrong"), ("nobody-here", "any"), ("bob", g.passwords["bob"]), ("root", "any")):
        person = g.ssh(user, rounds=2)
        person.password(password)
        person.password(password)
        person.denied()
        check("Code:" not in person.transcript, f"{user} was asked for a code: {person.transcript!r}")
    g.phone.expect_count(2)
    equal([found["why"] for found in g.audit("code-issued")], ["enrollment"] * 2, "codes issued")


@scenario
def no_first_factor_to_be_seen(g):
    """A module that stands alone, without a key before it, sends nothing and says what to do."""
    g.start_otpd()
    g.start_sshd(key_and_code())
    g.user("alice")
    g.enroll("alice")
    login = packet_login("alice", lambda prompt: "")
    check(not login.granted and not login.prompts, f"asked or let in: {login}")
    g.syslog.wait("no first factor to be seen for alice", priority="warning")
    g.phone.expect_count(1)


@scenario
def password_method_first(g):
    """sshd's password method cannot show the prompt: refused with the remedy before a message is spent.

    The code works in the next connection. Not in the same one: there sshd refuses by itself after any
    `password` that failed, which `ground.sshd_forgets_no_failed_password` shows.
    """
    g.password_and_code("alice", sshd={"PasswordAuthentication": "yes"})
    person = g.ssh("alice", methods="password", rounds=1)
    person.answer("alice@box's password: ", g.passwords["alice"])
    person.denied()
    g.syslog.wait("sshd's password method cannot show a prompt", priority="warning")
    g.phone.expect_count(1)
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(2)


@scenario
def password_method_not_offered(g):
    """With `PasswordAuthentication no` a client that would rather use `password` just goes on to the code."""
    g.password_and_code("alice")
    person = g.ssh("alice", methods="password,keyboard-interactive", rounds=1)
    person.password(g.passwords["alice"])
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(2)


@scenario
def another_spelling_of_the_name(g):
    """A name that only looks like an account's is no second account: refused, nothing sent."""
    g.password_and_code("alice")
    for name in ("ALICE", "alice ", "al ice"):
        person = g.ssh(name, rounds=1)
        person.password(g.passwords["alice"])
        person.denied()
    g.phone.expect_count(1)


@scenario
def key_and_code_refuses_without_a_code(g):
    """With key and code, a key and no right code is out, and the key alone sends exactly one message."""
    g.key_and_code("bob")
    person = g.ssh("bob", rounds=1)
    code = g.code_for("bob")
    for _ in range(3):
        person.code(wrong(code))
    person.denied()
    g.ssh("bob", methods="publickey").denied()
    g.ssh("bob", key=None, methods="keyboard-interactive").denied()
    g.phone.expect_count(2)


@scenario
def bad_arguments_refuse(g):
    """A module line that is wrong lets nobody in and says in the log which word."""
    g.password_and_code("alice")
    for arguments in ("failmode=maybe", "timeout=0", "no_such_argument"):
        pam("sshd", password_and_code(arguments))
        refused(g, "alice")
        g.syslog.wait("pam_otp", arguments.split("=")[0])
    g.phone.expect_count(1)
