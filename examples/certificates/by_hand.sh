#!/bin/sh
# Makes a CA, and with it a certificate for a server and one for a client, with openssl alone.
# docs/certificates-by-hand.md goes through it. Needs OpenSSL 3.
#
# Usage: by_hand.sh FOLDER [ec|rsa]
set -eu
umask 077 # whatever is made here, nobody else may read it
folder=${1:?Say where to: by_hand.sh FOLDER [ec|rsa]}
type=${2:-ec}
mkdir "$folder" "$folder/ca" "$folder/server" "$folder/client" # fails if it is there: no key is ever replaced
cd "$folder"

new_key() {
    case $type in
    ec) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" ;;
    rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out "$1" ;;
    *) echo "The type of the keys is ec or rsa, and not $type." >&2 && exit 1 ;;
    esac
}

# 1. The CA signs its own certificate.
cat >ca/ca.cnf <<'END'
[req]
prompt = no
distinguished_name = name
x509_extensions = ca
[name]
O = example.test
CN = example.test CA
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
new_key ca/ca-private-key.pem
openssl req -x509 -new -config ca/ca.cnf -key ca/ca-private-key.pem -days 365 -out ca/ca-certificate.crt

# 2. The server and the client make a key each, and ask for a certificate.
for name in server client; do
    new_key "$name/private-key.pem"
    openssl req -new -key "$name/private-key.pem" -subj "/O=example.test/CN=$name" -out "$name/request.csr"
done

# 3. The CA decides what they get: for which names, and for which end of a connection.
cat >ca/server.ext <<'END'
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = URI:spiffe://example.test/server, DNS:localhost, IP:127.0.0.1, IP:::1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
END
cat >ca/client.ext <<'END'
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = URI:spiffe://example.test/client
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
END
for name in server client; do
    openssl x509 -req -in "$name/request.csr" -CA ca/ca-certificate.crt -CAkey ca/ca-private-key.pem \
        -extfile "ca/$name.ext" -days 30 -out "$name/certificate.crt"
    cp ca/ca-certificate.crt "$name/" # whom it trusts
    cat "$name/private-key.pem" "$name/certificate.crt" >"$name/key-pair.pem" # both in one file, for curl
done

# 4. For a browser: key, certificate and CA in one file with a password.
openssl rand -hex 10 >client/password.txt
openssl pkcs12 -export -in client/certificate.crt -inkey client/private-key.pem -certfile ca/ca-certificate.crt \
    -name "example.test client" -passout file:client/password.txt -out client/client.p12 \
    -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 # macOS reads no other (pyca/cryptography#7293)
