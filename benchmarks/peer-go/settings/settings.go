// Package settings is what both servers need: where to listen, who they are, and who is at the other end.
package settings

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// TrustDomain is how each of our SPIFFE IDs begins.
const TrustDomain = "spiffe://video-demo.test/"

// Variable returns a variable of the environment, which has to be set.
func Variable(name string) string {
	value := os.Getenv(name)
	if value == "" {
		log.Fatalf("%s is not set", name)
	}
	return value
}

// TLS returns who we are and whom we trust, from the same files that our services read.
func TLS(folder string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "certificate.crt"), filepath.Join(folder, "private-key.pem"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca-certificate.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no CA", folder)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

// NameIn returns the path of the SPIFFE ID, or "" unless there is exactly one URI and it is ours.
func NameIn(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 || len(state.PeerCertificates[0].URIs) != 1 {
		return ""
	}
	name, found := strings.CutPrefix(state.PeerCertificates[0].URIs[0].String(), TrustDomain)
	if !found {
		return ""
	}
	return name
}

// Announce says in the form of our services where the server listens: the benchmark waits for it.
func Announce(address string) error {
	return json.NewEncoder(os.Stderr).Encode(map[string]string{"event": "server.listening", "address": address})
}
