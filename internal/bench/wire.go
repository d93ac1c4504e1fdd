package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// A Wire is one HTTP/1.1 connection kept alive, and nearly nothing else: net/http's client would cost as much as the server
// that is measured. For one caller at a time.
type Wire struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
	body []byte // of the last answer, until the next one
}

// Dial connects to the server of a URL.
func Dial(base string) (*Wire, error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(base, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &Wire{conn: conn, r: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// Close the connection.
func (w *Wire) Close() error { return w.conn.Close() }

// Body of the last answer.
func (w *Wire) Body() []byte { return w.body }

// Header lines for Do.
const (
	FormHead = "Content-Type: application/x-www-form-urlencoded\r\n"
	JSONHead = "Content-Type: application/json\r\n"
)

// Do sends a request, "POST /path" with whole header lines, and reads the answer, which is good until the next one.
func (w *Wire) Do(request, head string, body []byte) (status int, answer []byte, err error) {
	w.out = append(append(w.out[:0], request...), " HTTP/1.1\r\nHost: localhost\r\n"...)
	if strings.HasPrefix(request, "POST ") {
		w.out = append(strconv.AppendInt(append(w.out, "Content-Length: "...), int64(len(body)), 10), "\r\n"...)
	}
	w.out = append(append(append(w.out, head...), "\r\n"...), body...)
	if _, err := w.conn.Write(w.out); err != nil {
		return 0, nil, err
	}
	line, err := w.r.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, nil, fmt.Errorf("bench: no status line: %w", err)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		if line, err = w.r.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, err
			}
		}
	}
	err = w.read(length)
	return status, w.body, err
}

func (w *Wire) read(length int) error {
	if length < 0 {
		return errors.New("bench: answer without a length")
	}
	if cap(w.body) < length {
		w.body = make([]byte, length)
	}
	w.body = w.body[:length]
	_, err := io.ReadFull(w.r, w.body)
	return err
}
