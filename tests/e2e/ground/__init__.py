"""The test ground: a machine of its own for every end-to-end scenario, and what happens on it.

A scenario is a function `def name(g)` under `scenarios/`, marked with `@scenario`; `g` is a `Ground`.
"""

from .carrier import Carrier
from .clients import PacketLogin, Ssh, Terminal, by_prompt, packet_login, ssh_options
from .machine import PASSWORD_ONLY, Sshd, key_and_code, pam, password_and_code, wait_port, write
from .otpd import CONFIG, SOCKET, Frames, Otpd, otpctl, otpctl_json, settings, toml
from .phone import OK, Phone, Reply, Text, cut, held, refuse, wrong
from .process import Process, Result, run
from .scenario import Ground, scenario
from .waiting import AT_ONCE, PATIENCE, Failure, Inbox, check, equal, together, until

__all__ = [name for name in dir() if not name.startswith("_")]
