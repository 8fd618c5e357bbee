if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
if [ "$1" = 0 ]; then
	# Nobody listens on it any more.
	rm -f /run/otpd/otpd.sock
	rmdir /run/otpd 2>/dev/null || :
	# The configuration that was filled in is otpd.toml.rpmsave by now; what otpctl keeps are copies of PAM
	# stacks that it changed.
	left=
	for path in /etc/otpd/* /var/lib/otpd /var/lib/otpctl /etc/pam.d/.*.otpctl-before /etc/pam.d/.*.otpctl-found \
		/etc/systemd/system/otpctl-trial.service; do
		if [ -e "$path" ] || [ -L "$path" ]; then left="$left $path"; fi
	done
	if [ -n "$left" ]; then
		echo "otpd: these are left:$left"
		echo "otpd: the database in /var/lib/otpd and its key are each worth nothing without the other"
	fi
fi
:
