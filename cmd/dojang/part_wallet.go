package main

import (
	"context"

	"github.com/dojang-id/dojang/internal/httpd"
	walletapi "github.com/dojang-id/dojang/wallet-api"
	"github.com/dojang-id/dojang/wallet-api/web"
)

// startWalletAPI runs the wallet provider: it attests wallets to issuers and sees nothing else.
func (eco *ecosystem) startWalletAPI(ctx context.Context) error {
	db, err := eco.database(ctx, "wallet-api")
	if err != nil {
		return err
	}
	vault, err := eco.keys("wallet-api")
	if err != nil {
		return err
	}
	secret, err := vault.Secret("challenges")
	if err != nil {
		return err
	}
	p, err := walletapi.New(ctx, walletapi.Config{
		URL: local(eco.ports.WalletAPI), ClientID: string(eco.provider.did), WalletName: "공동지갑 Common Wallet",
		Signer: eco.provider.signer, Kid: eco.provider.url(), DB: db, Secret: secret, Now: eco.clock.Now,
	})
	if err != nil {
		return err
	}
	token, tokens, err := managementToken()
	if err != nil {
		return err
	}
	eco.tokens["wallet_api"] = token
	server, err := web.New(web.Config{Provider: p, Tokens: tokens, Log: eco.e.log, Mux: httpd.MuxConfig{Log: eco.e.log}})
	if err != nil {
		return err
	}
	eco.walletAPI = group{
		&service{port: eco.ports.WalletAPI, handler: server.Public(), env: eco.e},
		&service{port: eco.ports.WalletManagement, handler: server.Management(), env: eco.e},
	}
	return eco.walletAPI.Up(ctx)
}
