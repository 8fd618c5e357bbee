"""What README and the shipped configuration say holds for the programs."""

import re

from ground import CONFIG, check, equal, key_and_code, run, scenario, write
from ground.machine import REST

README = "/README.md"


def blocks(language):
    """The code blocks of README in a language."""
    return re.findall(rf"```{language}\n(.*?)```", open(README).read(), re.DOTALL)


@scenario
def the_configuration_in_readme(g):
    """README's configuration is right as it stands, and so is the shipped one once it is filled in."""
    [example] = blocks("toml")
    write(CONFIG, example)
    run("otpd", "--check")
    shipped = open("/packaging/conf/otpd.toml").read()
    write(CONFIG, shipped)
    done = run("otpd", "--check", check_status=2)
    check("countries" in done.err, f"the shipped file lacks nothing that has to be filled in: {done.err!r}")
    # Every key that it explains is known, in the place where it stands, with the value that is said.
    keys = re.sub(r"^#(?=\[gateway|\[http\]|[a-z][\w-]* = )", "", shipped, flags=re.MULTILINE)
    write("/etc/otpd/site.key", open("/etc/ssh/ssh_host_ed25519_key.pub").read(), 0o600)
    for name in ("telnyx.key", "twilio.token", "signalwire.token", "signalwire.key", "plivo.token", "flowroute.key"):
        write(f"/etc/otpd/{name}", "KEY0189A\n", 0o600)
    for name in ("site-ca.pem", "telnyx-ca.pem"):
        write(f"/etc/otpd/{name}", "", 0o600)
    write(CONFIG, keys.replace("allow-file-gateway = false", "allow-file-gateway = true"))
    done = run("otpd", "--check", check_status=None)
    faults = [line for line in done.err.splitlines() if "ca-file" not in line and "site-ca.pem" not in line]
    equal(faults, [], "what is wrong with the shipped keys")


@scenario
def the_verbs_in_readme(g):
    """README lists the verbs that otpctl has, and each shows an example of itself."""
    text = open(README).read()
    listed = set(re.findall(r"^\| `otpctl ([\w-]+)|`(enable) USER`|, `otpctl ([\w-]+)", text, re.MULTILINE))
    listed = {word for words in listed for word in words if word}
    commands = run("otpctl", "--help").out.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    known = set(re.findall(r"^  ([\w-]+)", commands, re.MULTILINE)) - {"help"}
    equal(listed, known, "the verbs")
    for verb in known:
        check("Example" in run("otpctl", verb, "--help").out, f"{verb} --help has no example")


@scenario
def the_stacks_for_authselect(g):
    """Each asks for a code after a right password or key, sends nothing for a wrong one, and lets the exempt in."""
    guide = open("/packaging/doc/authselect.md").read()
    stacks = re.findall(r"^```text\n(auth .*?)```", guide, re.DOTALL | re.MULTILINE)
    equal(len(stacks), 4, "the stacks in the guide")
    password, directory, key, faillock = stacks
    changes = {"policy": {"exempt-users": ["eve"]}}
    for stack in (password, directory, faillock):
        # No sssd here: any module that knows the password stands for it.
        stack = stack.replace("pam_unix.so\n", "pam_unix.so nodelay\n").replace("pam_sss.so", "pam_unix.so nodelay")
        if g.otpd is None:
            g.password_and_code("alice", changes=changes)
            g.user("eve")
        write("/etc/pam.d/sshd", stack + REST)
        texts = len(g.phone.texts)
        person = g.ssh("alice", rounds=1)
        person.password("not her password")
        person.denied()
        g.phone.expect_count(texts)
        person = g.ssh_to_code("alice")
        person.code(g.code_for("alice"))
        person.granted()
        person = g.ssh_to_code("eve")
        person.granted()
    lines = [line.split() for line in key.splitlines()]
    equal(lines, [line.split() for line in key_and_code().splitlines() if line.startswith("auth")], "with a key")
