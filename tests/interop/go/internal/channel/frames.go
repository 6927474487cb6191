// Package channel carries gRPC calls on a WebRTC data channel (protocol §4): every data channel message is one
// Request or one Response. Frames with payload are written and read by hand, so that a payload is copied at
// most once on its way; the rest goes through the generated code.
package channel

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"viamdial/interop/gen/webrtcv1"
)

const (
	// maxFrameBytes is what a peer on pion can read at once (protocol §4.5).
	maxFrameBytes = 65_535
	// Most payload in a frame: what is left of 65,535 bytes with the worst case of everything around it.
	maxRequestData  = 65_509
	maxResponseData = 65_513
)

// Field numbers that Request and Response share, and those of the messages inside them.
const (
	fieldStream  = 1
	fieldHeaders = 2
	fieldMessage = 3
	fieldLast    = 4 // rst_stream of a Request, trailers of a Response

	fieldStreamID = 1

	fieldHasMessage    = 1 // of RequestMessage
	fieldRequestPacket = 2
	fieldEOS           = 3

	fieldResponsePacket = 1 // of ResponseMessage

	fieldPacketData = 1
	fieldPacketEOM  = 2
)

var errFrame = errors.New("not a frame of gRPC over a data channel")

// frame is a Request or a Response; data and body alias the bytes it was read from.
type frame struct {
	id        uint64
	hasStream bool
	// kind is fieldHeaders, fieldMessage, fieldLast, or 0 without any.
	kind protowire.Number
	// body is the submessage of headers or trailers, still encoded.
	body []byte

	hasMessage bool
	hasPacket  bool
	data       []byte
	eom        bool
	eos        bool
}

// eachField calls visit with the value of every length-delimited field, or the number of every varint field.
func eachField(bytes []byte, visit func(field protowire.Number, value []byte, number uint64) error) error {
	for len(bytes) > 0 {
		field, wireType, n := protowire.ConsumeTag(bytes)
		if n < 0 {
			return errFrame
		}
		bytes = bytes[n:]
		var value []byte
		var number uint64
		switch wireType {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(bytes)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(bytes)
		default:
			n = protowire.ConsumeFieldValue(field, wireType, bytes)
		}
		if n < 0 {
			return errFrame
		}
		bytes = bytes[n:]
		if err := visit(field, value, number); err != nil {
			return err
		}
	}
	return nil
}

func parseFrame(bytes []byte, isRequest bool) (frame, error) {
	var f frame
	err := eachField(bytes, func(field protowire.Number, value []byte, _ uint64) error {
		switch field {
		case fieldStream:
			f.hasStream = true
			return eachField(value, func(field protowire.Number, _ []byte, number uint64) error {
				if field == fieldStreamID {
					f.id = number
				}
				return nil
			})
		case fieldHeaders, fieldLast:
			f.kind, f.body = field, value
		case fieldMessage:
			f.kind = field
			if isRequest {
				return f.parseRequestMessage(value)
			}
			return f.parseResponseMessage(value)
		}
		return nil
	})
	return f, err
}

func (f *frame) parseRequestMessage(bytes []byte) error {
	return eachField(bytes, func(field protowire.Number, value []byte, number uint64) error {
		switch field {
		case fieldHasMessage:
			f.hasMessage = number != 0
		case fieldRequestPacket:
			return f.parsePacket(value)
		case fieldEOS:
			f.eos = number != 0
		}
		return nil
	})
}

func (f *frame) parseResponseMessage(bytes []byte) error {
	f.hasMessage = true
	return eachField(bytes, func(field protowire.Number, value []byte, _ uint64) error {
		if field == fieldResponsePacket {
			return f.parsePacket(value)
		}
		return nil
	})
}

func (f *frame) parsePacket(bytes []byte) error {
	f.hasPacket = true
	return eachField(bytes, func(field protowire.Number, value []byte, number uint64) error {
		switch field {
		case fieldPacketData:
			f.data = value
		case fieldPacketEOM:
			f.eom = number != 0
		}
		return nil
	})
}

// assembler joins the packets of one stream into messages.
type assembler struct {
	partial []byte
	// Of a message over the limit, the packets that are still to come are dropped.
	skipping bool
}

var errTooLarge = errors.New("message is larger than the limit")

