// Flood opens connections to a server, each with a full handshake, and closes them: as fast as the server lets it, or
// at a steady rate. It does not verify the server, so that it costs the machine little. It writes as JSON how many
// the server has accepted, and in how many seconds.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"benchmarks.test/peer/settings"
)

func main() {
	address := flag.String("address", "", "host:port of the server")
	identity := flag.String("identity", "", "folder of the client's certificate")
	rate := flag.Float64("rate", 0, "connections per second; 0 is as many as it takes")
	duration := flag.Duration("duration", time.Second, "for how long")
	workers := flag.Int("workers", 32, "how many connections at a time")
	flag.Parse()
	config, err := settings.TLS(*identity)
	if err != nil {
		log.Fatal(err)
	}
	config.InsecureSkipVerify = true // the client's own cost is not what is measured

	var accepted, failed atomic.Int64
	var group sync.WaitGroup
	turns := make(chan struct{})
	for range *workers {
		group.Go(func() {
			for range turns {
				if err := open(*address, config); err != nil {
					failed.Add(1)
				} else {
					accepted.Add(1)
				}
			}
		})
	}
	begin := time.Now()
	for next := begin; time.Since(begin) < *duration; {
		if *rate > 0 {
			next = next.Add(time.Duration(float64(time.Second) / *rate))
			time.Sleep(time.Until(next))
		}
		turns <- struct{}{}
	}
	close(turns)
	group.Wait()
	result := map[string]any{"accepted": accepted.Load(), "failed": failed.Load(), "seconds": time.Since(begin).Seconds()}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

// open returns nil when the server has accepted our certificate: in TLS 1.3 its verdict comes after our handshake.
func open(address string, config *tls.Config) error {
	plain, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	connection := tls.Client(plain, config)
	defer plain.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := connection.Handshake(); err != nil {
		return err
	}
	if err := connection.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, connection) // an alert is an error, the end is none
	return err
}
