# The demonstration. $1 is the folder to serve, $2 what SCTP and DCCP travel in.
www=$1
via=$2
# What cli says and what this says shall come in one order.
exec 2>&1
here=$(mktemp -d "${TMPDIR:-/tmp}/http-over-messages.XXXXXX") && cd "$here" || exit 1
equal=0
server=
trap '[ -z "$server" ] || kill "$server"' EXIT

# Shows a command as one would type it, and runs it.
show() {
    echo "\$ $*"
    "$@"
}

wait_for_server() {
    for _ in $(seq 100); do
        grep -q 'listening on' serve.log && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    echo "the server does not start:"
    cat serve.log
    exit 1
}

for proto in sctp dccp; do
    echo
    case $via in
        udp) echo "== HTTP over $proto in UDP, both ends in user space ==" ;;
        *) echo "== HTTP over $proto, from $(uname -sr) ==" ;;
    esac
    # Free ports, so that nothing that runs here is in the way.
    ports='--port 0'
    [ "$via" != udp ] || ports='--port 0 --udp-port 0'
    echo "\$ cli serve --driver mio --proto $proto --via $via $ports $www &"
    # shellcheck disable=SC2086
    cli serve --driver mio --proto "$proto" --via "$via" $ports "$www" >access.log 2>serve.log &
    server=$!
    wait_for_server
    cat serve.log
    port=$(sed -n 's/^listening on [^ ]* 127\.0\.0\.1:\([0-9]*\).*/\1/p' serve.log)
    udp_port=$(sed -n 's/^listening on .*(udp port \([0-9]*\)).*/\1/p' serve.log)
    carrier="--via $via"
    [ -z "$udp_port" ] || carrier="--via $via --udp-port $udp_port"
    for name in index.html cat.png video.mp4; do
        target=/$name sight=
        # The page is small enough to look at each packet.
        if [ "$name" = index.html ]; then
            target=/ sight=--ladder
            # The kernel's packets cannot be seen from here.
            [ "$via" = kernel ] || sight="--ladder --pcap page-$proto.pcapng"
        fi
        # shellcheck disable=SC2086
        show cli get --proto "$proto" $carrier $sight -o "$proto-$name" "127.0.0.1:$port$target" || exit
        if ! cmp "$www/$name" "$proto-$name"; then
            echo "$name arrived, but it differs"
            exit 1
        fi
        echo "$name: $(wc -c <"$proto-$name") bytes, each equal to the server's"
        echo
        equal=$((equal + 1))
    done
    echo "The server's access log:"
    sed 's/^/    /' access.log
    kill "$server"
    wait "$server" 2>/dev/null
    server=
done

rm -f access.log serve.log
echo
echo "$equal of 6 files arrived byte for byte. They are in $here."
echo "Open the page with:    xdg-open $here/sctp-index.html"
[ "$via" = kernel ] || echo "Look at packets with:  wireshark $here/page-sctp.pcapng"
