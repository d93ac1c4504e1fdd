package oid4vci

// CredentialIssuerURL is where the metadata of a credential issuer lies: `/.well-known/openid-credential-issuer` between
// host and path (12.2.2). "" for a malformed identifier.
func CredentialIssuerURL(issuer string) string { return "" }

// AuthorizationServerURL is RFC 8414 3.1: `/.well-known/oauth-authorization-server` between host and path.
func AuthorizationServerURL(issuer string) string { return "" }

// OpenIDConfigurationURL is the OpenID Connect form: `/.well-known/openid-configuration` appended to the path.
func OpenIDConfigurationURL(issuer string) string { return "" }
