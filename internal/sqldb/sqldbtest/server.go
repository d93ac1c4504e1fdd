package sqldbtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A Server is a PostgreSQL of the test's own, which it may hurt.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	as   *syscall.Credential // PostgreSQL refuses to be root
}

// NewServer makes and starts one. Without the programs the test is skipped, with CI=true it fails.
func NewServer(t testing.TB) *Server {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(programs) == 0 {
		absent(t, "needs PostgreSQL's own programs")
	}
	s := &Server{t: t, bin: filepath.Dir(programs[len(programs)-1])}
	if s.dir, err = os.MkdirTemp("", "dojang-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			absent(t, "needs a user for PostgreSQL")
		}
		uid, _ := strconv.Atoi(u.Uid) // numbers on this system
		gid, _ := strconv.Atoi(u.Gid)
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = ln.Addr().(*net.TCPAddr).Port
	_ = ln.Close()
	s.run("initdb", "-D", s.data(), "-U", "dojang", "-A", "trust", "-E", "UTF8", "--no-sync")
	s.Start()
	t.Cleanup(s.Kill)
	s.run("createdb", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "dojang", "dojang")
	return s
}

func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// URL of its database.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://dojang@127.0.0.1:%d/dojang?sslmode=disable", s.port)
}

// Start it and wait until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.run("pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"),
		"-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s", s.port, s.dir), "start")
}

// Kill ends it at once, as a loss of power would; a stopped one stays stopped.
func (s *Server) Kill() {
	_ = s.command("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "stop").Run()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return cmd
}

func (s *Server) run(program string, args ...string) {
	s.t.Helper()
	cmd := s.command(program, args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "commands"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log // a file: the server keeps it open
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		s.t.Fatalf("%s: %v\n%s", program, err, said)
	}
}
