"""The policies for SELinux and AppArmor, as far as they can be checked without a kernel that has them."""

import shutil
from pathlib import Path

from ground import SOCKET, check, equal, run, scenario, write

LABEL = "system_u:object_r:otpd_run_t:s0"


@scenario
def the_selinux_module_compiles(g):
    """Against the reference policy, into a package whose labels are those of our paths."""
    shutil.copytree("/packaging/selinux", "/tmp/selinux")
    make = ["make", "-C", "/tmp/selinux", "-f", "/usr/share/selinux/devel/Makefile"]
    run(*make, "otpd.pp", timeout=120)
    check(Path("/tmp/selinux/otpd.pp").stat().st_size > 1000, "there is no module")
    run("semodule_unpackage", "/tmp/selinux/otpd.pp", "/tmp/otpd.mod", "/tmp/otpd.fc")
    rows = [line.split() for line in open("/tmp/otpd.fc") if line.startswith("/")]
    labels = {row[0]: row[-1] for row in rows}
    check(len(rows) == len(labels), f"two labels for one path:\n{rows}")
    run("sefcontext_compile", "-o", "/tmp/otpd.fc.bin", "/tmp/otpd.fc")
    # As RHEL maps names, as newer Fedora does, and not at all.
    for number, mapped in enumerate(["/run /var/run\n", "/var/run /run\n", ""]):
        contexts = f"/tmp/contexts{number}"
        shutil.copy("/tmp/otpd.fc", contexts)
        write(f"{contexts}.subs_dist", mapped)
        for path, kind in [("/run/otpd", "dir"), (SOCKET, "socket"), (f"/var{SOCKET}", "socket")]:
            said = run("selabel_lookup", "-b", "file", "-f", contexts, "-k", path, "-t", kind).out
            check(f"{LABEL}\n" in said, f"with {mapped!r} {path} has the label:\n{said}")
    # What is marked so, systemd may make below /run.
    rules = Path("/tmp/selinux/tmp/otpd.tmp").read_text()
    check("typeattribute otpd_run_t pidfile;" in rules, "the type is not marked as one of what lies below /run")

    # A rule that names a type that there is not is found, so this test can fail.
    broken = Path("/tmp/selinux/otpd.te").read_text() + "\nallow otpd_t no_such_type_t:file read;\n"
    write("/tmp/selinux/otpd.te", broken)
    check(run(*make, "otpd.pp", timeout=120, check_status=None).status != 0, "it compiles whatever it says")


@scenario
def the_apparmor_profiles_parse(g):
    """The daemon's profile, and what a confined program includes to ask for codes."""
    # Against the features of a kernel that has it, which this one has not.
    features = ["--features-file", "/etc/apparmor.d/abi/3.0"]
    parse = ["apparmor_parser", "--skip-kernel-load", "--skip-read-cache", "--skip-cache", *features, "--Werror"]
    shutil.copy("/packaging/apparmor/otpd-client", "/etc/apparmor.d/abstractions/otpd-client")
    run(*parse, "/packaging/apparmor/usr.sbin.otpd")
    client = "abi <abi/3.0>,\ninclude <tunables/global>\nprofile some /usr/sbin/some {\n  include <abstractions/%s>\n}\n"
    write("/tmp/client", client % "otpd-client")
    run(*parse, "/tmp/client")
    write("/tmp/client", client % "there-is-none")
    check(run(*parse, "/tmp/client", check_status=None).status != 0, "it parses whatever it says")
