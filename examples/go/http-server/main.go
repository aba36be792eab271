// An HTTPS server that asks every client for a certificate and knows it by its URI.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"
)

var allowed = map[string]bool{"spiffe://example.test/client": true}

func hello(w http.ResponseWriter, r *http.Request) {
	caller := "a certificate without exactly one URI"
	if uris := r.TLS.PeerCertificates[0].URIs; len(uris) == 1 {
		caller = uris[0].String()
	}
	fmt.Println("called by", caller)
	if !allowed[caller] { // authentication says who calls; authorization says who may
		http.Error(w, caller+" may not call. If it should, add it to allowed.", http.StatusForbidden)
		return
	}
	fmt.Fprint(w, "hello, ", caller)
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("Usage: http-server FOLDER HOST:PORT, and FOLDER holds the files that ../README.md names")
	}
	folder, cas := os.Args[1], x509.NewCertPool()
	if ca, err := os.ReadFile(folder + "/ca-certificate.crt"); err != nil || !cas.AppendCertsFromPEM(ca) {
		log.Fatalf("%s/ca-certificate.crt must hold the CA of the clients: %v", folder, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: cas, ClientAuth: tls.RequireAndVerifyClientCert}
	server := &http.Server{Addr: os.Args[2], Handler: http.HandlerFunc(hello), TLSConfig: config}
	log.Fatal(server.ListenAndServeTLS(folder+"/certificate.crt", folder+"/private-key.pem"))
}
