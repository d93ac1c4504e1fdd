package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
)

// A NotificationRequest is a wallet's notification under an access token whose presentation was checked.
type NotificationRequest struct {
	Tenant       string
	Grant        Grant
	Notification oid4vci.Notification
}

// A Report is what a wallet said of one delivery: credential_accepted, credential_failure or credential_deleted.
type Report struct {
	Issuance string
	Event    string
	At       time.Time // of its first mention
}

// Notify takes note of what became of the copies on the wallet's side (OpenID4VCI 11). notification_id is the issuance's
// id; the same event again changes nothing and is no error. It is the wallet's word: no status follows from it, the
// agency reads it and decides. What the wallet describes in words is not kept.
// Errors: invalid_notification_id (no such delivery), invalid_token (one under another access token).
func (is *Issuer) Notify(ctx context.Context, r NotificationRequest) error {
	t, err := is.tenant(r.Tenant)
	if err != nil || r.Grant.Credential.Tenant != t.ID {
		return oauth.NewError(oauth.InvalidToken, "access token is not valid")
	}
	n := Notice{
		Tenant: t.ID, Grant: r.Grant.Token, Report: Report{Issuance: r.Notification.NotificationID, Event: r.Notification.Event, At: is.now()},
		Entry: audit.Entry{Chain: t.ID, Actor: "holder", Action: "credential.notified", Object: r.Grant.Credential.ID, Detail: "event=" + r.Notification.Event},
	}
	err = is.cfg.Store.Notice(ctx, n)
	switch {
	case errors.Is(err, ErrNotFound):
		return oauth.NewError(oauth.InvalidNotificationID, "notification_id is not known")
	case errors.Is(err, ErrRefused):
		return oauth.NewError(oauth.InvalidToken, "access token is for another credential")
	case err != nil:
		return fmt.Errorf("record notification: %w", err)
	}
	return nil
}

// Reports is what wallets said of the deliveries of a logical credential, in order of time.
func (is *Issuer) Reports(ctx context.Context, tenant, credential string) ([]Report, error) {
	t, err := is.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return is.cfg.Store.Reports(ctx, t.ID, credential)
}
