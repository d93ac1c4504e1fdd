package walletapi_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	walletapi "github.com/dojang-id/dojang/wallet-api"
)

// TestDiskFails lets the n-th write or sync fail while a device is enrolled, attested and revoked.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		fault sqldbtest.Fault
	}{
		{"K07 no write finds room any more", sqldbtest.Fault{Op: sqldbtest.Write, Full: true}},
		{"K07 a write fails", sqldbtest.Fault{Op: sqldbtest.Write, Once: true}},
		{"K07 half a write, and nothing after it", sqldbtest.Fault{Op: sqldbtest.Write, Torn: true}},
		{"K07 a sync fails, and all after it", sqldbtest.Fault{Op: sqldbtest.Sync}},
	} {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			disk := sqldbtest.NewDisk(t, dir)
			d := deskOn(t, "sqlite://"+filepath.Join(dir, "wallet-api.db"))
			stories := 0
			for n, hit := 1, true; hit; n++ {
				hit = false
				fault := f.fault
				fault.Nth = n
				disk.Fail(&fault)
				// once runs a step, and again on a healed disk if the first time the storage failed.
				once := func(step func() error) {
					err := step()
					if sqldb.Retryable(err) {
						hit = true
						disk.Fail(nil)
						err = step()
					}
					if err != nil {
						t.Fatalf("%+v: %v", fault, err)
					}
				}
				device, fresh, id := generate(t), generate(t), ""
				once(func() (err error) {
					id, err = d.Enrol(t.Context(), d.proof(walletapi.TypEnrolment, device, "", map[string]any{"challenge": d.challenge(), "platform": "linux"}))
					return err
				})
				used := d.request(device, fresh, d.challenge())
				once(func() error { _, err := d.Attest(t.Context(), used); return err })
				once(func() error { return d.Revoke(t.Context(), id) })
				disk.Fail(nil)
				if _, err := d.Attest(t.Context(), used); err == nil || sqldb.Retryable(err) {
					t.Fatalf("%+v: a challenge twice: %v", fault, err)
				}
				if _, err := d.Attest(t.Context(), d.request(device, fresh, d.challenge())); !errors.Is(err, walletapi.ErrRevoked) {
					t.Fatalf("%+v: a revoked device is attested: %v", fault, err)
				}
				stories++
			}
			if stories < 3 {
				t.Error("nothing was hurt")
			}
			t.Logf("%d stories", stories)
		})
	}
}
