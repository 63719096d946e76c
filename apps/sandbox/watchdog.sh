# Stops PostgreSQL when the process that started it is gone, however it went.
#
# Standard input is a pipe whose other end only that process holds. It says the process id first,
# then nothing; "done" when PostgreSQL has ended. The pipe closing without a "done" means that the
# starter died (SIGKILL, out of memory), so PostgreSQL is told to stop: politely, then firmly.
# A shell and not Node, since it waits for as long as Perdiem runs: 1 MB, not 40.
# It has a process group of its own, so Ctrl-C does not reach it.
read -r pid || exit 0
read -r word && [ "$word" = done ] && exit 0

# True while it runs. One that has ended but is not reaped (a container without an init) has ended.
running() {
  kill -0 "$pid" 2>/dev/null || return 1
  { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 0
  case "${stat##*) }" in Z*) return 1 ;; esac
}

# wait_for SECONDS: true as soon as the process is gone.
wait_for() {
  left=$(($1 * 5))
  while running; do
    [ "$left" -le 0 ] && return 1
    left=$((left - 1))
    sleep 0.2
  done
}

kill -INT "$pid" 2>/dev/null
wait_for 15 && exit 0
kill -QUIT "$pid" 2>/dev/null
wait_for 5 && exit 0
kill -KILL "$pid" 2>/dev/null
