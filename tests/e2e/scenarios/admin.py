"""otpctl against the real daemon: its verbs, its exit statuses, and who may do what."""

import json
import re

from ground import check, equal, otpctl, otpctl_json, refuse, run, scenario, wrong

UNREACHABLE, USAGE, REFUSED = 3, 2, 1


@scenario
def verbs_and_exit_statuses(g):
    """Each verb does what it says, data on standard output, the rest on standard error."""
    g.start_otpd()
    g.user("alice")
    g.user("bob")
    alice = g.number("alice")
    status = otpctl_json("status")
    equal(
        {key: status[key] for key in ("host", "store", "active", "pending", "disabled", "problems")},
        {"host": "box", "store": "sqlite", "active": 0, "pending": 0, "disabled": 0, "problems": []},
        "status",
    )
    equal([gateway["name"] for gateway in status["gateways"]], ["phone"], "the gateways")
    equal((otpctl_json("list"), otpctl("list").out), ([], ""), "an empty list")

    otpctl("enroll", "alice", alice)
    equal(otpctl("enroll", "alice", alice, status=REFUSED).out, "", "standard output of a refusal")
    otpctl("enroll", "bob", g.number("bob"))
    otpctl("verify", "bob", g.phone.next_code(g.number("bob")))
    listed = [(one["user"], one["state"]) for one in otpctl_json("list")]
    equal(listed, [("alice", "pending"), ("bob", "active")], "the list")
    shown = otpctl_json("show", "bob")
    wanted = "user phone state channel created_at verified_at locked_until failures_24h sends_24h recovery_codes_left"
    check(set(wanted.split()) <= set(shown), f"keys of show: {sorted(shown)}")
    check(shown["verified_at"].endswith("Z"), f"not RFC 3339 in UTC: {shown['verified_at']!r}")
    text = otpctl("show", "bob").out
    check("+1 ••• ••• ••43" in text, f"show says {text!r}")

    for verb, state in (("disable", "disabled"), ("enable", "active")):
        otpctl(verb, "bob")
        equal(otpctl_json("show", "bob")["state"], state, f"the state after {verb}")
    otpctl("unlock", "bob")
    check("verified already" in otpctl("resend", "bob", status=REFUSED).err, "a resend to a verified number")
    otpctl("disable", "alice")
    otpctl("enable", "alice")
    equal(otpctl_json("show", "alice")["state"], "pending", "a disabled pending account, enabled")
    counted = otpctl_json("status")
    equal((counted["active"], counted["pending"]), (1, 1), "accounts counted")
    otpctl("remove", "bob", "--yes")

    for verb in (["verify", "bob", "123456"], ["resend", "bob"], ["show", "bob"], ["disable", "bob"]):
        done = otpctl(*verb, status=REFUSED)
        check("otpctl enroll bob" in done.err and not done.out, f"{verb}: {done}")
    for verb in (["enable"], ["unlock"], ["remove", "--yes"]):
        otpctl(verb[0], "nobody-here", *verb[1:], status=REFUSED)
    for words in ([], ["show"], ["enroll", "alice"], ["dance"], ["list", "alice"], ["show", "alice", "--no"]):
        otpctl(*words, status=USAGE)
    equal(otpctl("--version").err, "", "standard error of --version")
    otpctl("--socket", "/run/nowhere.sock", "status", status=UNREACHABLE)
    g.otpd.stop()
    g.otpd.unlisten()
    done = otpctl("status", status=UNREACHABLE)
    check("systemctl status otpd" in done.err, f"the error is {done.err!r}")
    recorded = [event for event in g.otpd.events if event.get("target") == "audit" and event["account"] == "bob"]
    done = [event["event"] for event in recorded if event["event"] != "refused"]
    expected = "code-issued enrolled message-sent verified disabled enabled unlocked removed".split()
    equal(sorted(done), sorted(expected), "what was recorded of bob")
    refused = [json.loads(event["details"])["verb"] for event in recorded if event["event"] == "refused"]
    equal(refused, ["resend", "verify", "resend", "disable"], "what was refused of bob")