// add returns a whole message when this packet was its last.
func (a *assembler) add(data []byte, eom bool, limit int) (message []byte, complete bool, err error) {
	if a.skipping {
		a.skipping = !eom
		return nil, false, nil
	}
	if len(a.partial)+len(data) > limit {
		a.partial, a.skipping = nil, !eom
		return nil, false, errTooLarge
	}
	if eom && len(a.partial) == 0 {
		return data, true, nil
	}
	a.partial = append(a.partial, data...)
	if !eom {
		return nil, false, nil
	}
	message, a.partial = a.partial, nil
	return message, true, nil
}

func appendStream(bytes []byte, id uint64) []byte {
	bytes = protowire.AppendTag(bytes, fieldStream, protowire.BytesType)
	if id == 0 {
		return append(bytes, 0)
	}
	bytes = protowire.AppendVarint(bytes, uint64(1+protowire.SizeVarint(id)))
	bytes = protowire.AppendTag(bytes, fieldStreamID, protowire.VarintType)
	return protowire.AppendVarint(bytes, id)
}

// packetSize is the size of a PacketMessage with so much data.
func packetSize(dataSize int, eom bool) int {
	size := 0
	if dataSize > 0 {
		size += 1 + protowire.SizeBytes(dataSize)
	}
	if eom {
		size += 2
	}
	return size
}

// appendPacketStart writes a PacketMessage as field `field` up to where its data begin.
func appendPacketStart(bytes []byte, field protowire.Number, dataSize int, eom bool) []byte {
	bytes = protowire.AppendTag(bytes, field, protowire.BytesType)
	bytes = protowire.AppendVarint(bytes, uint64(packetSize(dataSize, eom)))
	if dataSize > 0 {
		bytes = protowire.AppendTag(bytes, fieldPacketData, protowire.BytesType)
		bytes = protowire.AppendVarint(bytes, uint64(dataSize))
	}
	return bytes
}

// appendPacketEnd writes what follows the data.
func appendPacketEnd(bytes []byte, eom bool) []byte {
	if eom {
		bytes = append(bytes, fieldPacketEOM<<3, 1)
	}
	return bytes
}

// appendResponseStart writes a Response with a packet up to where its data begin; appendPacketEnd ends it.
func appendResponseStart(bytes []byte, id uint64, dataSize int, eom bool) []byte {
	bytes = appendStream(bytes, id)
	bytes = protowire.AppendTag(bytes, fieldMessage, protowire.BytesType)
	bytes = protowire.AppendVarint(bytes, uint64(1+protowire.SizeBytes(packetSize(dataSize, eom))))
	return appendPacketStart(bytes, fieldResponsePacket, dataSize, eom)
}

// appendRequestStart writes a Request with a packet up to where its data begin; appendRequestEnd ends it.
func appendRequestStart(bytes []byte, id uint64, hasMessage bool, dataSize int, eom, eos bool) []byte {
	size := 1 + protowire.SizeBytes(packetSize(dataSize, eom))
	if hasMessage {
		size += 2
	}
	if eos {
		size += 2
	}
	bytes = appendStream(bytes, id)
	bytes = protowire.AppendTag(bytes, fieldMessage, protowire.BytesType)
	bytes = protowire.AppendVarint(bytes, uint64(size))
	if hasMessage {
		bytes = append(bytes, fieldHasMessage<<3, 1)
	}
	return appendPacketStart(bytes, fieldRequestPacket, dataSize, eom)
}

func appendRequestEnd(bytes []byte, eom, eos bool) []byte {
	bytes = appendPacketEnd(bytes, eom)
	if eos {
		bytes = append(bytes, fieldEOS<<3, 1)
	}
	return bytes
}

func responseHeaders(id uint64, metadata *webrtcv1.Metadata) ([]byte, error) {
	return proto.Marshal(&webrtcv1.Response{
		Stream: &webrtcv1.Stream{Id: id},
		Type:   &webrtcv1.Response_Headers{Headers: &webrtcv1.ResponseHeaders{Metadata: metadata}},
	})
}

func responseTrailers(id uint64, trailers *webrtcv1.ResponseTrailers) ([]byte, error) {
	return proto.Marshal(&webrtcv1.Response{
		Stream: &webrtcv1.Stream{Id: id},
		Type:   &webrtcv1.Response_Trailers{Trailers: trailers},
	})
}
