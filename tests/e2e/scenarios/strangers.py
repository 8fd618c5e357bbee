"""What somebody without the password can do to an account and find out about it: nothing, over a real sshd."""

import random
import socket
import statistics
import time

from ground import PATIENCE, SOCKET, Failure, check, equal, otpctl, otpctl_json, run, scenario, together, wrong

TRIES = 5  # a connection
STATES = ("not enrolled", "enrolled", "disabled", "locked")  # what each user is in turn


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


def audited(g):
    """How many records the daemon has written."""
    return len([event for event in g.otpd.events if event.get("target") == "audit"])


def enrolled():
    """Who is, with all that the daemon shows of them."""
    return {entry["user"]: otpctl_json("show", entry["user"]) for entry in otpctl_json("list")}


def become(g, user, state):
    """Brings a user into this state, from any."""
    if state == "not enrolled":
        if user in enrolled():
            otpctl("remove", user, "--yes")
        return
    if user not in enrolled():
        g.enroll(user)
    otpctl("unlock", user)
    otpctl("disable" if state == "disabled" else "enable", user)
    if state == "locked":
        lock(g, user)


def told_apart(g, users):
    """The states whose refusals take another time than those of the enrolled, and whether a longer one."""
    crowd = 4
    took = {state: [] for state in STATES}
    began = time.monotonic()
    for turn in range(len(STATES)):
        states = {user: STATES[(nth + turn) % len(STATES)] for nth, user in enumerate(users)}
        for user, state in states.items():
            become(g, user, state)
        before = enrolled()
        texts = len(g.phone.texts)
        events = audited(g)
        g.otpd.freeze()
        samples = together(*[lambda: attempts(g.rounds // len(STATES) // crowd, users)] * crowd)
        [waiting] = [line for line in run("ss", "-xlH").out.splitlines() if SOCKET in line]
        g.otpd.thaw()
        equal(waiting.split()[2], "0", "connections that wait for the daemon")
        equal(len(g.phone.texts), texts, "texts")
        equal(enrolled(), before, "what show says")
        equal(audited(g), events, "records of the daemon")
        for user, state in states.items():
            took[state] += [second for sample in samples for second in sample[user]]

    equal(sum(map(len, took.values())), g.rounds, "refusals")
    print(f"{g.rounds} logins with a wrong password, {crowd} at a time, in {time.monotonic() - began:.1f} s")
    told = set()
    for state, times in took.items():
        longer = chance(times, took["enrolled"])
        median = statistics.median(times) * 1000
        print(f"{state}: median {median:.2f} ms of {len(times)}; longer than who is enrolled in {longer:.0%}")
        if not 0.25 < longer < 0.75:
            told.add((state, "longer" if longer > 0.5 else "shorter"))
    return told


@scenario(alone=True, timeout=240, rounds=512, long_rounds=10_240)
def wrong_passwords(g):
    """However many wrong passwords: no text, no charge, and no way to tell who is enrolled or locked.

    The daemon stands still meanwhile: a login that asked it anything would not end. So whoever has no
    password measures sshd and pam_unix, and nothing of ours. Each of four users is measured in each state,
    since sshd delays every name by a time of its own (`user_specific_delay`).
    """
    # Who is locked by wrong codes has been sent four, in each measurement.
    limits = {"unanswered-per-hour": 40, "unanswered-per-day": 40}
    g.password_and_code(changes={"limits": limits}, sshd={"MaxStartups": "600", "MaxAuthTries": TRIES + 2})
    users = ("alice", "bob", "carol", "dan")
    for user in users:
        g.user(user)
    told = told_apart(g, users)
    # What slows one turn of a busy machine does not slow the same state three times.
    for _ in range(2):
        if told:
            told &= told_apart(g, users)
    equal(told, set(), "states told apart in three measurements, by longer or shorter refusals")

    [user] = [user for user, shown in enrolled().items() if shown["state"] == "active" and not shown["locked"]]
    person = g.ssh_to_code(user)
    person.code(g.code_for(user))
    person.granted()
