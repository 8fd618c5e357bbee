"""otpctl rehearse, and the backup that the guide describes."""

import json

from ground import check, equal, pam, run, scenario, write


def rehearse(g, *words):
    """A rehearsal on a terminal."""
    return g.terminal("otpctl", "rehearse", *words)


@scenario
def a_rehearsal_shows_what_a_login_would(g):
    """The real stack is run: prompts as the user sees them, and PAM's answer in words; nobody is logged in."""
    g.start_otpd()
    g.user("alice")
    g.enroll("alice")
    run("otpctl", "pam", "enable", "sshd")
    show = rehearse(g, "alice")
    show.answer("Password: ", g.passwords["alice"])
    text = g.text_for("alice")
    shown = show.expect("Code: ")
    check(f"Code sent by text message to the number ending 42 (ref {text.ref}).\n" in shown, shown)
    show.type(text.code)
    status, shown = show.end()
    check(g.passwords["alice"] not in show.transcript, "the password was shown")
    equal(status, 0, f"the exit status of {show.transcript}")
    check("Is it them?: PAM_SUCCESS (yes)\nMay they log in?: PAM_SUCCESS (yes)\n" in shown, shown)

    show = rehearse(g, "alice")
    show.answer("Password: ", "wrong")
    status, shown = show.end()
    equal(status, 1, "the exit status")
    check("Is it them?: PAM_AUTH_ERR (no: a password or a code was wrong" in shown, shown)
    g.phone.expect_count(2)

    # As after a key: the stack has nothing above the code.
    run("otpctl", "pam", "disable", "sshd")
    demand = "KbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive\n"
    write("/etc/ssh/sshd_config.d/50-ours.conf", demand)
    run("otpctl", "pam", "enable", "sshd", "--after", "key")
    show = rehearse(g, "alice")
    show.expect("after a key that sshd has checked")
    show.expect("Code: ")
    show.type(g.code_for("alice"))
    check("PAM_SUCCESS" in show.end()[1], show.transcript)

    # A stack that lets nobody in, and a daemon that is away.
    pam("login", "auth requisite pam_otp.so\nauth required pam_permit.so\n")
    show = rehearse(g, "alice", "--service", "login")
    check("PAM_AUTHINFO_UNAVAIL (no: otpd cannot be reached" in show.end()[1], show.transcript)
    g.otpd.stop()
    g.otpd.unlisten()
    show = rehearse(g, "alice")
    check("PAM_AUTHINFO_UNAVAIL" in show.end()[1], show.transcript)

    # A stack that lets root in before the code would say yes to anything.
    pam("su", "auth sufficient pam_rootok.so\nauth requisite pam_unix.so\nauth requisite pam_otp.so\n")
    refused = run("otpctl", "rehearse", "alice", "--service", "su", check_status=None)
    check("/etc/pam.d/su:1: this stack lets root in there before the code" in refused.err, refused.err)

    check("as root" in run("otpctl", "rehearse", "alice", user="alice", check_status=1).err, "alice herself")
    found = run("otpctl", "rehearse", "alice", "--json", check_status=1).out
    equal(json.loads(found)["authentication"], "PAM_AUTHINFO_UNAVAIL", "as JSON")
