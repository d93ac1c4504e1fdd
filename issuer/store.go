package issuer

// Store is what the issuer keeps in SQL (issuer/store implements it). Every method that changes something is one
// transaction, durable when it returns, with its audit entry inside.
type Store interface{}
