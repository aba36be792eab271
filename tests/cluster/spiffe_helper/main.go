// Stands for spiffe-helper, which the tests cannot always build: reads its configuration, and writes what
// the workload API gives over the three files, in place and one after the other, as it does
// (https://github.com/spiffe/spiffe-helper/blob/main/pkg/disk/x509.go).
package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type folder struct {
	Agent  string `hcl:"agent_address"`
	Path   string `hcl:"cert_dir"`
	SVID   string `hcl:"svid_file_name"`
	Key    string `hcl:"svid_key_file_name"`
	Bundle string `hcl:"svid_bundle_file_name"`
}

// OnX509ContextUpdate is called with each new certificate, and with each new bundle.
func (f *folder) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	bundle, ok := update.Bundles.Get(svid.ID.TrustDomain())
	if !ok {
		log.Fatalf("no bundle of %s", svid.ID.TrustDomain())
	}
	key, err := x509.MarshalPKCS8PrivateKey(svid.PrivateKey)
	if err != nil {
		log.Fatal(err)
	}
	f.write(f.SVID, certificates(svid.Certificates), 0o644)
	f.write(f.Key, block("PRIVATE KEY", key), 0o600)
	f.write(f.Bundle, certificates(bundle.X509Authorities()), 0o644)
	log.Printf("wrote %s, serial %x, %d roots", svid.ID, svid.Certificates[0].SerialNumber, len(bundle.X509Authorities()))
}

// OnX509ContextWatchError is called for what is tried again: a workload may be given an entry yet.
func (f *folder) OnX509ContextWatchError(err error) {
	log.Print(err)
}

func (f *folder) write(name string, content []byte, mode os.FileMode) {
	if err := os.WriteFile(filepath.Join(f.Path, name), content, mode); err != nil {
		log.Fatal(err)
	}
}

func certificates(chain []*x509.Certificate) (content []byte) {
	for _, each := range chain {
		content = append(content, block("CERTIFICATE", each.Raw)...)
	}
	return content
}

func block(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func main() {
	config := flag.String("config", "helper.conf", "configuration file")
	flag.Parse()
	text, err := os.ReadFile(*config)
	if err != nil {
		log.Fatal(err)
	}
	f := new(folder)
	if err := hcl.Decode(f, string(text)); err != nil {
		log.Fatal(err)
	}
	log.Fatal(workloadapi.WatchX509Context(context.Background(), f, workloadapi.WithAddr("unix://"+f.Agent)))
}
