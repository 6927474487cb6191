package channel

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"viamdial/interop/gen/webrtcv1"
)

// request and response build whole frames from the parts that senders use.
func request(id uint64, hasMessage bool, data []byte, eom, eos bool) []byte {
	return appendRequestEnd(append(appendRequestStart(nil, id, hasMessage, len(data), eom, eos), data...), eom, eos)
}

func response(id uint64, data []byte, eom bool) []byte {
	return appendPacketEnd(append(appendResponseStart(nil, id, len(data), eom), data...), eom)
}

// The bytes of protocol §9.
func TestVectors(t *testing.T) {
	hi := []byte("\x0a\x02hi")
	for _, vector := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"unary request of a Go peer", request(1, true, hi, true, true), "0a0208011a0e080112080a040a02686910011801"},
		{"unary request without eos", request(0, true, hi, true, false), "0a001a0c080112080a040a0268691001"},
		{"half-close", request(1, false, nil, true, true), "0a0208011a06120210011801"},
		{"empty message", request(1, true, nil, true, false), "0a0208011a06080112021001"},
		{"response", response(1, hi, true), "0a0208011a0a0a080a040a0268691001"},
	} {
		if got := hex.EncodeToString(vector.frame); got != vector.want {
			t.Errorf("%s is %s, not %s", vector.name, got, vector.want)
		}
	}
}

// What is written and read by hand is what the generated code writes and reads.
func TestFramesAgreeWithGeneratedCode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 127, 128, 16_383, 16_384, maxRequestData, maxResponseData} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		for _, id := range []uint64{0, 1, 127, 128, 1 << 34} {
			for bits := range 8 {
				eom, eos, hasMessage := bits&1 != 0, bits&2 != 0, bits&4 != 0
				packet := &webrtcv1.PacketMessage{Data: data, Eom: eom}
				wantRequest := &webrtcv1.Request{
					Stream: &webrtcv1.Stream{Id: id},
					Type: &webrtcv1.Request_Message{Message: &webrtcv1.RequestMessage{
						HasMessage: hasMessage, PacketMessage: packet, Eos: eos,
					}},
				}
				bytesOfRequest := request(id, hasMessage, data, eom, eos)
				agree(t, bytesOfRequest, wantRequest)
				f, err := parseFrame(bytesOfRequest, true)
				if err != nil || f.id != id || f.kind != fieldMessage || f.hasMessage != hasMessage || !f.hasPacket ||
					f.eom != eom || f.eos != eos || !bytes.Equal(f.data, data) {
					t.Fatalf("request %v read as %+v, %v", wantRequest, f, err)
				}
				if size <= maxRequestData && id < 1<<35 && len(bytesOfRequest) > maxFrameBytes {
					t.Fatalf("request frame of %d bytes", len(bytesOfRequest))
				}
				wantResponse := &webrtcv1.Response{
					Stream: &webrtcv1.Stream{Id: id},
					Type:   &webrtcv1.Response_Message{Message: &webrtcv1.ResponseMessage{PacketMessage: packet}},
				}
				bytesOfResponse := response(id, data, eom)
				agree(t, bytesOfResponse, wantResponse)
				f, err = parseFrame(bytesOfResponse, false)
				if err != nil || f.id != id || f.kind != fieldMessage || f.eom != eom || !bytes.Equal(f.data, data) {
					t.Fatalf("response %v read as %+v, %v", wantResponse, f, err)
				}
				if len(bytesOfResponse) > maxFrameBytes {
					t.Fatalf("response frame of %d bytes", len(bytesOfResponse))
				}
			}
		}
	}
}

func agree(t *testing.T, frame []byte, want proto.Message) {
	t.Helper()
	generated, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(frame, generated) {
		t.Fatalf("frame %x…, not %x…", frame[:min(32, len(frame))], generated[:min(32, len(generated))])
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01, 0x1a, 0x06, 0x12, 0x02, 0x10, 0x01, 0x18, 0x01})
	f.Add([]byte{0x0a, 0x00, 0x20, 0x01})
	f.Fuzz(func(t *testing.T, frame []byte) {
		_, _ = parseFrame(frame, true)
		_, _ = parseFrame(frame, false)
	})
}

func TestAssembler(t *testing.T) {
	var a assembler
	step := func(data string, eom bool, limit int, want string, complete bool, fails bool) {
		t.Helper()
		message, done, err := a.add([]byte(data), eom, limit)
		if string(message) != want || done != complete || (err != nil) != fails {
			t.Fatalf("%q eom %v gave %q, %v, %v", data, eom, message, done, err)
		}
	}
	step("", true, 4, "", true, false)
	step("ab", false, 4, "", false, false)
	step("cd", true, 4, "abcd", true, false)
	// An empty last packet does not hide what came before it.
	step("ab", false, 4, "", false, false)
	step("", true, 4, "ab", true, false)
	// The rest of a message over the limit is not a new message.
	step("abc", false, 4, "", false, false)
	step("de", false, 4, "", false, true)
	step("f", true, 4, "", false, false)
	step("gh", true, 4, "gh", true, false)
}
