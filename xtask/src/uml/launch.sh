# Becomes linux.uml. Run by uml.rs as the leader of a process group, with
# stdin    a pipe whose other end only xtask holds
# stdout   where the guest command's stdout shall go, and stderr likewise
# $1       the job directory
# $2...    the kernel and its arguments
job=$1
shift

# UML's processes outlive a killed UML, and xtask may be killed itself. So the
# end of the pipe, however it comes about, ends the whole group.
exec 3<&0 </dev/null
(
    read -r _ <&3
    rm -rf "$job"
    kill -KILL 0
) >/dev/null 2>&1 &
exec 3<&-

# UML makes the descriptors it is given non-blocking: these are pipes of our own.
exec 8>&1 9>&2 >"$job/console" 2>&1
export LD_PRELOAD="$job/xstate.so"
exec "$@"
