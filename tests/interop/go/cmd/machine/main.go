// Command machine is a Viam machine for tests and benchmarks: see ../../README.md.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"viamdial/interop/internal/machine"
)

// stopPatience bounds how long an orderly end may take.
const stopPatience = 3 * time.Second

// gcPercent trades memory for throughput: the machine is the other end of every benchmark.
const gcPercent = 400

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("address", "127.0.0.1:0", "where to listen; port 0 takes any")
	useTLS := flag.Bool("tls", false, "serve TLS with a self-made certificate for 127.0.0.1 and localhost")
	authorityPath := flag.String("ca-out", "", "where to write the PEM of the authority of that certificate")
	certificatePath := flag.String("cert", "", "serve TLS with this certificate, PEM")
	keyPath := flag.String("cert-key", "", "the key of that certificate, PEM")
	key := flag.String("api-key", "", "ask for this API key")
	keyID := flag.String("api-key-id", "", "the id of that API key")
	protocols := flag.String("protocols", "all", "all; grpc: a bare grpc-go server; or handler: grpc-go behind net/http")
	idle := flag.Duration("idle", 0, "how long a connection may be idle before it is told to go away; 0 for any time")
	streams := flag.Int("streams", 0, "the most streams of an HTTP/2 connection; 0 for those that Viam machines allow")
	noWebRTC := flag.Bool("no-webrtc", false, "answer Unimplemented to signaling")
	signaling := flag.String("signaling", "", "answer at this signaling server, host:port, instead of its own")
	signalingCA := flag.String("signaling-ca", "", "PEM of the authority of that server; without, there is no TLS")
	hosts := flag.String("hosts", "", "whom to answer for there: names, by commas")
	iceServers := flag.String("ice-servers", "", "URLs of STUN servers of its own, by commas")
	report := flag.Bool("report", false, "print a line of JSON whenever an answerer is taken or free again")
	flag.Parse()

	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case (*key == "") != (*keyID == ""):
		return errors.New("-api-key and -api-key-id go together")
	case (*certificatePath == "") != (*keyPath == ""):
		return errors.New("-cert and -cert-key go together")
	case (*signaling == "") != (*hosts == ""):
		return errors.New("-signaling and -hosts go together")
	case !slices.Contains([]string{"all", "grpc", "handler"}, *protocols):
		return fmt.Errorf("-protocols is all, grpc or handler, not %q", *protocols)
	case *authorityPath != "" && !*useTLS:
		return errors.New("-ca-out needs -tls")
	case *useTLS && *certificatePath != "":
		return errors.New("-tls makes a certificate, and -cert gives one")
	}
	options := machine.Options{
		Key:        machine.APIKey{ID: *keyID, Secret: *key},
		GRPCOnly:   *protocols != "all",
		Handler:    *protocols == "handler",
		WebRTC:     !*noWebRTC,
		ICEServers: list(*iceServers),
		Streams:    *streams,
		Idle:       *idle,
	}
	var err error
	if options.Certificate, err = certificate(*useTLS, *authorityPath, *certificatePath, *keyPath); err != nil {
		return err
	}
	if *signaling != "" {
		options.Elsewhere = &machine.Elsewhere{Address: *signaling, Hosts: list(*hosts), Key: options.Key}
		if *signalingCA != "" {
			if options.Elsewhere.Authority, err = os.ReadFile(*signalingCA); err != nil {
				return err
			}
		}
	}
	lines := json.NewEncoder(os.Stdout)
	started := make(chan struct{})
	if *report {
		options.OnBusy = func(busy int) {
			<-started // the first line is another
			_ = lines.Encode(struct {
				Busy int `json:"busy"`
			}{busy})
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	m, err := machine.New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", *address)
	if err != nil {
		return err
	}

	// A test that dies closes our stdin, so that nothing is left behind.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	over := make(chan struct{})
	go func() {
		for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
			if commands.Text() == "drop" {
				m.Drop()
			}
		}
		close(over)
	}()
	served := make(chan error, 1)
	go func() { served <- m.Serve(listener) }()

	bound := listener.Addr().(*net.TCPAddr)
	ready := struct {
		Port int    `json:"port"`
		Host string `json:"host"`
	}{bound.Port, bound.String()}
	if err := lines.Encode(ready); err != nil {
		return err
	}
	close(started)
	select {
	case err := <-served:
		return err
	case <-stop:
	case <-over:
	}
	stopped := make(chan struct{})
	go func() {
		m.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-time.After(stopPatience):
		return errors.New("connections did not close in time")
	}
}

// certificate is self-made, or read, or nil for no TLS.
func certificate(selfMade bool, authorityPath, certificatePath, keyPath string) (*tls.Certificate, error) {
	if certificatePath != "" {
		pair, err := tls.LoadX509KeyPair(certificatePath, keyPath)
		return &pair, err
	}
	if !selfMade {
		return nil, nil
	}
	made, authority, err := machine.SelfMade()
	if err == nil && authorityPath != "" {
		err = os.WriteFile(authorityPath, authority, 0o644)
	}
	return made, err
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
