#!/bin/sh
# Makes the certificates of the tests, good for a hundred years: an authority that nobody trusts
# (authority.pem), and one for localhost and 127.0.0.1, with its key (localhost.pem).
set -eu
here=$(cd "$(dirname "$0")" && pwd)/tls
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir -p "$here"
cd "$work"
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $curve -keyout authority.key -out authority.pem -days 36500 \
    -subj "/CN=sansio_gradio tests" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl req $curve -keyout localhost.key -out request.pem -subj /CN=localhost
printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 extendedKeyUsage=serverAuth \
    basicConstraints=CA:FALSE keyUsage=critical,digitalSignature \
    authorityKeyIdentifier=keyid subjectKeyIdentifier=hash > extensions
openssl x509 -req -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial \
    -days 36500 -extfile extensions -out localhost.crt
cat localhost.crt localhost.key > "$here/localhost.pem"
cp authority.pem "$here/authority.pem"
