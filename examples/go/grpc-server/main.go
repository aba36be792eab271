// A gRPC server that asks every client for a certificate and knows it by its URI.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"os"

	"examples.test/hello/hellopb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

var allowed = map[string]bool{"spiffe://example.test/client": true}

type greeter struct {
	hellopb.UnimplementedGreeterServer
}

func (greeter) SayHello(ctx context.Context, _ *hellopb.HelloRequest) (*hellopb.HelloReply, error) {
	from, _ := peer.FromContext(ctx)
	caller := "a certificate without exactly one URI"
	if uris := from.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].URIs; len(uris) == 1 {
		caller = uris[0].String()
	}
	fmt.Println("called by", caller)
	if !allowed[caller] { // authentication says who calls; authorization says who may
		return nil, status.Error(codes.PermissionDenied, caller+" may not call. If it should, add it to allowed.")
	}
	return &hellopb.HelloReply{Text: "hello, " + caller}, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("Usage: grpc-server FOLDER HOST:PORT, and FOLDER holds the files that ../README.md names")
	}
	folder, cas := os.Args[1], x509.NewCertPool()
	if ca, err := os.ReadFile(folder + "/ca-certificate.crt"); err != nil || !cas.AppendCertsFromPEM(ca) {
		log.Fatalf("%s/ca-certificate.crt must hold the CA of the clients: %v", folder, err)
	}
	certificate, err := tls.LoadX509KeyPair(folder+"/certificate.crt", folder+"/private-key.pem")
	if err != nil {
		log.Fatalf("%s must hold certificate.crt and private-key.pem: %v", folder, err)
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: cas, ClientAuth: tls.RequireAndVerifyClientCert}
	config.Certificates = []tls.Certificate{certificate}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	hellopb.RegisterGreeterServer(server, greeter{})
	log.Fatal(server.Serve(listener))
}
