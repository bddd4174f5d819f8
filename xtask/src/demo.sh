# The demonstration, run in the guest. $1 is the folder to serve.
www=$1
# What cli says and what this says shall come in one order.
exec 2>&1
here=/run/demo
mkdir "$here" && cd "$here" || exit 1
equal=0

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
    echo "== HTTP over $proto, from $(uname -sr) =="
    echo "\$ cli serve $www --driver mio --proto $proto &"
    cli serve "$www" --driver mio --proto "$proto" >access.log 2>serve.log &
    server=$!
    wait_for_server
    cat serve.log
    for name in index.html cat.png video.mp4; do
        target=/$name
        [ "$name" != index.html ] || target=/
        show cli get --proto "$proto" "$target" || exit
        if ! cmp "$www/$name" "$name"; then
            echo "$name arrived, but it differs"
            exit 1
        fi
        echo "$name: $(wc -c <"$name") bytes, each equal to the server's"
        equal=$((equal + 1))
        rm "$name"
    done
    echo "The server's access log:"
    sed 's/^/    /' access.log
    kill "$server"
    wait "$server" 2>/dev/null
done

echo
echo "$equal of 6 files arrived byte for byte."
