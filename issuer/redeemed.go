package issuer

import "sync"

// redeemed remembers grants from the token response to the first look at them, which saves that look at the database. It
// decides nothing, and all of it may be lost: Intend locks the credential, counts the allowance and compares the record, and
// who comes a second time, or to another replica, is looked up.
type redeemed struct {
	mu     sync.Mutex
	grants map[[32]byte]Grant
}

// maxRedeemed grants; codes that wallets redeem and then leave make it start anew.
const maxRedeemed = 4096

func (m *redeemed) put(g Grant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grants == nil || len(m.grants) >= maxRedeemed {
		m.grants = make(map[[32]byte]Grant)
	}
	m.grants[g.Token] = g
}

// take gives a grant of the tenant once.
func (m *redeemed) take(tenant string, token [32]byte) (Grant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.grants[token]
	if !ok || g.Credential.Tenant != tenant {
		return Grant{}, false
	}
	delete(m.grants, token)
	return g, true
}
