//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// tracer describes packets, a line each, as they leave the link.
type tracer struct {
	mutex sync.Mutex
	file  *os.File
	lines *bufio.Writer
	began time.Time
}

func (t *tracer) to(path string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.file != nil {
		if err := t.lines.Flush(); err != nil {
			return err
		}
		if err := t.file.Close(); err != nil {
			return err
		}
		t.file = nil
	}
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	t.file, t.lines, t.began = file, bufio.NewWriter(file), time.Now()
	return nil
}

func (t *tracer) packet(mark rune, bytes []byte, lost string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.file == nil {
		return
	}
	ms := float64(time.Since(t.began).Microseconds()) / 1000
	fmt.Fprintf(t.lines, "%9.1f %c %s %s\n", ms, mark, describe(bytes), lost)
}

// describe reads as much of an IPv4 packet as tells a handshake's steps.
func describe(bytes []byte) string {
	if len(bytes) < 20 || bytes[0]>>4 != 4 {
		return fmt.Sprintf("%d bytes", len(bytes))
	}
	from, _ := netip.AddrFromSlice(bytes[12:16])
	to, _ := netip.AddrFromSlice(bytes[16:20])
	body := bytes[min(len(bytes), int(bytes[0]&15)*4):]
	if len(body) < 8 {
		return fmt.Sprintf("%v %v protocol %d", from, to, bytes[9])
	}
	ends := fmt.Sprintf("%v:%d %v:%d", from, binary.BigEndian.Uint16(body), to, binary.BigEndian.Uint16(body[2:]))
	switch {
	case bytes[9] == 6 && len(body) >= 20:
		return ends + " TCP " + describeTCP(body)
	case bytes[9] == 17:
		return ends + " UDP " + describeUDP(body[8:])
	}
	return fmt.Sprintf("%s protocol %d", ends, bytes[9])
}

func describeTCP(segment []byte) string {
	var flags []string
	for bit, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if segment[13]>>bit&1 == 1 {
			flags = append(flags, name)
		}
	}
	data := segment[min(len(segment), int(segment[12]>>4)*4):]
	text := fmt.Sprintf("%s %d bytes", strings.Join(flags, " "), len(data))
	if len(data) > 5 && data[0] == 22 && data[1] == 3 {
		text += fmt.Sprintf(", TLS handshake %d", data[5])
	}
	return text
}

var stunKinds = map[uint16]string{
	0x0001: "STUN request", 0x0101: "STUN response", 0x0111: "STUN error", 0x0011: "STUN indication",
}

func describeUDP(data []byte) string {
	switch {
	case len(data) >= 20 && data[0] < 4 && binary.BigEndian.Uint32(data[4:]) == 0x2112a442:
		kind, known := stunKinds[binary.BigEndian.Uint16(data)]
		if !known {
			kind = fmt.Sprintf("STUN %#04x", binary.BigEndian.Uint16(data))
		}
		const useCandidate = 0x25
		for at := 20; at+4 <= len(data); {
			if binary.BigEndian.Uint16(data[at:]) == useCandidate {
				kind += ", nominates"
			}
			at += 4 + (int(binary.BigEndian.Uint16(data[at+2:]))+3)&^3
		}
		return kind
	case len(data) >= 14 && data[0] == 22:
		return fmt.Sprintf("DTLS handshake %d, %d bytes", data[13], len(data))
	case len(data) >= 13 && data[0] >= 20 && data[0] < 64:
		return fmt.Sprintf("DTLS record %d, %d bytes", data[0], len(data))
	}
	return fmt.Sprintf("%d bytes", len(data))
}
