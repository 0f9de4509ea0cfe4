# Outlives the process that started it: ends its server and removes its folder, whatever killed it.
# Standard input is a pipe whose only writer is that process, so its end is the end of that process.
# Lines in: "SIGNAL GROUP" (the process group to end, and how), "none", "staging PATH" (a folder
# half written). SIGNAL 0 waits: the process ends by itself, soon. A signal to the terminal's or the shell's group must not end this script first,
# nor PIPE, when that process is killed before it reads the answer.
trap '' HUP INT QUIT TERM PIPE
umask 077
mkdir "$RUN" || exit 1
echo made

group= staging=
while read -r word rest; do
    case $word in
        none) group= ;;
        staging) staging=$rest ;;
        *) signal=$word group=$rest ;;
    esac
done

if [ -n "$group" ]; then
    # Stopped processes receive nothing but KILL: wake them first.
    frozen=$(cat "$RUN/frozen" 2>/dev/null) && kill -s CONT $frozen 2>/dev/null
    kill -s "$signal" -- "-$group" 2>/dev/null
    # 30 s for a durable server's last checkpoint. Where nobody reaps orphans the leader stays as a
    # zombie for ever: ended, for us. (Only Linux has /proc; elsewhere the first process reaps.)
    turn=0
    while kill -s 0 -- "-$group" 2>/dev/null; do
        read -r stat 2>/dev/null <"/proc/$group/stat" && case ${stat##*)} in " Z "*) break ;; esac
        turn=$((turn + 1))
        [ $turn -gt 1500 ] && kill -s KILL -- "-$group" && break
        sleep 0.02
    done
fi

# Again and again, because what was killed a moment ago may just have made one more file.
turn=0
while rm -rf "$RUN" ${staging:+"$staging"} 2>/dev/null; [ -e "$RUN" ] && [ $turn -lt 100 ]; do
    turn=$((turn + 1))
    sleep 0.02
done
