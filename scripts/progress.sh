# Sourced by the other scripts: talk on stderr, and a long command shown as one living line.
# shellcheck shell=bash disable=SC2034

cache=${TIDEMILL_CACHE:-$HOME/.cache/tidemill}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# with_progress TEXT COMMAND… runs COMMAND with its output in a log file. On a terminal the line shows the seconds and the
# command's newest line; elsewhere a line is printed every 15 s. If COMMAND fails, the end of its log is shown.
with_progress() {
  local text=$1 log started=$SECONDS shown=0 rc=0 last pid
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # Bash starts background commands deaf to Ctrl-C; pass it on.
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  [ -t 2 ] || say "$text"
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    last=$(tail -c 300 "$log" | LC_ALL=C tr '\r' '\n' | LC_ALL=C tr -cd '\n -~' | grep -v '^ *$' | tail -n 1 | cut -c1-70) || true
    if [ -t 2 ]; then
      printf '\r\033[K%s: %s  %d s  %s' "${0##*/}" "$text" $((SECONDS - started)) "$last" >&2
    elif [ $((SECONDS - started - shown)) -ge 15 ]; then
      shown=$((SECONDS - started))
      say "$text  $shown s  $last"
    fi
  done
  wait "$pid" || rc=$?
  trap - INT TERM
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ $rc = 0 ]; then
    say "$text: done in $((SECONDS - started)) s"
  else
    tail -n 30 "$log" >&2
    say "$text: failed with exit code $rc; the lines above are the end of $log"
    return $rc
  fi
  rm -f "$log"
}

# locked FILE COMMAND…: one process at a time, so that two runs do not fill the cache at once.
locked() {
  local file=$1
  shift
  mkdir -p "${file%/*}"
  (
    flock 9
    "$@"
  ) 9>"$file"
}
