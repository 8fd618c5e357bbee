"""What somebody without the password can do to an account and find out about it: nothing, over a real sshd."""

import random
import socket
import statistics
import time

from ground import PATIENCE, SOCKET, Failure, check, equal, otpctl, otpctl_json, run, scenario, together, wrong

TRIES = 5  # a connection
MEASUREMENTS = 3


def connected():
    """A connection to sshd on which nobody has said who they are."""
    import paramiko

    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", 22), PATIENCE))
    transport.banner_timeout = transport.auth_timeout = 60
    transport.start_client(timeout=60)
    return transport


def refusal(transport, user):
    """A login with a wrong password; how long it took from the password to the refusal."""
    import paramiko

    sent = []

    def respond(_title, _instructions, prompts):
        # sshd ends every run with a request without prompts.
        texts = [text for text, _ in prompts]
        check(texts in ([], ["Password: "]), f"asked for {texts}")
        sent.append(time.monotonic())
        return ["not the password"] * len(texts)

    try:
        transport.auth_interactive(user, respond)
    except paramiko.AuthenticationException:
        return time.monotonic() - sent[0]
    raise Failure(f"{user} is in")


def attempts(number, users):
    """So many refusals, in turns, because the machine is now quicker and now slower: times by user."""
    took = {user: [] for user in users}
    left = number // len(users)
    while left:
        # sshd knows one user a connection.
        transports = {user: connected() for user in users}
        for _ in range(min(TRIES, left)):
            # In another order each time: else what a turn costs would be one user's.
            for user in random.sample(users, len(users)):
                took[user].append(refusal(transports[user], user))
        for transport in transports.values():
            transport.close()
        left -= min(TRIES, left)
    return took


def chance(one, other):
    """How often a time of the one is longer than a time of the other: a half where nothing tells them apart."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, of) in enumerate(ranked, 1) if of == 0)
    return (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))


def told_apart(number, users):
    """Whose refusals take another time than those of the first user, and whether a longer one."""
    crowd = 4
    began = time.monotonic()
    samples = together(*[lambda: attempts(number // crowd, list(users))] * crowd)
    took = time.monotonic() - began
    times = {user: [second for sample in samples for second in sample[user]] for user in users}
    equal(sum(map(len, times.values())), number, "refusals")
    print(f"{number} logins with a wrong password, {crowd} at a time, in {took:.1f} s")
    first, *_ = times.values()
    told = set()
    for user, what in users.items():
        longer = chance(times[user], first)
        median = statistics.median(times[user]) * 1000
        print(f"{what}: median {median:.2f} ms of {len(times[user])}; longer than who is enrolled in {longer:.0%}")
        if not 0.25 < longer < 0.75:
            told.add((what, "longer" if longer > 0.5 else "shorter"))
    return told


def lock(g, user):
    """Ten wrong codes."""
    frames = g.frames()
    for wrongs in (3, 3, 3, 1):
        names = {"user": user, "service": "sshd", "first_factor": ["publickey"]}
        begun = frames.call("org.otpd.Login.Begin", names)["parameters"]
        code = g.code_for(user)
        for _ in range(wrongs):
            frames.call("org.otpd.Login.Answer", {"challenge": begun["challenge"], "answer": wrong(code)})
    frames.close()
    equal(otpctl_json("show", user)["locked"], True, f"{user} is locked")


@scenario(alone=True, timeout=240, rounds=240, long_rounds=10_000)
def wrong_passwords(g):
    """However many wrong passwords: no text, no charge, and no way to tell who is enrolled or locked.

    The daemon stands still all the time: a login that asked it anything would not end. So whoever has no
    password measures sshd and pam_unix, and nothing of ours.
    """
    g.password_and_code("alice", "carol", "dan", sshd={"MaxStartups": "600", "MaxAuthTries": TRIES + 2})
    g.user("bob")
    lock(g, "carol")
    otpctl("disable", "dan")
    before = otpctl_json("show", "alice")
    texts = len(g.phone.texts)
    events = len([event for event in g.otpd.events if event.get("target") == "audit"])

    users = {"alice": "enrolled", "bob": "not enrolled", "carol": "locked", "dan": "disabled"}
    g.otpd.freeze()
    # What a connection's process or a busy machine does to one user's times, it does not do thrice.
    everywhere = None
    for _ in range(MEASUREMENTS):
        told = told_apart(g.rounds, users)
        everywhere = told if everywhere is None else everywhere & told
        if not everywhere:
            break
    [waiting] = [line for line in run("ss", "-xlH").out.splitlines() if SOCKET in line]
    g.otpd.thaw()
    equal(waiting.split()[2], "0", "connections that wait for the daemon")
    equal(everywhere, set(), f"users told apart in {MEASUREMENTS} measurements, by longer or shorter times")

    equal(len(g.phone.texts), texts, "texts")
    equal(otpctl_json("show", "alice"), before, "what show says")
    equal(len([event for event in g.otpd.events if event.get("target") == "audit"]), events, "records of the daemon")
    person = g.ssh_to_code("alice")
    person.code(g.code_for("alice"))
    person.granted()
