# The group that may read the configuration has to be there before the file is. The same as
# packaging/systemd/otpd.sysusers, which is not on the disk yet.
systemd-sysusers --replace=/usr/lib/sysusers.d/otpd.conf - <<'END'
u otpd - "One-time codes for logins" /var/lib/otpd /usr/sbin/nologin
g otpd-admin -
END
