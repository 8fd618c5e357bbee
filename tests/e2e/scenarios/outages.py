"""The daemon or a gateway is away, slow, killed or started again while people log in."""

import time

from ground import AT_ONCE, OK, Phone, check, cut, equal, held, refuse, run, scenario, together, wrong

UNREACHABLE = "Login codes cannot be checked at the moment. Please try again later or tell your administrator."
UNAVAILABLE = "The login-code service on box cannot check codes now."


def refused(g, word):
    """A login that is refused after the password with this word; how long that took."""
    person = g.ssh("alice", rounds=1)
    person.password(g.passwords["alice"])
    began = time.monotonic()
    person.denied()
    took = time.monotonic() - began
    check("Code:" not in person.transcript, f"asked for a code: {person.transcript!r}")
    check(word in person.transcript, f"{word!r} is not on the screen:\n{person.transcript}")
    return took


def at_prompt(g, **how):
    """A login that stands at the code prompt: (person, text)."""
    person = g.ssh_to_code("alice", **how)
    text = g.text_for("alice")
    person.expect("Code: ")
    return person, text


# --- the daemon -----------------------------------------------------------------------------------


@scenario
def nothing_listens(g):
    """With daemon and socket stopped a login is refused at once, in the module's one sentence."""
    g.password_and_code("alice")
    g.otpd.stop()
    g.otpd.unlisten()
    took = refused(g, UNREACHABLE)
    check(took < AT_ONCE, f"refused only after {took:.1f} s")
    g.syslog.wait("pam_otp", "alice", "/run/otpd/otpd.sock", priority="err")


@scenario
def failmode_safe(g):
    """failmode=safe lets in when nothing listens, with an alert; not when nothing answers, nor past a prompt."""
    g.password_and_code("alice", arguments="failmode=safe timeout=5")
    person, text = at_prompt(g)
    g.otpd.stop()
    g.otpd.unlisten()
    person.type(text.code)
    shown = person.expect("(alice@box) Password: ")
    check("in as" not in shown, "somebody who was asked was let in unasked")

    g.ssh_to_code("alice").granted()
    g.syslog.wait("pam_otp", "alice from 127.0.0.1", "NO CODE ASKED because of failmode=safe", priority="alert")

    # It lives, but answers nothing: whoever logs in could have stopped the program that asks instead.
    g.otpd.start()
    g.otpd.freeze()
    refused(g, UNREACHABLE)
    g.otpd.thaw()
    equal(len([line for line in g.syslog.lines if line.priority == "alert"]), 1, "alerts")


@scenario
def failmode_safe_and_a_wrong_configuration(g):
    """A daemon that cannot start because of its configuration refuses also under failmode=safe."""
    g.password_and_code("alice", arguments="failmode=safe")
    g.otpd.stop()
    g.otpd.configure({"delivery": {"sms": ["nowhere"]}, "surplus": {"key": 1}})
    g.otpd.start()
    took = refused(g, UNAVAILABLE)
    check(took < AT_ONCE, f"refused only after {took:.1f} s")
    for part in ("nowhere", "surplus"):
        g.otpd.wait_log(part)
    done = run("otpctl", "status", check_status=1)
    check("nowhere" in done.err and "otpd.toml" in done.err, f"otpctl does not name the fault: {done.err!r}")
    done = run("/usr/sbin/otpd", "--check", check_status=2)
    check("nowhere" in done.err and "surplus" in done.err, f"--check does not name all faults: {done.err!r}")

    g.otpd.stop()
    g.otpd.configure()
    g.otpd.start()
    person, text = at_prompt(g)
    person.type(text.code)
    person.granted()


@scenario
def an_unreadable_configuration(g):
    """Without a configuration that it can read the daemon stays up, names the file, and refuses."""
    g.password_and_code("alice")
    g.otpd.stop()
    run("chmod", "000", "/etc/otpd/otpd.toml")
    run("chown", "root:root", "/etc/otpd/otpd.toml")
    g.otpd.start()
    g.otpd.wait_log("/etc/otpd/otpd.toml")
    refused(g, UNAVAILABLE)


@scenario
def a_frozen_daemon(g):
    """A daemon that lives and does not answer costs a login the module's timeout, and no more."""
    g.password_and_code("alice", arguments="timeout=2")
    g.otpd.freeze()
    took = refused(g, UNREACHABLE)
    check(1.5 < took < 10, f"refused after {took:.1f} s")
    g.otpd.thaw()


def restarted_at_the_prompt(g, kill):
    g.password_and_code("alice")
    person, text = at_prompt(g)
    g.otpd.restart(kill=kill)
    person.type(wrong(text.code))
    check("That code is not right. 2 tries left." in person.expect("Code: "), "the try was not counted")
    g.otpd.restart(kill=kill)
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)


@scenario
def killed_at_the_prompt(g):
    """Killed and started between prompt and answer: the login goes on, tries and code as before."""
    restarted_at_the_prompt(g, kill=True)


@scenario
def stopped_at_the_prompt(g):
    """Stopped by SIGTERM with a prompt open it ends well and soon; started again, the login goes on."""
    restarted_at_the_prompt(g, kill=False)
    person, text = at_prompt(g)
    began = time.monotonic()
    g.otpd.stop()
    took = time.monotonic() - began
    check(took < 15, f"an open prompt held the stop up for {took:.1f} s")
    g.otpd.start()
    person.type(text.code)
    person.granted()


@scenario
def started_while_somebody_waits(g):
    """An answer given while the daemon is down waits for its start, within the module's timeout."""
    g.password_and_code("alice")
    person, text = at_prompt(g)
    g.otpd.kill()
    person.type(text.code)
    g.otpd.start()
    person.granted()
    g.otpd.stop()
    person = g.ssh_to_code("alice")
    g.otpd.start()
    person.code(g.code_for("alice"))
    person.granted()
    g.phone.expect_count(3)


@scenario
def killed_before_the_vendor_answered(g):
    """A code that was lost with the daemon is replaced by a fresh one by itself, at the prompt and before it."""
    g.password_and_code("alice")
    # At the prompt: nothing was accepted yet.
    g.phone.answer_next(held(deliver=False))
    person = g.ssh_to_code("alice")
    shown = person.expect("Code: ")
    check("A code is being sent by text message to the number ending 42" in shown, f"the prompt is {shown!r}")
    g.otpd.kill()
    g.phone.release()
    g.otpd.start()
    text = g.text_for("alice")
    equal(g.wait_audit("code-issued", "alice", 3)["why"], "lost", "why the fresh code was issued")
    person.type("?")
    shown = person.expect("Code: ")
    check(f"ref {text.ref}." in shown and "3 tries left" in shown, f"the prompt is {shown!r}")
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)

    # Before the prompt: the module asks again by itself.
    before = len(g.phone.requests.all())
    g.phone.answer_next(held(deliver=False))
    person = g.ssh_to_code("alice")
    g.phone.requests.wait(lambda _: True, "the request to the vendor", before)
    g.otpd.kill()
    g.phone.release()
    g.otpd.start()
    text = g.text_for("alice")
    shown = person.expect("Code: ")
    check(f"to the number ending 42 (ref {text.ref})." in shown, f"the prompt is {shown!r}")
    person.type(text.code)
    person.granted()
    g.phone.expect_count(3)


@scenario
def stopped_before_the_vendor_answered(g):
    """A stop waits for a message that is with the vendor; after the start nothing is sent a second time."""
    g.password_and_code("alice")
    g.phone.answer_next(held())
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    person.expect("Code: ")

    def release():
        g.otpd.wait_log('"message":"ending"')
        g.phone.release()

    together(g.otpd.stop, release)
    equal(len(g.audit("message-sent", "alice")), 2, "messages recorded as sent before the end")
    g.otpd.start()
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)


@scenario
def reloaded_at_the_prompt(g):
    """SIGHUP with a prompt open: the login goes on under its own rules; a wrong file changes nothing."""
    g.password_and_code("alice")
    person, text = at_prompt(g)
    g.otpd.configure({"code": {"digits": 8}})
    g.otpd.reload()
    person.type(text.code)
    person.granted()
    person, text = at_prompt(g)
    equal(len(text.code), 8, "digits after the reload")
    person.type(text.code)
    person.granted()
    g.otpd.configure({"code": {"digits": 99}})
    g.otpd.reload()
    g.otpd.wait_log("code.digits")
    person, text = at_prompt(g)
    equal(len(text.code), 8, "digits after a wrong reload")
    person.type(text.code)
    person.granted()


@scenario
def the_person_hangs_up(g):
    """A client that goes away leaves its challenge for 20 s, then it is cancelled."""
    g.password_and_code("alice")
    person, _ = at_prompt(g)
    began = time.monotonic()
    person.close()
    ended = g.wait_audit("challenge-ended", "alice", timeout=60)
    took = time.monotonic() - began
    equal(ended["how"], "cancelled", "how it ended")
    check(took > 15, f"cancelled after {took:.1f} s already")


@scenario
def the_person_interrupts(g):
    """Ctrl-C at the prompt ends the client; another login works with its own code at once."""
    g.password_and_code("alice")
    person, first = at_prompt(g)
    person.interrupt(lambda: False)
    status, _ = person.end()
    check(status != 0, "the interrupted client ended well")
    person, text = at_prompt(g)
    person.type(first.code)
    check("That code is not right" in person.expect("Code: "), "the code of the other login works")
    person.type(text.code)
    person.granted()


# --- the gateways ---------------------------------------------------------------------------------


@scenario
def the_gateway_is_down(g):
    """No gateway takes the message: said in the prompt; `r` sends once it is back, and nothing else is charged."""
    g.password_and_code("alice", fake_time=True)
    g.phone.down()
    person = g.ssh_to_code("alice")
    shown = person.expect("Code: ")
    check(
        "The text message to the number ending 42 could not be sent.\nr = try again in 30 seconds, ? = help\n" in shown,
        f"the prompt is {shown!r}",
    )
    check("sent by text" not in shown and "Type the code" not in shown, f"said to be sent: {shown!r}")
    # More often than a code may be sent again: what was not sent is no resend.
    for _ in range(3):
        g.otpd.advance(61)
        person.type("r")
        check("could not be sent" in person.expect("Code: "), f"the failure is not said: {person.transcript!r}")
    g.phone.up()
    g.otpd.advance(61)
    person.type("r")
    text = g.text_for("alice")
    shown = person.expect("Code: ")
    check(f"A new code was sent to the number ending 42 (ref {text.ref})." in shown, f"the prompt is {shown!r}")
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)
    equal(g.otpctl_json("show", "alice")["sends_24h"], 1, "messages charged")


@scenario
def the_next_gateway_takes_over(g):
    """What the first gateway does not take goes out by the second, and the prompt does not show it."""
    phones = {"first": Phone(8025), "second": Phone(8026)}
    g.password_and_code(phones=phones)
    g.user("alice")
    g.enroll("alice")
    first, second = phones.values()
    refusals = (
        refuse(400),
        refuse(401),
        refuse(429, headers=[("retry-after", "7")]),
        refuse(500),
        cut(deliver=False),
    )
    for reply in refusals:
        first.answer_next(reply)
        person = g.ssh_to_code("alice")
        text = second.next_text(g.number("alice"))
        shown = person.code(text.code)
        check(f"(ref {text.ref})" in shown, f"the prompt is {shown!r}")
        person.granted()
    first.expect_count(1)
    second.expect_count(len(refusals))
    first.down()
    person = g.ssh_to_code("alice")
    person.code(second.next_code(g.number("alice")))
    person.granted()


@scenario
def the_gateway_is_slow(g):
    """A vendor that takes long does not hold the prompt up: it says `being sent`, and the code works later."""
    g.password_and_code("alice")
    g.phone.answer_next(held())
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    began = time.monotonic()
    shown = person.expect("Code: ")
    took = time.monotonic() - began
    check(
        f"A code is being sent by text message to the number ending 42 (ref {text.ref})." in shown,
        f"the prompt is {shown!r}",
    )
    # A vendor has eight seconds.
    check(took < 8, f"the prompt came after {took:.1f} s")
    equal(g.audit("message-sent", "alice")[1:], [], "messages said to be sent")
    g.phone.release()
    g.wait_audit("message-sent", "alice", 2)
    person.type(text.code)
    person.granted()
    g.phone.expect_count(2)


@scenario
def the_gateway_is_ambiguous(g):
    """When it cannot be told whether a message went out, the next gateway sends the same code."""
    phones = {"first": Phone(8025), "second": Phone(8026)}
    g.password_and_code(phones=phones)
    g.user("alice")
    g.enroll("alice")
    phones["first"].answer_next(cut(deliver=True))
    person = g.ssh_to_code("alice")
    one, other = (phone.next_text(g.number("alice")) for phone in phones.values())
    equal((other.code, other.ref), (one.code, one.ref), "code and reference of the second message")
    person.code(one.code)
    person.granted()


@scenario
def the_only_gateway_is_ambiguous(g):
    """When the only gateway breaks off after the delivery, the prompt does not say `sent`; the code works."""
    g.password_and_code("alice")
    g.phone.answer_next(cut(deliver=True))
    person = g.ssh_to_code("alice")
    text = g.text_for("alice")
    shown = person.code(text.code)
    check("A code is being sent by text message" in shown, f"the prompt is {shown!r}")
    person.granted()
    g.phone.expect_count(2)


@scenario
def a_gateway_that_rests(g):
    """After five failures in a row a gateway is passed over, and status says so; others go on."""
    phones = {"first": Phone(8025), "second": Phone(8026)}
    g.password_and_code(phones=phones, changes={"limits": {"messages-per-hour": 100}})
    g.user("alice")
    g.enroll("alice")
    first, second = phones.values()
    first.reply = refuse(500)
    for _ in range(6):
        person = g.ssh_to_code("alice")
        person.code(second.next_code(g.number("alice")))
        person.granted()
    equal(len(first.requests.all()), 1 + 5, "requests to the failing gateway")
    states = {gateway["name"]: gateway["state"] for gateway in g.otpctl_json("status")["gateways"]}
    equal(states, {"first": "resting", "second": "ready"}, "the gateways")
    first.reply = OK
