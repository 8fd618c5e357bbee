"""What can be typed at the prompt over a real sshd, and what follows from it."""

import re

from ground import by_prompt, check, equal, packet_login, scenario, together, wrong

REQUEST = r"[0-9A-Za-z]{4,}(?:-[0-9A-Za-z]+)*"


def matches(shown, pattern, what):
    """The whole of what was shown has this form."""
    found = re.fullmatch(pattern, shown)
    check(found, f"{what}: {shown!r} is not of the form {pattern!r}")
    return found


@scenario
def a_right_code(g):
    """The right password, then the texted code: in. The prompt says what a person must know, and it is recorded."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    equal(text.text, f"{text.code} is your sshd code for box, ref {text.ref}. Never share it. Not you? Tell IT.", "text")
    equal(
        person.code(text.code),
        f"\n(alice@box) Code sent by text message to the number ending 42 (ref {text.ref}).\n"
        "Type the code, or: r = send again, ? = help\nCode: ",
        "the prompt",
    )
    person.granted()
    issued = g.wait_audit("code-issued", "alice", 2)
    granted = g.wait_audit("login-granted", "alice")
    equal((issued["ending"], issued["why"]), ("42", "login"), "what was issued")
    equal((granted["service"], granted["source"]), ("sshd", "127.0.0.1"), "where the login came from")
    equal(granted["request"], issued["request"], "the request of the login")
    g.phone.expect_count(2)


@scenario
def a_key_then_the_code(g):
    """A key, then the texted code: in, with the code prompt as the only question."""
    g.key_and_code("bob")
    login = packet_login("bob", by_prompt(("Code: ", lambda: g.code_for("bob"))), key=g.keys["bob"])
    check(login.granted, f"refused: {login}")
    asked = [found.prompts for found in login.rounds if found.prompts]
    equal(len(asked), 1, "the number of questions")
    equal([echo for _, echo in asked[0]], [True], "echo of the code")
    login.close()


@scenario
def a_wrong_code_then_the_right_one(g):
    """A wrong code costs a try and says how many are left; then the right one gets in."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice")
    code = g.code_for("alice")
    person.code(wrong(code))
    shown = person.expect("Code: ")
    check("That code is not right. 2 tries left. Check the newest message." in shown, f"the prompt is {shown!r}")
    person.type(wrong(wrong(code)))
    shown = person.expect("Code: ")
    check("That code is not right. 1 try left." in shown, f"the prompt is {shown!r}")
    # As people copy it: with a space, a dash and a blank at the end.
    person.type(f"{code[:2]}-{code[2:4]} {code[4:]} ")
    person.granted()
    g.phone.expect_count(2)


@scenario
def a_code_works_once(g):
    """A code that was granted is refused in the next login, which has one of its own."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice")
    used = g.code_for("alice")
    person.code(used)
    person.granted()
    person = g.ssh_to_code("alice")
    person.code(used)
    check("That code is not right. 2 tries left." in person.expect("Code: "), "the used code was not refused")
    person.type(g.code_for("alice"))
    person.granted()


@scenario
def three_wrong_codes(g):
    """Three wrong codes end the login; sshd's further runs are refused in silence, without a message."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=3)
    code = g.code_for("alice")
    for _ in range(3):
        person.code(wrong(code))
    for _ in range(2):
        # sshd runs the stack again: the password is right and no code is asked.
        shown = person.password(g.passwords["alice"])
        check("Code:" not in shown, f"asked for a code again: {shown!r}")
    person.denied()
    equal(person.transcript.count("Code: "), 3, "the number of code prompts")
    equal(person.transcript.count("Too many tries in this login, so it is over. Log in again."), 1, "the word")
    check(re.search(rf"Request id {REQUEST}", person.transcript), f"no request id: {person.transcript!r}")
    g.phone.expect_count(2)
    equal(len(g.audit("code-wrong", "alice")), 3, "tries recorded")

    # Another connection is another login.
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(3)


@scenario
def an_expired_code(g):
    """An expired code is followed by one new one, without a try; when that expires too, it is over."""
    g.password_and_code("alice", fake_time=True)
    person = g.ssh_to_code("alice")
    first = g.text_for("alice")
    person.expect("Code: ")
    g.otpd.advance(301)
    person.type(first.code)
    shown = person.expect("Code: ")
    second = g.text_for("alice")
    matches(
        shown.split("(alice@box) ", 1)[-1],
        r"That code expired at \d\d:\d\d(?: on \d+ \w+)?\. This did not use a try\.\n"
        rf"A new one was sent to the number ending 42 \(ref {second.ref}\)\.\nCode: ",
        "the prompt",
    )
    person.type(wrong(second.code))
    check("2 tries left" in person.expect("Code: "), "the expired code used a try")
    person.type(second.code)
    person.granted()
    g.phone.expect_count(3)

    person = g.ssh_to_code("alice", rounds=1)
    first = g.text_for("alice")
    person.expect("Code: ")
    for word in ("A new one was sent", None):
        g.otpd.advance(301)
        person.type(first.code)
        if word:
            check(word in person.expect("Code: "), f"the prompt is not {word!r}")
    shown = person.denied()
    check("The code expired again. You may start a new login now." in shown, f"the word is {shown!r}")
    g.phone.expect_count(5)


