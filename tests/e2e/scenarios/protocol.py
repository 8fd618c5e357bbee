"""The socket: the reference Varlink client of Python, and what the daemon accepts against its descriptions."""

import json
import pathlib
import time

import varlink
from varlink import scanner

from ground import SOCKET, Failure, check, equal, run, scenario

ADDRESS = f"unix:{SOCKET}"
INTERFACES = ("org.otpd.Login", "org.otpd.Admin")
SERVICE = "org.varlink.service"


def fails(error, call, *args, **more):
    """The call fails with this error; its parameters."""
    try:
        found = call(*args, **more)
    except varlink.VarlinkError as raised:
        equal(raised.error(), error, f"the error of {args} {more}")
        return raised.parameters()
    raise Failure(f"expected {error}, found {found!r}")


@scenario
def the_python_client(g):
    """The reference client introspects the daemon, and enrolls and logs in through it."""
    g.start_otpd()
    g.user("alice")
    with varlink.Client.new_with_address(ADDRESS) as client:
        with client.open(SERVICE) as service:
            info = service.GetInfo()
            equal(set(info["interfaces"]), {SERVICE, *INTERFACES}, "the interfaces")
            check(info["product"] == "otpd" and info["version"], f"the info is {info}")
            for name in (SERVICE, *INTERFACES):
                described = service.GetInterfaceDescription(name)["description"]
                if name != SERVICE:
                    equal(described, pathlib.Path(f"/varlink/{name}.varlink").read_text(), f"description of {name}")
            fails(f"{SERVICE}.InterfaceNotFound", service.GetInterfaceDescription, "org.example.None")
        with client.open("org.otpd.Admin") as admin:
            enrolled = admin.Enroll("alice", g.number("alice"), None, False)
            equal(enrolled["subscriber"]["state"], "pending", "the state")
            wrong_code = fails("org.otpd.Admin.NoSuchUser", admin.Show, "nobody-here")
            equal(wrong_code, {"user": "nobody-here"}, "the error's parameters")
            admin.Verify("alice", g.code_for("alice"))
            rows = [row.get("subscriber") for row in admin.List(_more=True)]
            equal([row and row["user"] for row in rows], ["alice", None], "the list")
            equal(admin.Status()["active"], 1, "the active accounts")
        with client.open("org.otpd.Login") as login:
            begun = login.Begin("alice", "sshd", "192.0.2.7", "ssh", None, "192.0.2.7 1 192.0.2.1 22 9", ["publickey"])
            check(begun["step"]["prompt"]["text"].endswith("Code: "), f"the step is {begun}")
            step = login.Answer(begun["challenge"], g.code_for("alice"))["step"]
            equal((step["verdict"], step.get("prompt")), ("granted", None), "the last step")
            fails("org.otpd.Login.UnknownChallenge", login.Answer, "0" * 32, "123456")
            begun = login.Begin("alice", "su", None, None, None, None, [])
            login.Cancel(begun["challenge"], _oneway=True)
    equal(g.wait_audit("challenge-ended", "alice")["how"], "cancelled", "how the second login ended")
    g.phone.expect_count(3)


def value(kind):
    """A value of this type of the description."""
    if isinstance(kind, scanner._Maybe):
        return None
    if isinstance(kind, scanner._Array):
        return []
    if isinstance(kind, scanner._Enum):
        return next(iter(kind.fields))
    return {bool: False, int: 1, str: "x"}[type(kind)]  # the parser gives a value of the type


def methods():
    """Every method of the descriptions, with its parameters: (full name, {name: type})."""
    for name in INTERFACES:
        parsed = scanner.Interface(pathlib.Path(f"/varlink/{name}.varlink").read_text())
        for member in parsed.members.values():
            if isinstance(member, scanner._Method):
                yield f"{name}.{member.name}", dict(member.in_type.fields)


