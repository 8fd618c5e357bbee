if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
if [ "$1" = 0 ] && [ -e /etc/otpd/otpd.key ]; then
	echo "otpd: the key /etc/otpd/otpd.key and the database /var/lib/otpd are left; each is worth nothing without the other"
fi
:
