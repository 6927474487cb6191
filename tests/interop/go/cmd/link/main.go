//go:build linux

// Command link is a link that takes its time: see ../../README.md.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "link:", err)
		os.Exit(1)
	}
}

// order is one line of the standard input.
type order struct {
	Shape *shape `json:"shape"`
	// Trace is where to describe every packet from now on; "" ends that.
	Trace *string `json:"trace"`
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: link DEVICE DEVICE")
	}
	var devices [2]*os.File
	for i := range devices {
		device, err := openDevice(os.Args[1+i])
		if err != nil {
			return fmt.Errorf("%s: %w", os.Args[1+i], err)
		}
		devices[i] = device
	}
	tracer := new(tracer)
	there, back := newDirection(devices[0], devices[1], '>', tracer), newDirection(devices[1], devices[0], '<', tracer)
	for _, direction := range []*direction{there, back} {
		go direction.receive()
		go direction.deliver()
	}
	answers := json.NewEncoder(os.Stdout)
	orders := json.NewDecoder(os.Stdin)
	// The first answer says that the devices are there.
	for {
		counted := struct {
			There counts `json:"there"`
			Back  counts `json:"back"`
		}{there.counted(), back.counted()}
		if err := answers.Encode(counted); err != nil {
			return err
		}
		var next order
		if err := orders.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if next.Trace != nil {
			if err := tracer.to(*next.Trace); err != nil {
				return err
			}
		}
		if next.Shape != nil {
			there.become(*next.Shape)
			back.become(*next.Shape)
		}
	}
}