@scenario
def a_login_in_the_log_and_explained(g):
    """`otpctl log` has every event of a login, and `explain` tells its story by what the screen shows."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    for _ in range(3):
        person.code(wrong(code))
    person.denied()
    request = re.search(r"Request id (\S+)", person.transcript).group(1)
    logged = [json.loads(line) for line in otpctl("log", "--user", "alice", "--json").out.splitlines()]
    of_login = [one["event"] for one in logged if one["request"] == request]
    expected = ["code-issued", "message-sent"] + ["code-wrong"] * 3 + ["challenge-ended", "login-denied"]
    equal(of_login, expected, "what was logged")
    check(code not in otpctl("log").out, "a code is in the log")
    story = otpctl("explain", request.lower()).out
    for word in ("alice", "127.0.0.1", "phone", "wrong"):
        check(word in story, f"{word!r} is not in the story:\n{story}")
    otpctl("explain", "0000-00", status=REFUSED)


@scenario
def the_gateway_fails_at_enrollment(g):
    """A number whose message could not be sent is kept, which is said with the reason and the remedy."""
    g.start_otpd(fake_time=True)
    g.user("alice")
    g.phone.answer_next(refuse(401))
    done = otpctl("enroll", "alice", g.number("alice"), status=REFUSED)
    check("HTTP 401" in done.err and "otpctl resend alice" in done.err, f"the error is {done.err!r}")
    status = otpctl_json("status")
    check(any("HTTP 401" in problem for problem in status["problems"]), f"status: {status}")
    g.otpd.advance(31)
    otpctl("resend", "alice")
    otpctl("verify", "alice", g.phone.next_code())


@scenario
def who_may_do_what(g):
    """Root everything; the admin group all but root and itself; a person only the own affairs; others nothing."""
    run("groupadd", "otpd-admin")
    g.start_otpd()
    g.user("alice")
    g.user("bob")
    g.user("ada", groups=["otpd-admin"])
    g.user("alan", groups=["otpd-admin"])
    for user in ("alice", "bob", "ada", "alan"):
        g.enroll(user, verify=user in ("bob", "alan"))

    # A person: show, verify and resend of the own number, and nothing else of anybody.
    check("pending" in otpctl("show", "alice", user="alice").out, "alice does not see her own state")
    otpctl("verify", "alice", g.code_for("alice"), user="alice")
    check("verified already" in otpctl("resend", "alice", user="alice", status=REFUSED).err, "resend is not permitted")
    forbidden = [
        ["show", "bob"],
        ["show", "root"],
        ["show", "nobody-here"],
        ["verify", "bob", "123456"],
        ["resend", "bob"],
        ["list"],
        ["status"],
        ["enroll", "alice", "+12025550199", "--replace", "--yes"],
        ["disable", "alice"],
        ["enable", "alice"],
        ["unlock", "alice"],
        ["remove", "alice", "--yes"],
    ]
    for words in forbidden:
        done = otpctl(*words, user="alice", status=REFUSED)
        check("you may not do this" in done.err and not done.out, f"alice, {words}: {done}")

    # The group: everybody but root and its members; of themselves what everybody may.
    for words in (["list"], ["status"], ["show", "bob"], ["disable", "bob"], ["enable", "bob"], ["unlock", "bob"]):
        otpctl(*words, user="ada")
    equal(g.wait_audit("disabled", "bob")["actor"], f"uid {run('id', '-u', 'ada').out.strip()}", "who did it")
    check("no account" in otpctl("show", "nobody-here", user="ada", status=REFUSED).err, "ada cannot see who exists")
    otpctl("show", "ada", user="ada")
    otpctl("verify", "ada", g.code_for("ada"), user="ada")
    for words in (
        ["show", "alan"],
        ["disable", "alan"],
        ["disable", "ada"],
        ["unlock", "ada"],
        ["remove", "ada", "--yes"],
        ["enroll", "ada", "+12025550199", "--replace", "--yes"],
        ["enroll", "root", "+12025550199"],
        ["show", "root"],
    ):
        done = otpctl(*words, user="ada", status=REFUSED)
        check("you may not do this" in done.err, f"ada, {words}: {done}")
    otpctl("show", "alan")

    # uid 65534 may be anybody: not even a word.
    otpctl("show", "nobody", user="nobody", status=UNREACHABLE)
    g.phone.expect_count(4)


@scenario
def logins_are_for_root(g):
    """Nobody but root may begin, answer or cancel a login, whatever group they are in."""
    run("groupadd", "otpd-admin")
    g.start_otpd()
    g.user("alice")
    g.user("ada", groups=["otpd-admin"])
    g.enroll("alice")
    begin = {"user": "alice", "service": "sshd", "first_factor": ["password"]}
    reply = g.frames().call("org.otpd.Login.Begin", begin)["parameters"]
    challenge, code = reply["challenge"], g.code_for("alice")
    calls = [
        ("Begin", begin),
        ("Answer", {"challenge": challenge, "answer": code}),
        ("Cancel", {"challenge": challenge}),
    ]
    program = (
        "import json, sys; sys.path.insert(0, '/ground')\n"
        "from ground import Frames\n"
        "method, parameters = json.loads(sys.stdin.read())\n"
        "print(json.dumps(Frames().call(method, parameters)))"
    )
    for user in ("alice", "ada"):
        for method, parameters in calls:
            done = run(
                "python3", "-c", program, user=user, input=json.dumps([f"org.otpd.Login.{method}", parameters])
            )
            equal(json.loads(done.out)["error"], "org.varlink.service.PermissionDenied", f"{user}, {method}")
    g.phone.expect_count(2)
    answered = g.frames().call("org.otpd.Login.Answer", {"challenge": challenge, "answer": code})
    equal(answered["parameters"]["step"]["verdict"], "granted", "root's answer")