@scenario
def a_code_sent_again(g):
    """`r` sends a new code after a wait; the earlier one is recognised and costs no try; twice, not more."""
    g.password_and_code("alice", fake_time=True)
    person = g.ssh_to_code("alice")
    first = g.text_for("alice")
    person.code("r")
    shown = person.expect("Code: ")
    matches(
        shown.split("(alice@box) ", 1)[-1], r"Please wait \d+ seconds before asking again\.\nCode: ", "the first prompt"
    )
    g.otpd.advance(31)
    person.type("R")
    shown = person.expect("Code: ")
    second = g.text_for("alice")
    check(
        f"Earlier codes no longer work.\nA new code was sent to the number ending 42 (ref {second.ref}).\n" in shown,
        f"the prompt after a resend is {shown!r}",
    )
    check(first.code != second.code and first.ref != second.ref, f"the same again: {first} {second}")
    person.type(first.code)
    shown = person.expect("Code: ")
    check(f"That is an earlier code. Use the newest one, ref {second.ref}." in shown, f"the prompt is {shown!r}")
    person.type(wrong(second.code))
    check("2 tries left" in person.expect("Code: "), "the earlier code used a try")

    g.otpd.advance(61)
    person.type("r")
    shown = person.expect("Code: ")
    third = g.text_for("alice")
    check(f"A new code was sent to the number ending 42 (ref {third.ref})." in shown, f"the prompt is {shown!r}")
    g.otpd.advance(61)
    person.type("r")
    shown = person.expect("Code: ")
    check("No more codes are sent in this login." in shown, f"the prompt is {shown!r}")
    person.type(third.code)
    person.granted()
    g.phone.expect_count(4)


@scenario
def help_and_nothing(g):
    """Enter alone, `?` and what is no code show help and never cost a try; `v` says that nothing calls."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    shown = person.expect("Code: ")
    check("v = voice" not in shown, f"a call is offered where nothing can call: {shown!r}")
    for line in ("", "?", "hello", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666"):
        person.type(line)
        shown = person.expect("Code: ")
        matches(
            shown.split("(alice@box) ", 1)[-1],
            rf"Type the code of the newest message, ref {text.ref}\. 3 tries left\.\n"
            rf"r = send again(?: \(in \d+ seconds?\))?, q = give up\nRequest id {REQUEST}\nCode: ",
            f"the prompt after {line!r}",
        )
    person.type("v")
    shown = person.expect("Code: ")
    check("Voice calls are not available here." in shown, f"the prompt is {shown!r}")
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)


@scenario
def thirty_answers(g):
    """A login takes thirty answers of any kind; the next one ends it, right or not."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    for _ in range(30):
        person.code("?")
    person.code(code)
    person.denied()
    equal(g.audit("login-granted"), [], "granted logins")


@scenario
def giving_up(g):
    """`q` ends the login without a word; on the same connection a new one may begin, with a code of its own."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=2)
    given_up = g.code_for("alice")
    person.code("q")
    g.wait_audit("challenge-ended", "alice")
    equal(g.audit("challenge-ended", "alice")[-1]["how"], "cancelled", "how it ended")
    person.password(g.passwords["alice"])
    fresh = g.code_for("alice")
    person.code(given_up)
    check("That code is not right" in person.expect("Code: "), "the code that was given up still works")
    person.type(fresh)
    person.granted()
    g.phone.expect_count(3)


@scenario
def two_logins_at_once(g):
    """Each of two logins has a code of its own: crossed, both are refused; uncrossed, both are in."""
    g.password_and_code("alice")
    people, codes = [], []
    for _ in range(2):
        people.append(g.ssh_to_code("alice"))
        codes.append(g.code_for("alice"))
    check(codes[0] != codes[1], "two logins have one code")
    for person, code in zip(people, reversed(codes), strict=True):
        person.code(code)
        check("That code is not right. 2 tries left." in person.expect("Code: "), "a crossed code was not refused")
    for person, code in zip(people, codes, strict=True):
        person.type(code)
        person.granted()
    g.phone.expect_count(3)


@scenario
def many_people_at_once(g):
    """Twelve people log in at one moment, each with the code of the own phone."""
    users = [f"user{number}" for number in range(12)]
    g.password_and_code(*users)

    def log_in(user):
        answers = by_prompt(("Password", g.passwords[user]), ("Code: ", lambda: g.code_for(user)))
        login = packet_login(user, answers)
        login.close()
        return login.granted

    equal(together(*[lambda user=user: log_in(user) for user in users]), [True] * 12, "the logins")
    g.phone.expect_count(24)
