// An HTTPS client that shows its certificate.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const hint = "If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth."

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("Usage: http-client FOLDER HOST:PORT, and FOLDER holds the files that ../README.md names")
	}
	folder, address, cas := os.Args[1], os.Args[2], x509.NewCertPool()
	if ca, err := os.ReadFile(folder + "/ca-certificate.crt"); err != nil || !cas.AppendCertsFromPEM(ca) {
		log.Fatalf("%s/ca-certificate.crt must hold the CA of the server: %v", folder, err)
	}
	certificate, err := tls.LoadX509KeyPair(folder+"/certificate.crt", folder+"/private-key.pem")
	if err != nil {
		log.Fatalf("%s must hold certificate.crt and private-key.pem: %v", folder, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cas, Certificates: []tls.Certificate{certificate}}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	response, err := client.Get("https://" + address + "/")
	if err != nil {
		log.Fatalf("%s did not answer: %v\n%s", address, err, hint)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		log.Fatalf("%s answered %d: %s %v", address, response.StatusCode, text, err)
	}
	fmt.Println(string(text))
}
