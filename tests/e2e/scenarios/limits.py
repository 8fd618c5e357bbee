"""What limits messages and codes beyond one account: known sources, and the whole site."""

import re

from ground import check, equal, otpctl_json, scenario


def limits(user):
    """The names of the limits that hold for a user, as otpctl shows them."""
    return [limit["name"] for limit in otpctl_json("show", user)["limits"]]


def unanswered(g, user, count):
    """So many logins that get a code and are given up."""
    for _ in range(count):
        person = g.ssh(user, rounds=1)
        g.code_for(user)
        person.code("q")
        person.denied()


@scenario
def a_known_source_has_three_messages_more(g):
    """Where somebody logged in before, three more messages go out than anywhere else."""
    g.key_and_code("alice")
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()
    unanswered(g, "alice", 8)
    person = g.ssh("alice", rounds=1)
    person.denied()
    check("Limit unanswered-per-hour, since " in person.transcript, f"the refusal is {person.transcript!r}")
    equal(limits("alice"), ["unanswered-per-hour"], "the limits")


@scenario
def a_shared_source_is_known_for_nobody(g):
    """From a bastion everybody has the five messages of a stranger, whoever logged in from it."""
    g.key_and_code("alice", changes={"limits": {"shared-sources": ["127.0.0.0/8", "::1"]}})
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()
    unanswered(g, "alice", 5)
    person = g.ssh("alice", rounds=1)
    person.denied()
    check("Limit unanswered-per-hour, since " in person.transcript, f"the refusal is {person.transcript!r}")


@scenario
def the_sites_cap_on_messages(g):
    """A hard cap holds for everybody, and both the prompt and otpctl say which it is and until when."""
    # Two messages prove the numbers.
    g.key_and_code("alice", "bob", changes={"limits": {"max-messages-per-day": 4}})
    person = g.ssh("alice")
    person.code(g.code_for("alice"))
    person.granted()
    late = g.ssh("bob", rounds=1)
    code = g.code_for("bob")
    late.expect("Code: ")
    person = g.ssh("alice", rounds=1)
    person.denied()
    check(
        re.search(
            r"No more messages can be sent until \d\d:\d\d on \d+ \w+ \(in 2[45] hours\)\.\n"
            r"Limit max-messages-per-day, since \d\d:\d\d(?: on \d+ \w+)?\.\nRequest id ",
            person.transcript,
        ),
        f"the refusal is {person.transcript!r}",
    )
    equal((limits("alice"), limits("bob")), (["max-messages-per-day"],) * 2, "the limits")
    equal(g.wait_audit("login-denied", "alice")["reason"], "max-messages-per-day", "what was recorded")
    late.type(code)
    late.granted()
    g.phone.expect_count(4)
