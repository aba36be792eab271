// Verifies a chain as a Go program does: verifier CA CHAIN NAME server|client|code
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

var uses = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
	"code":   x509.ExtKeyUsageCodeSigning,
}

func main() {
	roots, links := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range read(os.Args[1]) {
		roots.AddCert(root)
	}
	chain := read(os.Args[2])
	for _, link := range chain[1:] {
		links.AddCert(link)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: links,
		DNSName:       os.Args[3],
		KeyUsages:     []x509.ExtKeyUsage{uses[os.Args[4]]},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func read(path string) (certificates []*x509.Certificate) {
	rest, err := os.ReadFile(path)
	for block := (*pem.Block)(nil); err == nil; {
		if block, rest = pem.Decode(rest); block == nil {
			return certificates
		}
		var certificate *x509.Certificate
		certificate, err = x509.ParseCertificate(block.Bytes)
		certificates = append(certificates, certificate)
	}
	panic(err)
}
