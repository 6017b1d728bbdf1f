package network

import (
	"errors"
	"net"
)

// Open opens millrace on a NIC.
func Open(Config) (Network, error) {
	return nil, errors.New("network: this build has no AF_XDP stack: use --stack kernel")
}

func millraceInfo(net.Conn) (Info, bool) { return Info{}, false }
