#!/bin/sh
# A private certificate authority for one Distillery: makes and revokes the certificates of the
# server, of workers and of people. Needs openssl alone. Packages call it distill-ca. See docs/security.md.
set -eu
program=$(basename "$0")

usage() {
  cat <<USAGE
usage: $program [--dir DIR] [--days N] COMMAND

  init                       make the authority: DIR/ca.pem, and DIR/ca.key, which never leaves here
  server HOST [HOST...]      certificate of the server, for these host names and addresses
  worker NAME                certificate of the worker NAME (and of NAME.anything)
  user NAME ROLE[@PROJECT]...
                             certificate of a person; ROLE: viewer, editor or admin; without a
                             project it holds for all
  revoke FILE.pem            revoke a certificate; the list goes to DIR/revoked/ for --tls-revoked-dir
  list                       every certificate: V valid, E expired, R revoked

  --dir DIR                  folder of the authority (default ./distill-ca)
  --days N                   how long certificates hold (default 365; init: 3650)
  --from DATE, --until DATE  instead of --days, as YYYYMMDDHHMMSSZ
USAGE
}

fail() {
  echo "$program: $*" >&2
  exit 1
}

dir=./distill-ca
days=
from=
until=
while [ $# -gt 0 ]; do
  case $1 in
    --dir) dir=$2; shift 2 ;;
    --days) days=$2; shift 2 ;;
    --from) from=$2; shift 2 ;;
    --until) until=$2; shift 2 ;;
    -h|--help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
umask 077

# Names become parts of URIs, file names and ids.
check_name() {
  case $1 in
    ''|.|..|*[!A-Za-z0-9._-]*) fail "name: got \"$1\", want 1 to 128 of [A-Za-z0-9._-]" ;;
  esac
  [ ${#1} -le 128 ] || fail "name: got ${#1} characters, want at most 128"
}

write_config() {
  cat > "$dir/ca.cnf" <<CONFIG
[ca]
default_ca = distill
[distill]
dir = $dir
database = $dir/index.txt
new_certs_dir = $dir/issued
serial = $dir/serial
crlnumber = $dir/crlnumber
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_crl_days = 3650
policy = any
unique_subject = no
[any]
commonName = supplied
CONFIG
}

# issue NAME COMMON_NAME USAGE ALT_NAMES: leaves DIR/NAME.pem and DIR/NAME.key.
issue() {
  [ -f "$dir/ca.key" ] || fail "$dir holds no authority; run: $program --dir $dir init"
  [ ! -e "$dir/$1.key" ] || mv "$dir/$1.key" "$dir/$1.key.old"
  write_config
  cat > "$dir/extensions.cnf" <<EXTENSIONS
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $3
subjectAltName = $4
authorityKeyIdentifier = keyid
EXTENSIONS
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key.new" \
    -out "$dir/request.pem" -subj "/CN=$2" 2>/dev/null || fail "openssl cannot make a key"
  if [ -n "$until" ]; then
    set -- "$1" -startdate "${from:-$(date -u +%Y%m%d%H%M%SZ)}" -enddate "$until"
  else
    set -- "$1" -days "${days:-365}"
  fi
  name=$1
  shift
  openssl ca -config "$dir/ca.cnf" -batch -notext -in "$dir/request.pem" \
    -out "$dir/$name.pem.new" -extfile "$dir/extensions.cnf" "$@" 2> "$dir/openssl.log" ||
    fail "openssl cannot sign: $(tail -n 1 "$dir/openssl.log")"
  # The key first: a server that looks between the two finds the old pair or the new one soon.
  mv "$dir/$name.key.new" "$dir/$name.key"
  mv "$dir/$name.pem.new" "$dir/$name.pem"
  chmod 644 "$dir/$name.pem"
  rm -f "$dir/request.pem" "$dir/extensions.cnf" "$dir/openssl.log" "$dir/$name.key.old"
  echo "$dir/$name.pem $dir/$name.key"
}

case $command in
  init)
    [ ! -e "$dir/ca.key" ] || fail "$dir holds an authority already"
    mkdir -p "$dir/issued" "$dir/revoked"
    chmod 755 "$dir" "$dir/revoked"
    : > "$dir/index.txt"
    openssl rand -hex 8 > "$dir/serial"
    echo 01 > "$dir/crlnumber"
    write_config
    openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -keyout "$dir/ca.key" -out "$dir/ca.pem" -days "${days:-3650}" \
      -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
      -subj "/CN=Distillery authority" 2>/dev/null || fail "openssl cannot make the authority"
    chmod 644 "$dir/ca.pem"
    echo "$dir/ca.pem"
    ;;
  server)
    [ $# -gt 0 ] || fail "server: want at least one host name or address"
    names=
    for host; do
      case $host in
        *[!A-Za-z0-9.:*-]*|'') fail "server: got \"$host\", want a host name or an address" ;;
      esac
      case $host in
        *:*) kind=IP ;;
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
      esac
      names="$names${names:+,}$kind:$host"
    done
    issue server "$1" serverAuth "$names"
    ;;
  worker)
    [ $# -eq 1 ] || fail "worker: want one name"
    check_name "$1"
    issue "worker-$1" "$1" clientAuth "URI:distill://worker/$1"
    ;;
  user)
    [ $# -ge 2 ] || fail "user: want a name and at least one role, such as editor@vision"
    name=$1
    check_name "$name"
    shift
    names="URI:distill://user/$name"
    for grant; do
      role=${grant%%@*}
      project='*'
      case $grant in *@*) project=${grant#*@}; check_name "$project" ;; esac
      case $role in
        viewer|editor|admin) ;;
        *) fail "role: got \"$role\", want viewer, editor or admin" ;;
      esac
      names="$names,URI:distill://role/$project/$role"
    done
    issue "user-$name" "$name" clientAuth "$names"
    ;;
  revoke)
    [ $# -eq 1 ] || fail "revoke: want the certificate's file"
    [ -f "$1" ] || fail "revoke: there is no file $1"
    write_config
    openssl ca -config "$dir/ca.cnf" -revoke "$1" 2> "$dir/openssl.log" ||
      fail "openssl cannot revoke: $(tail -n 1 "$dir/openssl.log")"
    openssl ca -config "$dir/ca.cnf" -gencrl -out "$dir/revoked/list.pem.new" 2>/dev/null
    # The name under which TLS libraries look the list of this authority up.
    hash=$(openssl crl -noout -hash -in "$dir/revoked/list.pem.new")
    mv "$dir/revoked/list.pem.new" "$dir/revoked/$hash.r0"
    chmod 644 "$dir/revoked/$hash.r0"
    rm -f "$dir/openssl.log"
    echo "$dir/revoked/$hash.r0"
    ;;
  list)
    cat "$dir/index.txt"
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
