// Command machine is a Viam machine for tests and benchmarks: see ../../README.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
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
	port := flag.Int("port", 0, "TCP port on 127.0.0.1; 0 takes any")
	useTLS := flag.Bool("tls", false, "serve TLS with a self-made certificate for 127.0.0.1 and localhost")
	authorityPath := flag.String("ca-out", "", "where to write the PEM of the authority of that certificate")
	key := flag.String("api-key", "", "ask for this API key")
	keyID := flag.String("api-key-id", "", "the id of that API key")
	protocols := flag.String("protocols", "all", "all, or grpc: a bare grpc-go server")
	idle := flag.Duration("idle", 0, "how long a connection may be idle before it is told to go away; 0 for any time")
	noWebRTC := flag.Bool("no-webrtc", false, "answer Unimplemented to signaling")
	flag.Parse()

	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case (*key == "") != (*keyID == ""):
		return errors.New("-api-key and -api-key-id go together")
	case *protocols != "all" && *protocols != "grpc":
		return fmt.Errorf("-protocols is all or grpc, not %q", *protocols)
	case *authorityPath != "" && !*useTLS:
		return errors.New("-ca-out needs -tls")
	}
	options := machine.Options{
		Key:      machine.APIKey{ID: *keyID, Secret: *key},
		GRPCOnly: *protocols == "grpc",
		WebRTC:   !*noWebRTC,
		Idle:     *idle,
	}
	if *useTLS {
		certificate, authority, err := machine.SelfMade()
		if err != nil {
			return err
		}
		if *authorityPath != "" {
			if err := os.WriteFile(*authorityPath, authority, 0o644); err != nil {
				return err
			}
		}
		options.Certificate = certificate
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	m, err := machine.New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		return err
	}

	// A test that dies closes our stdin, so that nothing is left behind.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	served := make(chan error, 1)
	go func() { served <- m.Serve(listener) }()

	bound := listener.Addr().(*net.TCPAddr)
	ready := struct {
		Port int    `json:"port"`
		Host string `json:"host"`
	}{bound.Port, bound.String()}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
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
