package rpc

import (
	"encoding/base64"
	"strings"
)

// Metadata has lower-case keys; the values of keys that end in "-bin" are raw bytes.
type Metadata map[string][]string

// IsBinary tells whether the values of a key are bytes.
func IsBinary(key string) bool { return strings.HasSuffix(key, "-bin") }

// EncodeBinary is the text form of a "-bin" value: base64 without padding.
func EncodeBinary(raw string) string { return base64.RawStdEncoding.EncodeToString([]byte(raw)) }

// DecodeBinary reads base64 with or without padding; what is neither was sent raw and stays as it is.
func DecodeBinary(text string) string {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return text
	}
	return string(raw)
}

// EncodeValue is a value as it is written on an HTTP header or in a data channel frame.
func EncodeValue(key, value string) string {
	if IsBinary(key) {
		return EncodeBinary(value)
	}
	return value
}