@scenario
def descriptions_and_daemon_agree(g):
    """Each method takes exactly the declared parameters; the rest is refused, each by its own error."""
    g.start_otpd()
    known = dict(methods())
    check(len(known) == 31, f"found {len(known)} methods: {sorted(known)}")

    def call(method, parameters):
        frames = g.frames()
        reply = frames.call(method, parameters, more=method.endswith((".List", ".Bypasses", ".Hosts")))
        frames.close()
        return reply

    refused = f"{SERVICE}.InvalidParameter"
    for method, declared in known.items():
        whole = {name: value(kind) for name, kind in declared.items()}
        check(call(method, whole).get("error") != refused, f"{method}({whole}) is refused")
        reply = call(method, {**whole, "surplus": 1})
        equal(reply.get("error"), refused, f"{method} with a surplus parameter")
        check("surplus" in json.dumps(reply["parameters"]), f"{method} does not name it: {reply}")
        for name, kind in declared.items():
            rest = {key: found for key, found in whole.items() if key != name}
            error = call(method, rest).get("error")
            if isinstance(kind, scanner._Maybe):
                check(error != refused, f"{method} without the nullable {name} is refused")
            else:
                equal(error, refused, f"{method} without {name}")
                equal(call(method, {**whole, name: None}).get("error"), refused, f"{method} with null for {name}")
            inner = kind.element_type if isinstance(kind, scanner._Maybe) else kind
            other = "x" if type(inner) is int else 7
            equal(call(method, {**whole, name: other}).get("error"), refused, f"{method} with {other!r} for {name}")

    for name in (SERVICE, *INTERFACES):
        for method in ("Nothing", "begin", ""):
            reply = call(f"{name}.{method}", {})
            equal(reply.get("error"), f"{SERVICE}.MethodNotFound", f"{name}.{method}")
    equal(call("org.example.Some.Method", {}).get("error"), f"{SERVICE}.InterfaceNotFound", "an unknown interface")
    # A list without `more` could not be answered.
    equal(g.frames().call("org.otpd.Admin.List").get("error"), f"{SERVICE}.ExpectedMore", "List without more")
    g.phone.expect_count(0)


@scenario
def bad_frames(g):
    """What is no call gets an error or a closed connection, and the daemon stays up for everybody else."""
    g.start_otpd()
    refused = f"{SERVICE}.InvalidParameter"
    calls = ('{"method":1}', '{"method":"a.B","surplus":1}', '{"method":"a.B","upgrade":true}')
    for text in ("", "x", "[]", "{}", *calls):
        frames = g.frames()
        frames.send_bytes(text.encode() + b"\0")
        equal((frames.receive() or {}).get("error"), refused, f"the answer to {text!r}")
        # The connection goes on: the frame had an end.
        check("parameters" in frames.call(f"{SERVICE}.GetInfo"), f"the connection is lost after {text!r}")
    frames = g.frames()
    frames.send_bytes(b"\xff\xfe\0")
    equal(frames.receive().get("error"), refused, "the answer to what is no UTF-8")

    long = g.frames()
    try:
        long.send_bytes(b'{"method":"' + b"x" * 70000)
    except OSError:
        pass  # closed before it was all written
    answer = long.receive()
    check(answer is None or answer["error"] == refused, f"the answer to a frame without end: {answer}")
    check(long.receive() is None, "a frame without end leaves the connection open")

    # Two at once: answered one after another, in order.
    frames = g.frames()
    call = json.dumps({"method": f"{SERVICE}.GetInfo"}).encode() + b"\0"
    frames.send_bytes(call + b'{"method":"no.Thing"}\0' + call)
    kinds = [frames.receive().get("error") for _ in range(3)]
    equal(kinds, [None, f"{SERVICE}.InterfaceNotFound", None], "the answers in order")
    equal(run("otpctl", "status").status, 0, "status afterwards")


@scenario
def many_connections(g):
    """One user's many connections are closed at once, and leave room for root's."""
    g.start_otpd()
    g.user("alice")
    program = (
        "import sys; sys.path.insert(0, '/ground')\n"
        "from ground import Frames\n"
        "open_ones = [Frames() for _ in range(40)]\n"
        "answers = []\n"
        "for one in open_ones:\n"
        "    try:\n"
        "        answers.append(one.call('org.varlink.service.GetInfo') is not None)\n"
        "    except OSError:\n"
        "        answers.append(False)\n"
        "print(sum(answers))"
    )
    equal(run("python3", "-c", program, user="alice").out, "8\n", "connections of one user that were served")
    roots = [g.frames() for _ in range(200)]
    equal(sum("parameters" in one.call(f"{SERVICE}.GetInfo") for one in roots), 200, "root's that were served")


@scenario
def a_silent_connection(g):
    """A connection that says nothing, or not all of it, is closed by its deadline."""
    g.start_otpd()
    silent, half = g.frames(), g.frames()
    silent.socket.settimeout(60)
    half.socket.settimeout(60)
    half.send_bytes(b'{"method":')
    began = time.monotonic()
    equal(silent.receive(), None, "the answer to nothing")
    took = time.monotonic() - began
    check(8 < took < 30, f"closed after {took:.1f} s")
    try:
        answer = half.receive()
    except Failure:
        answer = None
    equal(answer, None, "the answer to half a frame")
    check(time.monotonic() - began < 40, "half a frame holds the connection")
