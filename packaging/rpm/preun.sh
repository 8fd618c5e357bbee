# A stack that names a module that is not there lets nobody in: as long as there is one, it stays.
if [ "$1" = 0 ]; then
	# A trial's end would put a stack back that needs the module, and otpctl ends it.
	for trial in /var/lib/otpctl/trials/*.json; do
		[ -e "$trial" ] || continue
		service=$(basename "$trial" .json)
		echo "otpd: /etc/pam.d/$service is on trial: otpctl pam confirm $service, or otpctl pam revert $service," >&2
		echo "otpd: and remove the package again" >&2
		exit 1
	done
	# Files of PAM but for copies that nobody reads, and those elsewhere that they include.
	left=$(for file in /etc/pam.conf /etc/pam.d/* /usr/lib/pam.d/*; do
		case $file in *~ | *.bak | *.old | *.orig | *.rpmsave | *.rpmnew | *.rpmorig | *.otpd-*) continue ;; esac
		[ -f "$file" ] || continue
		echo "$file"
		sed -nE 's/^[^#]*(@include|include|substack)[[:space:]]+(\/[^[:space:]#]+).*/\2/p' "$file"
	done | sort -u | while read -r file; do
		if [ -f "$file" ] && grep -q '^[^#]*pam_otp\.so' "$file"; then printf ' %s' "$file"; fi
	done)
	if [ -n "$left" ]; then
		echo "otpd: pam_otp.so is still in:$left" >&2
		echo "otpd: nobody could log in by these without it, so it stays. Take its lines out, try a login," >&2
		echo "otpd: and remove the package again." >&2
		exit 1
	fi
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now otpd.socket otpd.service || :
	fi
fi
:
