"""Programs that log in besides ssh: sftp and scp, login, su and sudo."""

from ground import check, equal, pam, password_and_code, scenario, ssh_options, write, wrong


def answers(g, terminal, user, prompt="Password: "):
    """Answers the password and the code prompt of a program."""
    terminal.answer(prompt, g.passwords[user])
    terminal.answer("Code: ", g.code_for(user))


@scenario
def scp_and_sftp(g):
    """Files go both ways after a password and a code."""
    g.password_and_code("alice")
    write("/tmp/there", "a line\n")
    copy = g.terminal("scp", *ssh_options(), "/tmp/there", "alice@box:kept")
    answers(g, copy, "alice")
    equal(copy.end()[0], 0, f"scp's exit status, after {copy.transcript}")

    session = g.terminal("sftp", *ssh_options(), "alice@box")
    answers(g, session, "alice")
    session.answer("sftp> ", "get kept /tmp/back")
    session.answer("sftp> ", "bye")
    equal(session.end()[0], 0, f"sftp's exit status, after {session.transcript}")
    with open("/tmp/back") as back:
        equal(back.read(), "a line\n", "the file that came back")
    g.phone.expect_count(3)


@scenario
def a_console_login(g):
    """login asks on a terminal for both, shows the prompt as sshd does, and denies a wrong code."""
    g.password_and_code("alice")
    pam("login", password_and_code())
    console = g.terminal("/bin/login")
    console.answer("login: ", "alice")
    console.answer("Password: ", g.passwords["alice"])
    text = g.text_for("alice")
    shown = console.expect("Code: ")
    check(
        f"Code sent by text message to the number ending 42 (ref {text.ref}).\n"
        "Type the code, or: r = send again, ? = help\n" in shown,
        f"the prompt is {shown!r}",
    )
    console.type("?")
    check("q = give up" in console.expect("Code: "), "no help")
    console.type(text.code)
    console.answer("$ ", "echo in as $(id -un)")
    console.expect("\nin as alice\n")
    console.answer("$ ", "exit")
    equal(console.end()[0], 0, "login's exit status")
    equal(g.wait_audit("login-granted", "alice")["service"], "login", "the service")

    console = g.terminal("/bin/login")
    console.answer("login: ", "alice")
    console.answer("Password: ", g.passwords["alice"])
    console.answer("Code: ", "q")
    console.expect("Login incorrect")
    console.close()
    g.phone.expect_count(3)


@scenario
def su_asks_for_the_other_account(g):
    """su asks for the password and the code of the account it changes to; a wrong code changes nothing."""
    g.password_and_code("alice", "bob")
    pam("su", password_and_code())
    shell = g.shell("alice")
    shell.answer("$ ", "su bob -c 'echo now $(id -un)'")
    answers(g, shell, "bob")
    shell.expect("\nnow bob\n")
    shell.answer("$ ", "su bob -c 'echo now $(id -un)'")
    shell.answer("Password: ", g.passwords["bob"])
    shell.answer("Code: ", "q")
    shell.expect("su: Authentication failure")
    equal(shell.transcript.count("\nnow bob\n"), 1, "times changed")
    g.phone.expect_count(4)


@scenario
def sudo_twice_in_one_terminal(g):
    """A sudo that was cancelled at the code leaves nothing behind: the next one asks and works."""
    g.password_and_code("alice")
    pam("sudo", password_and_code())
    write("/etc/sudoers.d/ground", "alice ALL=(ALL) ALL\n", 0o440)
    shell = g.shell("alice")
    shell.answer("$ ", "sudo id -un")
    shell.answer("[sudo] password for alice: ", g.passwords["alice"])
    first = g.code_for("alice")
    shell.expect("Code: ")
    shell.interrupt(lambda: g.audit("challenge-ended", "alice"))
    equal(g.wait_audit("challenge-ended", "alice")["how"], "cancelled", "how the first ended")

    shell.answer("$ ", "sudo id -un")
    shell.answer("[sudo] password for alice: ", g.passwords["alice"])
    second = g.code_for("alice")
    shell.answer("Code: ", first)
    check("That code is not right" in shell.expect("Code: "), "the cancelled sudo's code works")
    shell.type(second)
    shell.expect("\nroot\n")
    # sudo itself remembers that.
    shell.answer("$ ", "sudo id -un")
    shell.expect("\nroot\n")
    # And not longer than it is told to.
    shell.answer("$ ", "sudo -k id -un")
    answers(g, shell, "alice", "[sudo] password for alice: ")
    shell.expect("\nroot\n")
    g.phone.expect_count(4)


@scenario
def sudo_spent_and_again(g):
    """A sudo whose tries are used up asks again in the next one, in the same terminal: no attempt is matched."""
    g.password_and_code("alice")
    pam("sudo", password_and_code())
    write("/etc/sudoers.d/ground", "Defaults passwd_tries=1\nalice ALL=(ALL) ALL\n", 0o440)
    shell = g.shell("alice")
    shell.answer("$ ", "sudo id -un")
    shell.answer("[sudo] password for alice: ", g.passwords["alice"])
    code = g.code_for("alice")
    for _ in range(3):
        shell.answer("Code: ", wrong(code))
    shell.answer("$ ", "sudo id -un")
    answers(g, shell, "alice", "[sudo] password for alice: ")
    shell.expect("\nroot\n")
    g.phone.expect_count(3)
