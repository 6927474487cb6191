//go:build linux

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// openDevice makes a TUN device, which is gone when its file is closed.
func openDevice(name string) (*os.File, error) {
	// Opened by hand: the runtime's poller does not take a descriptor of /dev/net/tun before it is a device's.
	descriptor, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, uintptr(descriptor), syscall.TUNSETIFF,
		uintptr(unsafe.Pointer(&request)))
	if failed != 0 {
		_ = syscall.Close(descriptor)
		return nil, failed
	}
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		_ = syscall.Close(descriptor)
		return nil, err
	}
	return os.NewFile(uintptr(descriptor), "/dev/net/tun"), nil
}
