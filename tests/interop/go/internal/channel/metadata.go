package channel

import (
	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/rpc"
)

// fromWire decodes metadata of a frame, where "-bin" values are base64 text (protocol §4.7).
func fromWire(metadata *webrtcv1.Metadata) rpc.Metadata {
	result := make(rpc.Metadata, len(metadata.GetMd()))
	for key, list := range metadata.GetMd() {
		values := list.GetValues()
		if rpc.IsBinary(key) {
			values = make([]string, len(list.GetValues()))
			for i, value := range list.GetValues() {
				values[i] = rpc.DecodeBinary(value)
			}
		}
		result[key] = values
	}
	return result
}

// toWire is nil for no metadata: an empty submessage would be sent for nothing.
func toWire(metadata rpc.Metadata) *webrtcv1.Metadata {
	if len(metadata) == 0 {
		return nil
	}
	result := &webrtcv1.Metadata{Md: make(map[string]*webrtcv1.Strings, len(metadata))}
	for key, list := range metadata {
		values := make([]string, len(list))
		for i, value := range list {
			values[i] = rpc.EncodeValue(key, value)
		}
		result.Md[key] = &webrtcv1.Strings{Values: values}
	}
	return result
}
