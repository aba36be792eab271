// A gRPC client that shows its certificate.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"time"

	"examples.test/hello/hellopb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const hint = "If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth."

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("Usage: grpc-client FOLDER HOST:PORT, and FOLDER holds the files that ../README.md names")
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
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := hellopb.NewGreeterClient(channel).SayHello(ctx, &hellopb.HelloRequest{})
	if err != nil {
		log.Fatalf("%s: %v\n%s", address, err, hint)
	}
	fmt.Println(reply.Text)
}
