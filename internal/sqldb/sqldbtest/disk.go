package sqldbtest

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// An Op is what SQLite asks of a disk when it changes something.
type Op string

// Operations that can fail.
const (
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	Delete   Op = "delete"
)

// A Fault is how one fails.
type Fault struct {
	Op   Op
	Nth  int  // of this kind since Fail, from 1
	Once bool // false: all later operations of every kind fail, too
	Full bool // a write: no room, instead of an I/O error
	Torn bool // a write: half of it is done
}

// A Disk is the disk under the SQLite files of a folder, whose operations fail as a test asks. It stands between SQLite and its
// door to the operating system, so that the n-th operation is the n-th, in whatever thread.
type Disk struct {
	dir string

	mu     sync.Mutex
	fault  *Fault
	counts map[Op]int
	failed int
}

// NewDisk takes hold of the folder for the rest of the test. Databases must be opened after it.
func NewDisk(t testing.TB, dir string) *Disk {
	t.Helper()
	d := &Disk{dir: filepath.Clean(dir) + string(filepath.Separator), counts: map[Op]int{}}
	shims.Do(install)
	shim.mu.Lock()
	shim.disks[d] = true
	shim.mu.Unlock()
	t.Cleanup(func() {
		shim.mu.Lock()
		delete(shim.disks, d)
		shim.mu.Unlock()
	})
	return d
}

// Fail arms a fault and counts from zero; nil heals the disk.
func (d *Disk) Fail(f *Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.failed = f, 0
	clear(d.counts)
}

// Count says how many operations of a kind there were since Fail.
func (d *Disk) Count(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[op]
}

// Failed says how many failed since Fail.
func (d *Disk) Failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Result codes of SQLite.
const (
	codeFull     = 13
	codeWrite    = 10 | 3<<8
	codeSync     = 10 | 4<<8
	codeTruncate = 10 | 6<<8
	codeDelete   = 10 | 10<<8
)

// ask counts an operation and says what becomes of it: 0, or a result code, and whether half of it is done before.
func (d *Disk) ask(op Op) (code int32, torn bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[op]++
	f := d.fault
	if f == nil {
		return 0, false
	}
	hit := op == f.Op && d.counts[op] == f.Nth
	if !hit && (f.Once || d.failed == 0) {
		return 0, false
	}
	d.failed++
	switch {
	case op == Write && f.Full:
		return codeFull, hit && f.Torn
	case op == Write:
		return codeWrite, hit && f.Torn
	}
	return map[Op]int32{Sync: codeSync, Truncate: codeTruncate, Delete: codeDelete}[op], false
}

// shim is SQLite's own door with our hand on it. SQLite was translated from C: functions are pointers, and structures lie where its
// pointers say.
var (
	shims sync.Once
	shim  struct {
		mu      sync.Mutex
		disks   map[*Disk]bool
		files   map[uintptr]*Disk
		methods map[uintptr]*bent // by SQLite's own
		own     map[uintptr]uintptr
		open    uintptr
		delete  uintptr
	}
)

// bent is a copy of the operations of an open file, some of them ours.
type bent struct{ sqlite3.Tsqlite3_io_methods }

type (
	openFunc     = func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	deleteFunc   = func(*libc.TLS, uintptr, uintptr, int32) int32
	closeFunc    = func(*libc.TLS, uintptr) int32
	writeFunc    = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	truncateFunc = func(*libc.TLS, uintptr, int64) int32
	syncFunc     = func(*libc.TLS, uintptr, int32) int32
)

// Ours, as pointers; they live as long as the program.
var (
	ourOpen     openFunc     = xOpen
	ourDelete   deleteFunc   = xDelete
	ourClose    closeFunc    = xClose
	ourWrite    writeFunc    = xWrite
	ourTruncate truncateFunc = xTruncate
	ourSync     syncFunc     = xSync
)

// pointerTo a function as SQLite has it, and back.
func pointerTo[F any](f *F) uintptr { return *(*uintptr)(unsafe.Pointer(f)) }
func functionAt[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
func at[T any](p uintptr) *T        { return *(**T)(unsafe.Pointer(&p)) }
func addressOf[T any](v *T) uintptr { return uintptr(unsafe.Pointer(v)) }
func own(file uintptr) *sqlite3.Tsqlite3_io_methods {
	shim.mu.Lock()
	defer shim.mu.Unlock()
	return at[sqlite3.Tsqlite3_io_methods](shim.own[file])
}

func install() {
	shim.disks, shim.files = map[*Disk]bool{}, map[uintptr]*Disk{}
	shim.methods, shim.own = map[uintptr]*bent{}, map[uintptr]uintptr{}
	tls := libc.NewTLS()
	defer tls.Close()
	sqlite3.Xsqlite3_initialize(tls)
	vfs := at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	shim.open, shim.delete = vfs.FxOpen, vfs.FxDelete
	vfs.FxOpen, vfs.FxDelete = pointerTo(&ourOpen), pointerTo(&ourDelete)
}

// diskOf a file name; nil: nobody asked for it.
func diskOf(name uintptr) *Disk {
	if name == 0 {
		return nil
	}
	path := libc.GoString(name)
	shim.mu.Lock()
	defer shim.mu.Unlock()
	for d := range shim.disks {
		if strings.HasPrefix(path, d.dir) {
			return d
		}
	}
	return nil
}

func xOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	code := functionAt[openFunc](shim.open)(tls, vfs, name, file, flags, out)
	d := diskOf(name)
	if code != 0 || d == nil {
		return code
	}
	f := at[sqlite3.Tsqlite3_file](file)
	shim.mu.Lock()
	defer shim.mu.Unlock()
	b := shim.methods[f.FpMethods]
	if b == nil {
		b = &bent{*at[sqlite3.Tsqlite3_io_methods](f.FpMethods)}
		b.FxClose, b.FxWrite, b.FxTruncate, b.FxSync = pointerTo(&ourClose), pointerTo(&ourWrite), pointerTo(&ourTruncate), pointerTo(&ourSync)
		shim.methods[f.FpMethods] = b
	}
	shim.files[file], shim.own[file] = d, f.FpMethods
	f.FpMethods = addressOf(b)
	return 0
}

func xDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	if d := diskOf(name); d != nil {
		if code, _ := d.ask(Delete); code != 0 {
			return code
		}
	}
	return functionAt[deleteFunc](shim.delete)(tls, vfs, name, syncDir)
}

func disk(file uintptr) *Disk {
	shim.mu.Lock()
	defer shim.mu.Unlock()
	return shim.files[file]
}

func xClose(tls *libc.TLS, file uintptr) int32 {
	methods := own(file)
	shim.mu.Lock()
	delete(shim.files, file)
	delete(shim.own, file)
	shim.mu.Unlock()
	return functionAt[closeFunc](methods.FxClose)(tls, file)
}

func xWrite(tls *libc.TLS, file, buffer uintptr, size int32, offset int64) int32 {
	code, torn := disk(file).ask(Write)
	if code == 0 || torn {
		if torn {
			size /= 2
		}
		if done := functionAt[writeFunc](own(file).FxWrite)(tls, file, buffer, size, offset); code == 0 {
			return done
		}
	}
	return code
}

func xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if code, _ := disk(file).ask(Truncate); code != 0 {
		return code
	}
	return functionAt[truncateFunc](own(file).FxTruncate)(tls, file, size)
}

func xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if code, _ := disk(file).ask(Sync); code != 0 {
		return code
	}
	return functionAt[syncFunc](own(file).FxSync)(tls, file, flags)
}
