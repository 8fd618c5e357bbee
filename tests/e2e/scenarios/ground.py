"""The ground itself: what the other scenarios stand on must hold before they mean anything."""

import json
import threading

from ground import (
    PASSWORD_ONLY,
    Phone,
    by_prompt,
    check,
    cut,
    equal,
    held,
    key_and_code,
    packet_login,
    pam,
    refuse,
    run,
    scenario,
    ssh_options,
    together,
    until,
)


@scenario
def ssh_with_a_password(g):
    """A right password is let in, a wrong one is not, and the system log tells of both."""
    g.user("alice")
    g.start_sshd(PASSWORD_ONLY)

    person = g.ssh("alice")
    shown = person.password(g.passwords["alice"])
    check("(alice@box) Password: " in shown, f"the prompt is {shown!r}")
    person.granted()
    g.syslog.wait("session opened for user alice", priority="info")

    person = g.ssh("alice", rounds=2)
    person.password("wrong")
    person.password("wrong as well")
    person.denied()
    g.syslog.wait("authentication failure", "user=alice", priority="notice")
    g.syslog.lacks("wrong as well")


@scenario
def ssh_with_a_key(g):
    """A key alone is not enough where the second method is asked for as well."""
    g.user("bob", key=True)
    stack = key_and_code().replace("auth requisite pam_otp.so", "auth required pam_permit.so")
    g.start_sshd(stack, AuthenticationMethods="publickey,keyboard-interactive")
    g.ssh("bob").granted()
    g.ssh("bob", methods="publickey").denied()


@scenario
def packets_of_a_login(g):
    """The library client shows the exact prompts, and many logins fit at once."""
    g.user("alice")
    g.start_sshd(PASSWORD_ONLY)
    login = packet_login("alice", by_prompt(("Password", g.passwords["alice"])), source="127.0.0.7")
    check(login.granted, f"refused: {login}")
    equal(login.rounds[0].prompts, (("Password: ", False),), "the first round's prompts")
    equal(login.run("id -un; echo $SSH_CONNECTION | cut -d' ' -f1"), "alice\n127.0.0.7\n", "the command's output")
    login.close()

    def one():
        found = packet_login("alice", by_prompt(("Password", g.passwords["alice"])))
        found.close()
        return found.granted

    equal(together(*[one] * 24), [True] * 24, "24 logins at once")
    wrong = packet_login("alice", by_prompt(("Password", "wrong")))
    check(not wrong.granted and wrong.error, f"let in with a wrong password: {wrong}")


@scenario
def console_su_and_scp(g):
    """login and su ask on a terminal, and scp and sftp go through the same sshd."""
    for name in ("alice", "bob"):
        g.user(name, key=name == "bob")
    pam("login", PASSWORD_ONLY)
    pam("su", PASSWORD_ONLY)
    g.start_sshd(PASSWORD_ONLY)

    console = g.terminal("/bin/login")
    console.answer("login: ", "alice")
    console.answer("Password: ", g.passwords["alice"])
    console.answer("$ ", "su bob -c 'echo now $(id -un)'")
    console.answer("Password: ", g.passwords["bob"])
    console.expect("now bob\n")
    console.answer("$ ", "exit")
    equal(console.end()[0], 0, "login's exit status")

    options = ssh_options(g.keys["bob"], "publickey")
    run("scp", *options, "/etc/hostname", "bob@box:copied")
    run("sftp", *options, "-b", "-", "bob@box", input="get copied /tmp/back\n")
    run("cmp", "/etc/hostname", "/tmp/back")


def post(url, text="123456 is your code, ref K7", to="+12025550142"):
    """Posts as the gateway does: (HTTP status or 0, body)."""
    body = json.dumps({"to": to, "text": text})
    done = run("curl", "-s", "-m", "10", "-w", "\n%{http_code}", "-d", body, url, check_status=None)
    answer, _, status = done.out.rpartition("\n")
    return int(status), answer


@scenario
def the_phone_does_as_told(g):
    """Texts arrive over HTTP; refusals, cuts, stalls and a dead gateway can be had."""
    phone = g.phone = Phone()
    status, answer = post(phone.url)
    equal((status, json.loads(answer)), (200, {"id": "sms-1"}), "the answer")
    text = phone.next_text("+12025550142")
    equal((text.code, text.ref), ("123456", "K7"), "code and reference")

    phone.answer_next(refuse(429, headers=[("retry-after", "7")]), cut(deliver=True), cut(deliver=False))
    equal(post(phone.url)[0], 429, "a refusal's status")
    equal(post(phone.url)[0], 0, "a cut answer's status")
    equal(post(phone.url)[0], 0, "a cut request's status")
    phone.expect_count(2)
    phone.next_text()

    phone.answer_next(held())
    answers = []
    poster = threading.Thread(target=lambda: answers.append(post(phone.url)))
    poster.start()
    phone.next_text()
    check(not answers, "answered while held")
    phone.release()
    poster.join()
    equal(answers[0][0], 200, "a held answer's status")

    phone.down()
    equal(post(phone.url)[0], 0, "a dead gateway's status")
    phone.up()
    equal(post(phone.url)[0], 200, "a revived gateway's status")
    equal(len(together(*[lambda: post(phone.url)] * 40)), 40, "texts at once")
    phone.expect_count(44)


@scenario
def a_wrong_scenario_fails(g):
    """What does not hold is reported, by waits as by checks: nothing passes by not being asked."""
    g.user("alice")
    g.start_sshd(PASSWORD_ONLY)
    person = g.ssh("alice", rounds=1)
    person.password("wrong")
    try:
        person.granted()
    except AssertionError as failure:
        check("Permission denied" in str(failure), f"the failure does not show the screen: {failure}")
    else:
        raise RuntimeError("a refused login passed for a granted one")


@scenario(boot=True)
def a_booted_machine(g):
    """systemd runs as process 1 with every unit up, and journald keeps what is logged."""
    equal(run("systemctl", "is-system-running").out, "running\n", "the state of the machine")
    run("logger", "-t", "ground", "a line for the journal")
    until(lambda: "a line for the journal" in run("journalctl", "-t", "ground", "-o", "cat").out, "the journal's line")


@scenario
def sshd_forgets_no_failed_password(g):
    """What `password_method_first` shows is sshd's and libpam's own doing, without pam_otp as well.

    sshd runs `password` in its monitor, and libpam later sets credentials there by the results of that run.
    """
    g.user("alice")
    g.start_sshd(PASSWORD_ONLY, PasswordAuthentication="yes")
    person = g.ssh("alice", methods="password,keyboard-interactive", rounds=1)
    person.answer("alice@box's password: ", "wrong")
    person.password(g.passwords["alice"])
    status, _ = person.end()
    check(status == 255 and "in as" not in person.transcript, f"let in: {person.transcript!r}")
    g.sshd.wait_output("pam_setcred(): ")
