# What StateDirectory= makes, where no systemd does.
[ -d /var/lib/otpd ] || install -d -m 0700 -o otpd -g otpd /var/lib/otpd
if [ "$1" = 1 ]; then
	# From here on owners and modes are the administrator's.
	chgrp otpd /etc/otpd
	chmod 0750 /etc/otpd
	# Never over a key, and never a new one beside a database that needs another.
	if [ ! -e /etc/otpd/otpd.key ] && [ ! -e /var/lib/otpd/otpd.db ]; then
		otpd --make-key || echo "otpd: without a key it refuses every login"
	fi
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if [ "$1" = 1 ]; then systemctl --no-reload preset otpd.socket otpd.service || :; fi
	# The socket stays open: a login that comes meanwhile waits in it, and whoever is at a prompt goes
	# on with the new daemon.
	if [ "$1" -gt 1 ] && systemctl is-active --quiet otpd.service; then
		# Unless the new one would refuse every login where the one that runs does not.
		if why=$(otpd --check 2>&1 >/dev/null); then
			systemctl try-restart otpd.service || :
		else
			echo "$why" >&2
			echo "otpd: the otpd of before goes on, since this one could not work. Mend that, then: systemctl restart otpd" >&2
		fi
	fi
fi
:
