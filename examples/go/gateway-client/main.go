// A client of the gateway: uploads a video, follows its transcoding, fetches its thumbnail.
// Usage: gateway-client FOLDER HOST:PORT VIDEO
// FOLDER is that of an identity which may upload, certs/client/uploader for one.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func body(response *http.Response) io.Reader {
	if response.StatusCode >= 400 {
		log.Fatalf("The gateway answers %s: %s", response.Status, must(io.ReadAll(response.Body)))
	}
	return response.Body
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("Usage: gateway-client FOLDER HOST:PORT VIDEO")
	}
	folder, gateway, video, cas := os.Args[1], "https://"+os.Args[2], os.Args[3], x509.NewCertPool()
	cas.AppendCertsFromPEM(must(os.ReadFile(folder + "/ca-certificate.crt")))
	pair := must(tls.LoadX509KeyPair(folder+"/key-pair.pem", folder+"/key-pair.pem"))
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cas, Certificates: []tls.Certificate{pair}}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}

	file := must(os.Open(video))
	reader, writer := io.Pipe() // so that a large video is never in memory as a whole
	form := multipart.NewWriter(writer)
	go func() {
		must(io.Copy(must(form.CreateFormFile("file", filepath.Base(video))), file))
		writer.CloseWithError(form.Close())
	}()
	uploaded := must(client.Post(gateway+"/videos", form.FormDataContentType(), reader))
	body(uploaded)
	address := gateway + uploaded.Header.Get("Location")
	for lines := bufio.NewScanner(body(must(client.Get(address + "/events")))); lines.Scan(); {
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found { // one JSON object for each event
			fmt.Println(data)
		}
	}
	thumbnail := body(must(client.Get(address + "/thumbnail"))) // of a video that failed it is 404, with the reason
	must(io.Copy(must(os.Create(strings.TrimSuffix(video, filepath.Ext(video))+".jpg")), thumbnail))
}
