"""A number is registered, proved and replaced; until it is proved nothing else goes to it."""

from ground import check, equal, otpctl, otpctl_json, run, scenario, wrong

NUMBER = "+12025550142"


@scenario
def enroll_verify_log_in(g):
    """Enrolled, proved, logged in: the first message says what it is for and whom to tell."""
    g.password_and_code()
    g.user("alice")
    done = otpctl("enroll", "alice", NUMBER)
    text = g.phone.next_text(NUMBER)
    equal(
        text.text,
        f"{text.code} proves this number for logins on box, ref {text.ref}. "
        "Tell it only to the administrator who registers you.",
        "the message",
    )
    check(f"(ref {text.ref}," in done.out and "otpctl verify alice" in done.out, f"enroll says {done.out!r}")
    check(NUMBER not in done.out + done.err, f"enroll shows the whole number: {done.out!r}")
    equal(otpctl_json("show", "alice")["state"], "pending", "the state")

    # On standard input, where ps does not show it.
    otpctl("verify", "alice", input=f"{text.code}\n")
    shown = otpctl_json("show", "alice")
    equal(shown["state"], "active", "the state")
    check(shown["phone"].endswith("42") and "0255501" not in shown["phone"], f"the number is {shown['phone']!r}")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(2)


@scenario
def an_unverified_number(g):
    """An unverified number gets three messages in a day, whoever's it is said to be, and no login code."""
    g.password_and_code(fake_time=True)
    for user in ("alice", "bob", "carol"):
        g.user(user)
    otpctl("enroll", "alice", NUMBER)
    check("too soon" in otpctl("resend", "alice", status=1).err, "a second message at once")
    g.otpd.advance(61)
    otpctl("resend", "alice")
    otpctl("enroll", "bob", NUMBER)
    g.phone.expect_count(3)

    for _ in range(2):
        g.otpd.advance(3600)
        for user in ("alice", "bob"):
            done = otpctl("resend", user, status=1)
            check("unverified-number-per-day" in done.err, f"the refusal is {done.err!r}")
        otpctl("enroll", "carol", "202-555-0142", status=1)  # no default country
        for number in (NUMBER, "+1 (202) 555-0142"):
            otpctl("enroll", "carol", number, status=1)
            otpctl("enroll", "alice", number, "--replace", "--yes", status=1)
        otpctl("show", "carol", status=1)
        for user in ("alice", "bob", "carol"):
            person = g.ssh_to_code(user, rounds=1)
            person.denied()
    otpctl("remove", "bob", "--yes")
    otpctl("enroll", "bob", NUMBER, status=1)
    g.phone.expect_count(3)

    g.otpd.advance(24 * 3600)
    otpctl("resend", "alice")
    g.phone.expect_count(4)
    otpctl("verify", "alice", g.phone.texts[3].code)
    person = g.ssh_to_code("alice")
    g.phone.wait_count(5)
    person.code(g.phone.texts[4].code)
    person.granted()


@scenario
def a_wrong_proof(g):
    """Wrong codes cost tries, then a message; earlier codes and what is no code cost none."""
    g.start_otpd(fake_time=True)
    g.user("alice")
    otpctl("enroll", "alice", NUMBER)
    first = g.phone.next_code()
    check("2 tries are left" in otpctl("verify", "alice", wrong(first), status=1).err, "no word of the tries")
    check("6 digits" in otpctl("verify", "alice", "12345", status=1).err, "no word of the digits")
    g.otpd.advance(31)
    otpctl("resend", "alice")
    second = g.phone.next_code()
    check("earlier code" in otpctl("verify", "alice", first, status=1).err, "the earlier code is not recognised")
    check("1 try is left" in otpctl("verify", "alice", wrong(second), status=1).err, "the resend gave a try back")
    otpctl("verify", "alice", wrong(second), status=1)
    done = otpctl("verify", "alice", second, status=1)
    check("otpctl resend alice" in done.err, f"the refusal is {done.err!r}")
    g.otpd.advance(61)
    otpctl("resend", "alice")
    third = g.phone.next_code()
    g.otpd.advance(301)
    check("too old" in otpctl("verify", "alice", third, status=1).err, "an expired code was taken")
    equal(otpctl_json("show", "alice")["state"], "pending", "the state")


@scenario
def a_number_is_replaced(g):
    """Replacing asks, takes the old number out of use at once, and the new one has to be proved."""
    g.password_and_code("alice")
    other = "+13125550143"
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    person.expect("Code: ")

    check("--replace" in otpctl("enroll", "alice", other, status=1).err, "no word of --replace")
    check("--yes" in otpctl("enroll", "alice", other, "--replace", status=2).err, "no word of --yes")
    asked = g.terminal("otpctl", "enroll", "alice", other, "--replace")
    asked.answer("[y/N] ", "n")
    equal(asked.end()[0], 1, "the exit status after no")
    asked = g.terminal("otpctl", "enroll", "alice", other, "--replace")
    asked.answer("[y/N] ", "y")
    equal(asked.end()[0], 0, "the exit status after yes")

    person.type(code)
    person.denied()
    person = g.ssh_to_code("alice", rounds=1)
    person.denied()
    otpctl("verify", "alice", g.phone.next_code(other))
    person = g.ssh_to_code("alice")
    person.code(g.phone.next_code(other))
    person.granted()
    told = g.phone.next_text(g.number("alice")).text
    check("go to another number" in told, f"the old number read {told!r}")
    equal(g.wait_audit("owner-told", "alice")["about"], "number-replaced", "the notice")
    g.phone.expect_count(5)


@scenario
def removed_and_back(g):
    """Removing asks and forgets the number; what counts against guessing stays."""
    g.password_and_code("alice")
    person = g.ssh_to_code("alice", rounds=1)
    code = g.code_for("alice")
    for _ in range(3):
        person.code(wrong(code))
    person.denied()
    check("--yes" in otpctl("remove", "alice", status=2).err, "no word of --yes")
    otpctl("show", "alice")
    otpctl("remove", "alice", "--yes")
    otpctl("show", "alice", status=1)
    equal(otpctl_json("list"), [], "the list")
    g.ssh_to_code("alice", rounds=1).denied()
    g.enroll("alice")
    equal(otpctl_json("show", "alice")["failures_24h"], 3, "wrong codes that count")


@scenario
def numbers_that_cannot_be(g):
    """Each number that cannot be used is refused with its reason, and nothing is sent or stored."""
    g.start_otpd(changes={"delivery": {"countries": ["US"], "default-country": "US"}})
    g.user("alice")
    cases = {
        "12": "cannot be used",
        "+1202555": "cannot be used",
        "hello": "cannot be used",
        "+4915112345678": "delivery.countries",
        "+19005550123": "cannot be used",  # premium
        "+18005550123": "cannot be used",  # toll-free
    }
    for number, word in cases.items():
        done = otpctl("enroll", "alice", number, status=1)
        check(word in done.err, f"{number}: the refusal is {done.err!r}")
    for user in ("nobody-here", "al/ice", "-x"):
        done = run("otpctl", "enroll", "--", user, NUMBER, check_status=None)
        check(done.status in (1, 2), f"{user}: exit status {done.status}")
    equal(otpctl_json("list"), [], "the list")
    g.phone.expect_count(0)
    otpctl("enroll", "alice", "(202) 555-0142")
    equal(g.phone.next_text().to, NUMBER, "the number in national form")


@scenario
def a_store_of_secrets(g):
    """Neither codes nor numbers can be read in the store's files."""
    # Chance does not find a code of eight digits there.
    g.password_and_code("alice", changes={"code": {"digits": 8}})
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    person.expect("Code: ")
    g.otpd.kill()
    found = run("grep", "-rlaE", f"{NUMBER[1:]}|{NUMBER[2:]}|{text.code}", "/var/lib/otpd", check_status=None)
    equal((found.status, found.out), (1, ""), "files that name the number or the code")
    modes = run("find", "/var/lib/otpd", "/etc/otpd", "-perm", "/077", "-type", "f").out
    equal(modes, "", "files that others can read")
