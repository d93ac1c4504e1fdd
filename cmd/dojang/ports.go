package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// ports of the demo's listeners. They are part of the data: DIDs, credentials and accreditations name these URLs.
type ports struct {
	Registry           int `json:"registry"`
	Status             int `json:"status"`
	Issuer             int `json:"issuer"`
	Verifier           int `json:"verifier"`
	WalletAPI          int `json:"wallet_api"`
	RegistryManagement int `json:"registry_management"`
	IssuerManagement   int `json:"issuer_management"`
	VerifierManagement int `json:"verifier_management"`
	WalletManagement   int `json:"wallet_management"`
}

const portsFile = "ports.json"

func (p *ports) all() []*int {
	return []*int{&p.Registry, &p.Status, &p.Issuer, &p.Verifier, &p.WalletAPI,
		&p.RegistryManagement, &p.IssuerManagement, &p.VerifierManagement, &p.WalletManagement}
}

// choosePorts keeps the ports of the data directory; a new one takes those that listen asks for (PORT, PORT+1, …; 0: free
// ones). Another listen on old data is refused: the URLs are in signed documents.
func choosePorts(dir, listen string) (ports, error) {
	asked := listen != ""
	if !asked {
		listen = "localhost:8600"
	}
	first, err := splitListen(listen)
	if err != nil {
		return ports{}, err
	}
	var p ports
	b, err := os.ReadFile(filepath.Join(dir, portsFile))
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &p); err != nil {
			return p, fmt.Errorf("read %s: %w", portsFile, err)
		}
		if asked && first != 0 && first != p.Registry {
			return p, fmt.Errorf("the data directory belongs to port %d: its credentials name that URL; use --fresh to begin anew on %d", p.Registry, first)
		}
		return p, nil
	case !errors.Is(err, fs.ErrNotExist):
		return p, err
	}
	if first == 0 {
		if err := freePorts(p.all()); err != nil {
			return p, err
		}
	} else {
		for i, port := range p.all() {
			*port = first + i
		}
		if err := allFree(p.all()); err != nil { // before the data directory is bound to them
			return p, err
		}
	}
	b, err = json.Marshal(p)
	if err != nil {
		return p, err
	}
	return p, writeFile(filepath.Join(dir, portsFile), b)
}

func splitListen(listen string) (port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return 0, fmt.Errorf("--listen wants HOST:PORT: %w", err)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65000 {
		return 0, errors.New("--listen: the port is a number up to 65000")
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return 0, errors.New("--listen: the demo serves this machine only; the host is localhost or a loopback address")
	}
	return port, nil
}

// freePorts finds ports that are free now on both loopback families. They lie below those that systems hand out to outgoing
// connections: a later start must find them free again.
func freePorts(list []*int) error {
	const from, to = 15000, 32000
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, port := range list {
		for attempt := 0; ; attempt++ {
			if attempt > 1000 {
				return errors.New("no free ports")
			}
			*port = from + rand.IntN(to-from)
			four, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
			if err != nil {
				continue
			}
			held = append(held, four)
			six, err := net.Listen("tcp", net.JoinHostPort("::1", strconv.Itoa(*port)))
			if err == nil {
				held = append(held, six)
			} else if errors.Is(err, syscall.EADDRINUSE) {
				continue
			}
			break // without IPv6 here, one family is enough
		}
	}
	return nil
}

// allFree looks at ports before they are written down; errTaken names the first that is not free.
func allFree(list []*int) error {
	for _, port := range list {
		for _, host := range []string{"127.0.0.1", "::1"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(*port)))
			if errors.Is(err, syscall.EADDRINUSE) {
				return errTaken(*port)
			}
			if err == nil {
				l.Close()
			}
		}
	}
	return nil
}

// local is the published URL of a port.
func local(port int) string { return "http://localhost:" + strconv.Itoa(port) }
