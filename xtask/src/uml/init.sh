#!/bin/sh
# Process 1 of the guest: sets up what a Linux needs, runs JOB/command, powers off.
# The kernel passes umljob=DIR, umlrun=SIZE and, with a tap, umlnet=ADDRESS/PREFIX,... from its
# command line in our environment.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

power_off() {
    sync
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
}

fail() {
    echo "$*" >"$umljob/failed"
    power_off
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
# The host's /run and /dev/shm belong to the host's processes.
mount -t tmpfs -o "mode=755,size=$umlrun" tmpfs /run || fail "cannot mount /run"
mkdir -p /dev/shm /dev/pts /run/lock
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr
hostname uml 2>/dev/null || echo uml >/proc/sys/kernel/hostname

# Debian keeps the modules outside /lib/modules. The kernel asks for modules by
# itself too (tc does): it shall find them in the same place.
release=$(uname -r)
mkdir -p /run/uml/lib/modules
ln -s "/usr/lib/uml/modules/$release" "/run/uml/lib/modules/$release"
cat >/run/uml/modprobe <<'MODPROBE'
#!/bin/sh
exec modprobe -d /run/uml "$@"
MODPROBE
chmod +x /run/uml/modprobe
echo /run/uml/modprobe >/proc/sys/kernel/modprobe
for module in sctp sctp_diag dccp_ipv4 dccp_ipv6 dccp_diag sch_netem; do
    /run/uml/modprobe "$module" || fail "cannot load module $module"
done
ip link set lo up || fail "no loopback interface"
if [ -n "${umlnet:-}" ]; then
    for address in $(echo "$umlnet" | tr , ' '); do
        # An IPv6 address is good at once if nobody is asked whether it is taken.
        case $address in *:*) nodad=nodad ;; *) nodad= ;; esac
        ip address add "$address" dev vec0 $nodad || fail "no address $address on vec0"
    done
    ip link set vec0 up || fail "vec0 stays down"
fi

# Serial line 0 is the command's stdout, line 1 its stderr. It gets pipes, so
# that it sees no terminal and no carriage returns.
for line in 0 1; do stty -F /dev/ttyS$line raw -echo || fail "no serial line $line"; done
mkfifo /run/uml/out /run/uml/err
cat /run/uml/out >/dev/ttyS0 &
out=$!
cat /run/uml/err >/dev/ttyS1 &
err=$!
env -i setsid sh "$umljob/command" </dev/null >/run/uml/out 2>/run/uml/err
status=$?

# All output is out when both cats have ended: at once, unless the command left
# behind a process that still holds a pipe. That one ends with the guest.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 $out 2>/dev/null || kill -0 $err 2>/dev/null || break
    sleep 0.1
done
for line in 0 1; do stty -F /dev/ttyS$line -raw; done # returns when the line is drained
echo $status >"$umljob/status.new" && mv "$umljob/status.new" "$umljob/status"
power_off
